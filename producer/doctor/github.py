"""Checks of what `driftfleet doctor` finds on GitHub: host, token, limits, repositories."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from driftfleet.errors import (
    ConfigurationError,
    CredentialsRefused,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    SecretUnavailable,
)
from driftfleet.github.auth import Anonymous
from driftfleet.github.client import Answer, GitHub
from driftfleet.github.host import Host, host_of
from driftfleet.secrets import open_secret
from driftfleet.settings import GitHubSettings, RepositoryRule, Settings
from producer.access import open_access
from producer.doctor.findings import Finding, fail, ok, skip, warn
from producer.doctor.repositories import organisation_finding, repository_finding
from producer.targets import HOW_TO_NAME_GITHUB, title_of

_VERSION = "x-github-enterprise-version"
_SCOPES = "x-oauth-scopes"
_EXPIRY = "github-authentication-token-expiration"
# A doctor waits for no rate limit.
_PATIENCE_SECONDS = 15.0
_SOON_SECONDS = 14 * 86_400
_FEW_REQUESTS = 500


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
    reached = _host(host, github)
    yield reached
    secret = _secret(github, environment)
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
        yield fail("token", error.message, _mend_of_token(github))
    except SecretUnavailable as error:
        yield fail("secret", error.message)


def _host(host: Host, github: GitHubSettings) -> Finding:
    """Whether it answers at all, asked without a token: any answer of GitHub's will do."""
    try:
        with GitHub(host, Anonymous(), github, patience_seconds=_PATIENCE_SECONDS) as anonymous:
            answer = anonymous.get("/meta")
    except CredentialsRefused:
        return ok("host", f"{host.api_url} answers, and wants a token")
    except GitHubNotFound as error:
        return fail("host", error.message, f"is {host.api_url} the API of a GitHub server?")
    except GitHubRefused as error:
        if error.status in (403, 429):
            return ok("host", f"{host.api_url} answers ({error.status})")
        return fail("host", error.message, "set github.url (DRIFTFLEET_GITHUB__URL)")
    except (GitHubUnavailable, ConfigurationError) as error:
        return fail("host", error.message, _MEND_OF_HOST)
    return ok("host", f"{host.api_url} answers{_version(answer)}")


_MEND_OF_HOST = (
    "see whether this machine resolves the name, reaches the port (HTTPS_PROXY, NO_PROXY) and "
    "trusts the certificate (SSL_CERT_FILE); github.url names the server"
)


def _version(answer: Answer) -> str:
    version = answer.headers.get(_VERSION)
    return f": GitHub Enterprise Server {version}" if version else ""


def _secret(github: GitHubSettings, environment: Mapping[str, str]) -> Finding:
    url = github.app.private_key if github.app else github.token
    setting = "github.app.private_key" if github.app else "github.token"
    if url is None:
        return warn(
            "secret",
            "no token is configured: public repositories only, and few requests an hour",
            "set github.token (DRIFTFLEET_GITHUB__TOKEN) to env://NAME, file://PATH or "
            "secretsmanager://NAME#KEY",
        )
    try:
        open_secret(url, environment).read()
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
        yield skip("token", "there is none")
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
    return warn("version", f"{client.host.name} does not tell it: is a proxy in between?")


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
        return warn("rate limit", f"{client.host.name} tells none that can be read")
    text = f"{remaining} of {limit} requests are left until {reset:%H:%M} UTC"
    return (
        warn("rate limit", text)
        if remaining < min(_FEW_REQUESTS, limit)
        else ok("rate limit", text)
    )


def _mend_of_token(github: GitHubSettings) -> str:
    place = github.app.private_key if github.app else github.token
    return f"put a valid one where it is kept: {place}"
