"""What GitHub's noes mean, in words for whoever has to mend it."""

from typing import NoReturn

from driftfleet.errors import GitHubNotFound, GitHubRefused, GitHubUnavailable, RepositoryEmpty
from driftfleet.github.transfer import Answer, message_of


def refuse(where: str, answer: Answer, message: str) -> NoReturn:
    """Raise what an answer that is an error, and stays one, means."""
    status = answer.status
    said = f": {message}" if message else ""
    if status == 404:
        raise GitHubNotFound(
            f"{where}: 404{said}: there is no such thing, or the token may not see it", 404
        )
    if status == 409 and "empty" in message.lower():
        raise RepositoryEmpty(f"{where}: the repository is empty (409{said})", 409)
    if status >= 500:
        raise GitHubUnavailable(f"{where}: it answered {status}{said}")
    raise GitHubRefused(f"{where}: {status}{said or _unsaid(status)}{_mend(answer)}", status)


def no_access(where: str, answer: Answer, with_token: bool) -> str:
    """What a 401 means."""
    message = message_of(answer)
    said = f"401: {message}" if message else "401, without GitHub's usual words: a proxy's?"
    if not with_token:
        return (
            f"{where}: it wants a token ({said}), and github.token (DRIFTFLEET_GITHUB__TOKEN) is "
            "not set: say there where one is kept, such as env://GITHUB_TOKEN"
        )
    return (
        f"{where}: the token was refused ({said}); is it expired or revoked, or another server's? "
        "Put a new one where github.token (or github.app) says"
    )


def _unsaid(status: int) -> str:
    return ": the proxy wants credentials" if status == 407 else ": GitHub says no more"


def _mend(answer: Answer) -> str:
    if answer.status == 403 and answer.headers.get("x-github-sso", "").startswith("required"):
        return "; the token must be authorised for the organisation's single sign-on"
    return ""
