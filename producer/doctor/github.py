"""Checks of what `driftfleet doctor` finds on GitHub: host, token, limits, repositories."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from driftfleet.errors import (
    ConfigurationError,
    CredentialsRefused,
    DriftfleetError,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    SecretUnavailable,
)
from driftfleet.github.auth import Anonymous, checked_token, sign
from driftfleet.github.client import Answer, GitHub
from driftfleet.github.host import Host, host_of
from driftfleet.repository_rule import RepositoryRule
from driftfleet.secrets import open_secret
from driftfleet.settings import GitHubSettings, Settings
from producer.access import open_access
from producer.doctor.findings import Finding, fail, ok, skip, warn
from producer.doctor.repositories import organisation_finding, repository_finding
from producer.doctor.silence import mend_of_silence
from producer.targets import HOW_TO_NAME_GITHUB, title_of

_VERSION = "x-github-enterprise-version"
_SCOPES = "x-oauth-scopes"
_EXPIRY = "github-authentication-token-expiration"
# A doctor waits for no rate limit.
_PATIENCE_SECONDS = 15.0
_SOON_SECONDS = 14 * 86_400
_FEW_REQUESTS = 500
_HOW = (
    "set github.token (DRIFTFLEET_GITHUB__TOKEN) to where one is kept: env://NAME, file://PATH or "
    "secretsmanager://NAME#KEY"
)


def check_github(
    settings: Settings,
    environment: Mapping[str, str],
    rules: tuple[RepositoryRule, ...],
    folder: Path,
) -> Iterator[Finding]:
    """Everything about GitHub, in the order in which one thing needs the other."""
    github = settings.github
    if not github.is_named:
        if rules:
            yield fail(
                "github", f"{title_of(rules[0])}: no GitHub is configured", HOW_TO_NAME_GITHUB
            )
        else:
            yield skip("github", "none is configured (github.url): folders only")
        return
    try:
        host = host_of(github)
    except ConfigurationError as error:
        yield fail("github", error.message, "set github.url (DRIFTFLEET_GITHUB__URL)")
        return
    reached, wants_token = _reach(host, github)
    yield reached
    secret = _secret(github, environment, host.asked if wants_token else None)
    yield secret
    if "fail" in (reached.level, secret.level):
        yield skip("token", "not asked for, since the above fails")
        return
    hurried = github.model_copy(
        update={"patience_seconds": min(github.patience_seconds, _PATIENCE_SECONDS)}
    )
    changed = settings.model_copy(update={"github": hurried})
    try:
        with open_access(changed, environment, folder, lambda _: None) as access:
            yield from _with_token(access.github, github, rules)
    except CredentialsRefused as error:
        yield _refused(error, github)
    except SecretUnavailable as error:
        yield fail("secret", error.message, "is the place that keeps it up, and may we ask it?")
    except DriftfleetError as error:
        yield fail("token", error.message, _mend_of_token(github))


def _reach(host: Host, github: GitHubSettings) -> tuple[Finding, bool]:
    """Whether it answers at all, asked without a token, and whether it wants one for that."""
    try:
        return _ask_as_nobody(host, github), False
    except CredentialsRefused:
        return ok("host", f"{host.api_url} answers, and wants a token"), True


def _ask_as_nobody(host: Host, github: GitHubSettings) -> Finding:
    """Any answer of GitHub's will do. Raises `CredentialsRefused`."""
    try:
        with GitHub(host, Anonymous(), github, patience_seconds=_PATIENCE_SECONDS) as anonymous:
            answer = anonymous.get("/meta")
    except CredentialsRefused:
        raise
    except GitHubNotFound as error:
        return fail("host", error.message, f"is {host.api_url} the API of a GitHub server?")
    except GitHubRefused as error:
        if error.status in (403, 429):
            return ok("host", f"{host.api_url} answers ({error.status})")
        return fail("host", error.message, "set github.url (DRIFTFLEET_GITHUB__URL)")
    except GitHubUnavailable as error:
        return fail("host", error.message, mend_of_silence(error.message))
    except ConfigurationError as error:
        return fail("host", error.message, "correct that, or unset the variable")
    return ok("host", f"{host.api_url} answers{_version(answer)}")


def _version(answer: Answer) -> str:
    version = answer.headers.get(_VERSION)
    return f": GitHub Enterprise Server {version}" if version else ""


