"""As whom we ask: a token, the installation of a GitHub App, or nobody."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from pydantic import SecretStr

from driftfleet.errors import ConfigurationError, CredentialsRefused, GitHubRefused
from driftfleet.secrets import Secret, open_secret
from driftfleet.settings import GitHubApp, GitHubSettings

# What may stand in a header: a token with a line break in it would be another header.
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
# GitHub takes ten minutes at most between the two, and its clock may differ from ours by some.
_ISSUED_BEFORE_SECONDS = 60
_EXPIRES_AFTER_SECONDS = 8 * 60
# No request that starts with a token outlives it.
_RENEWED_BEFORE_SECONDS = 5 * 60
_USUAL_LIFE_SECONDS = 60 * 60


class Credentials(Protocol):
    """Where the token comes from."""

    def token(self) -> SecretStr | None:
        """The token to send, None for none.

        Raises
        ------
        ConfigurationError
            There is none, or it can't be one.
        SecretUnavailable, GitHubUnavailable
            Whoever gives it did not answer.
        """

    def renew(self) -> bool:
        """Ask its origin again, after a 401; True where another came. Raises as `token`."""

    def reread(self) -> bool:
        """Read our own secret again, asking GitHub nothing; True where it changed."""

    def identity(self) -> SecretStr | None:
        """The secret that other processes have as well: once refused, none of them sends it."""


class _Unrenewable:
    """There is no other where this comes from, and nobody whom it would be shared with."""

    def renew(self) -> bool:
        return False

    def reread(self) -> bool:
        return False

    def identity(self) -> SecretStr | None:
        return None


class Anonymous(_Unrenewable):
    """Nobody: public repositories only, and few requests."""

    def token(self) -> SecretStr | None:
        return None


class Claim(_Unrenewable):
    """A JWT, to be exchanged once."""

    def __init__(self, claim: SecretStr) -> None:
        self._claim = claim

    def token(self) -> SecretStr | None:
        return self._claim


class TokenCredentials:
    """A personal access token, or any other that is kept as a secret."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def token(self) -> SecretStr | None:
        return checked_token(self._secret.read(), "the GitHub token")

    def renew(self) -> bool:
        return self.reread()

    def reread(self) -> bool:
        before = self._secret.read()
        return checked_token(self._secret.renew(), "the GitHub token") != before

    def identity(self) -> SecretStr | None:
        return self._secret.read()


class AppCredentials:
    """An installation of a GitHub App: tokens for an hour, exchanged for a signed claim.

    ``exchange`` posts to a path of the API with a JWT and gives the parsed answer.
    """

    def __init__(
        self,
        app: GitHubApp,
        key: Secret,
        exchange: Callable[[str, SecretStr], Any],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._key = key
        self._exchange = exchange
        self._now = now
        self._token: SecretStr | None = None
        self._expires = 0.0
        self._lock = threading.Lock()

    def token(self) -> SecretStr | None:
        with self._lock:
            if self._token is None or self._now() > self._expires - _RENEWED_BEFORE_SECONDS:
                self._take()
            return self._token

    def renew(self) -> bool:
        with self._lock:
            before = self._token
            self._take()
            return self._token != before

    def reread(self) -> bool:
        before = self._key.read()
        return self._key.renew() != before

    def identity(self) -> SecretStr | None:
        return self._key.read()

    def _take(self) -> None:
        try:
            self._ask(self._key.read())
        except CredentialsRefused:
            if not self.reread():
                raise
            self._ask(self._key.read())

    def _ask(self, key: SecretStr) -> None:
        path = f"/app/installations/{self._app.installation}/access_tokens"
        try:
            answer = self._exchange(path, sign(self._app, key, self._now()))
        except GitHubRefused as error:
            failure = ConfigurationError(
                f"no token for installation {self._app.installation} of GitHub App "
                f"{self._app.id} (github.app): {error.message}"
            )
        else:
            self._token, self._expires = _read(answer, self._now())
            return
        raise failure


def sign(app: GitHubApp, key: SecretStr, now: float) -> SecretStr:
    """The claim to be ``app``, signed with its private key (a PEM): a JWT, good for minutes.

    Raises
    ------
    ConfigurationError
        The key is no RSA key.
    """
    claims = {
        "iat": int(now) - _ISSUED_BEFORE_SECONDS,
        "exp": int(now) + _EXPIRES_AFTER_SECONDS,
        "iss": str(app.id),
    }
    try:
        return SecretStr(jwt.encode(claims, key.get_secret_value(), algorithm="RS256"))
    except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError):
        # Raised below, without the cause: it may quote the key.
        pass
    raise ConfigurationError(
        "github.app.private_key: what is kept there is no RSA private key in PEM form"
    )


def credentials_of(
    settings: GitHubSettings,
    environment: Mapping[str, str],
    exchange: Callable[[str, SecretStr], Any],
) -> Credentials:
    """The credentials that the settings name; nothing is read yet.

    ``exchange`` is what `AppCredentials` needs. Raises `ConfigurationError` where a secret's place
    is none.
    """
    if settings.app is not None:
        key = open_secret(settings.app.private_key, environment, "github.app.private_key")
        return AppCredentials(settings.app, key, exchange)
    if settings.token is not None:
        return TokenCredentials(open_secret(settings.token, environment, "github.token"))
    return Anonymous()


def checked_token(token: SecretStr, what: str) -> SecretStr:
    """``token``, which ``what`` names. Raises `ConfigurationError` where it can be none."""
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise ConfigurationError(
            f"{what} can't be one: it has blanks, line breaks or letters that no token has; does "
            "github.token name the right place (and the right #key in it)?"
        )
    return token


def _read(answer: Any, now: float) -> tuple[SecretStr, float]:
    if not isinstance(answer, dict) or not isinstance(answer.get("token"), str):
        raise ConfigurationError("github.app: GitHub answered no token to the App's claim")
    token = checked_token(SecretStr(answer["token"]), "the App's token")
    try:
        expires = datetime.fromisoformat(str(answer.get("expires_at"))).timestamp()
    except (ValueError, OverflowError):
        expires = now + _USUAL_LIFE_SECONDS
    # A clock that is wrong by hours must not make every request ask for a token of its own.
    return token, max(expires, now + 2 * _RENEWED_BEFORE_SECONDS)
