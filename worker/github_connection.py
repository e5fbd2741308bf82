"""The worker's one connection to GitHub: made when it is needed, in the process that needs it."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from driftfleet.cache import Cache, open_cache
from driftfleet.errors import ConfigurationError, GitHubRefused
from driftfleet.github.auth import Claim, Credentials, credentials_of
from driftfleet.github.client import GitHub
from driftfleet.github.host import host_of
from driftfleet.github.lockout import Lockout
from driftfleet.secrets import secrets_of, variable_of
from driftfleet.settings import CacheSettings, GitHubSettings, Settings
from worker.module_repositories import ModuleRepositories

log = structlog.get_logger()
# Tokens of an App last for an hour, and a check may have begun with the one before.
_SECRETS_KEPT = 8
# Of the cache's bytes a fourth is for module repositories.
_MODULES_SHARE = 4


class NotedCredentials:
    """Credentials that remember which tokens they gave, so that these can be masked."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._given: dict[str, None] = {}

    def token(self) -> SecretStr | None:
        token = self._credentials.token()
        if token is not None:
            self._given[token.get_secret_value()] = None
            while len(self._given) > _SECRETS_KEPT:
                del self._given[next(iter(self._given))]
        return token

    def renew(self) -> bool:
        return self._credentials.renew()

    def reread(self) -> bool:
        return self._credentials.reread()

    def identity(self) -> SecretStr | None:
        return self._credentials.identity()

    def given(self) -> list[str]:
        """The tokens that were given of late."""
        return list(self._given)


@dataclass(frozen=True)
class Connection:
    """A client, and where is kept what was fetched."""

    github: GitHub
    cache: Cache


class LazyConnection:
    """Opens the connection of this process; ``folder`` is the cache's.

    A pool child must not use the sockets of the process that it was forked from, so nothing is
    opened before the first job asks. Git asks for its tokens here as well: it is a
    `worker.module_token.TokenSource`.
    """

    def __init__(
        self,
        settings: GitHubSettings,
        cache_settings: CacheSettings,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.host = host_of(settings)
        self.cache_settings = cache_settings
        self._settings = settings
        self._folder = folder
        self._lockout = Lockout(folder / "lockout")
        self._credentials = NotedCredentials(credentials_of(settings, environment, self._exchange))
        self._connection: Connection | None = None
        modules_bytes = cache_settings.limit_bytes // _MODULES_SHARE
        self._limit_bytes = cache_settings.limit_bytes - modules_bytes
        self.module_repositories = ModuleRepositories(folder / "modules", self.host, modules_bytes)

    def get(self) -> Connection:
        """The connection; a new one after a refusal: by then there may be another token.

        Raises `ConfigurationError` where there is no cache to be had.
        """
        last = self._connection
        if last is not None and last.github.admission.is_shut:
            self.close()
        if self._connection is None:
            self._connection = Connection(
                github=self._client(self._credentials, self._lockout),
                cache=open_cache(self._folder, self._limit_bytes),
            )
        return self._connection

    def until(self, deadline: float) -> contextlib.AbstractContextManager[None]:
        """Let nothing be asked of GitHub beyond a check's ``deadline``. Raises as `get`."""
        return self.get().github.until(deadline)

    def trim(self) -> None:
        """Clear what writers that were killed left in the cache, and what is over its bound."""
        if self._folder.exists():
            with contextlib.suppress(ConfigurationError):  # the first job is told
                open_cache(self._folder, self._limit_bytes).blobs.trim()
            self.module_repositories.trim()

    def close(self) -> None:
        """Close it; whoever asks for one afterwards gets another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.github.close()

    def secrets(self) -> Sequence[str]:
        """The tokens that were used of late."""
        return self._credentials.given()

    def token(self) -> SecretStr | None:
        """The token to send now. Raises as `Admission.token`."""
        return self.get().github.admission.token()

    def accepted(self, token: SecretStr | None) -> None:
        """The server took ``token``."""
        self.get().github.admission.accepted(token)

    def refused(self, token: SecretStr | None, reason: str, deadline: float) -> None:
        """Git was answered 401 with ``token``: ask GitHub's API whether it refuses it.

        What git asked for is what a root names, and need not be GitHub's to answer: believed, it
        would lock the whole host out. Raises as `GitHub.get`.
        """
        log.info("module_token_questioned", reason=reason)
        github = self.get().github
        if github.admission.token() != token:
            return
        # A 404 where rate limits are off is a yes as well.
        with contextlib.suppress(GitHubRefused), github.until(deadline):
            github.get("/rate_limit")

    def _client(self, credentials: Any, lockout: Lockout | None) -> GitHub:
        return GitHub(
            self.host,
            credentials,
            self._settings,
            patience_seconds=self._settings.worker_patience_seconds,
            lockout=lockout,
        )

    def _exchange(self, path: str, claim: SecretStr) -> Any:
        """Have an App's claim exchanged for a token, within the time of who asks for that."""
        deadline = self._connection.github.deadline if self._connection else math.inf
        with self._client(Claim(claim), None) as github, github.until(deadline):
            return github.post(path).json()


def connection_of(settings: Settings, environment: Mapping[str, str]) -> LazyConnection | None:
    """The connection that a worker's settings describe; None where they name no GitHub.

    Raises
    ------
    ConfigurationError
        ``github`` names no server that can be one, or no place of a secret.
    """
    if not settings.github.is_named:
        return None
    folder = settings.cache.folder or settings.worker.writable_root / "cache"
    return LazyConnection(settings.github, settings.cache, folder, environment)


def withheld_variables(settings: Settings) -> frozenset[str]:
    """The variables that hold our own secrets: no plan may see them."""
    places = secrets_of(settings).values()
    return frozenset(name for place in places if (name := variable_of(place)))