def _secret(
    github: GitHubSettings, environment: Mapping[str, str], wanted_by: str | None
) -> Finding:
    """Whether the secret can be read and can be one; ``wanted_by`` wants it in any case."""
    url = github.app.private_key if github.app else github.token
    setting = "github.app.private_key" if github.app else "github.token"
    if url is None and wanted_by:
        return fail("secret", f"{wanted_by} wants a token, and github.token is not set", _HOW)
    if url is None:
        return warn(
            "secret",
            "github.token is not set: public repositories only, and few requests an hour",
            _HOW,
        )
    try:
        secret = open_secret(url, environment, setting).read()
        if github.app:
            sign(github.app, secret, time.time())
        else:
            checked_token(secret, "the GitHub token")
    except (ConfigurationError, SecretUnavailable) as error:
        return fail("secret", error.message, f"put it there, or name another place in {setting}")
    return ok("secret", f"{url} can be read ({setting})")


def _with_token(
    client: GitHub, github: GitHubSettings, rules: tuple[RepositoryRule, ...]
) -> Iterator[Finding]:
    yield from _token(client, github)
    yield _limit(client)
    for rule in rules:
        yield organisation_finding(client, rule) if rule.org else repository_finding(client, rule)


def _token(client: GitHub, github: GitHubSettings) -> Iterator[Finding]:
    host = client.host.name
    if github.app is not None:
        answer = client.get("/meta")
        yield ok("token", f"{host} gave installation {github.app.installation} a token")
        yield _version_finding(client, answer)
        return
    if github.token is None:
        return
    try:
        answer = client.get("/user")
    except (GitHubRefused, GitHubUnavailable) as error:
        yield warn("token", f"nobody says whose it is: {error.message}")
        return
    yield ok("token", f"{host} knows it as {_login(answer)}")
    yield scopes_finding(answer)
    if (expiry := expiry_finding(answer, datetime.now(UTC))) is not None:
        yield expiry
    yield _version_finding(client, answer)


def _login(answer: Answer) -> str:
    told = answer.json()
    return str(told.get("login", "nobody")) if isinstance(told, dict) else "nobody"


def _version_finding(client: GitHub, answer: Answer) -> Finding:
    version = answer.headers.get(_VERSION)
    if version:
        return ok("version", f"GitHub Enterprise Server {version}")
    if client.host.api_url == "https://api.github.com":
        return ok("version", "github.com has none")
    return warn("version", f"{client.host.asked} does not tell it: is a proxy in between?")


def scopes_finding(answer: Answer) -> Finding:
    """Whether the token's scopes are enough; only a classic one's are told."""
    told = answer.headers.get(_SCOPES)
    if told is None:
        return ok("scopes", "none: it is fine-grained, and wants metadata:read and contents:read")
    scopes = [scope.strip() for scope in told.split(",") if scope.strip()]
    if "repo" in scopes:
        return ok("scopes", ", ".join(scopes))
    return warn(
        "scopes",
        f"{', '.join(scopes) or 'none'}: private repositories can't be read without 'repo'",
        "give the token the scope 'repo', or make a fine-grained one with metadata:read and "
        "contents:read",
    )


def expiry_finding(answer: Answer, now: datetime) -> Finding | None:
    """When the token expires; None where it doesn't."""
    told = answer.headers.get(_EXPIRY)
    if told is None:
        return None
    moment = read_moment(told)
    if moment is None:
        return warn("expiry", f"the token expires: {told[:40]}")
    left = (moment - now).total_seconds()
    text = f"the token expires on {moment:%Y-%m-%d}, in {max(0, left) / 86_400:.0f} days"
    if left < _SOON_SECONDS:
        return warn("expiry", text, "make another one before that, and put it where it is kept")
    return ok("expiry", text)


def read_moment(text: str) -> datetime | None:
    """``2026-03-01 12:00:00 UTC`` or ``... +0200``, as GitHub writes it; None for anything else."""
    for form in ("%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S UTC"):
        try:
            moment = datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _limit(client: GitHub) -> Finding:
    try:
        told = client.get("/rate_limit").json()
        core = told["resources"]["core"]
        remaining, limit = int(core["remaining"]), int(core["limit"])
        reset = datetime.fromtimestamp(int(core["reset"]), UTC)
    except GitHubNotFound:
        return ok("rate limit", "is off")
    except (GitHubRefused, GitHubUnavailable) as error:
        return warn("rate limit", error.message)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return warn("rate limit", f"{client.host.asked} tells none that can be read")
    text = f"{remaining} of {limit} requests are left until {reset:%H:%M} UTC"
    return (
        warn("rate limit", text)
        if remaining < min(_FEW_REQUESTS, limit)
        else ok("rate limit", text)
    )


def _refused(error: CredentialsRefused, github: GitHubSettings) -> Finding:
    if github.token is None and github.app is None:
        return fail("token", error.message, _HOW)
    return fail("token", error.message, _mend_of_token(github))


def _mend_of_token(github: GitHubSettings) -> str:
    if github.app is not None:
        return (
            "see github.app.id and github.app.installation in the App's settings, and whether its "
            f"private key is that in {github.app.private_key}"
        )
    return f"put a valid one where it is kept: {github.token}"
