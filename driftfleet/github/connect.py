"""From settings to a client."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from pydantic import SecretStr

from driftfleet.github.auth import Claim, credentials_of
from driftfleet.github.client import GitHub
from driftfleet.github.host import host_of
from driftfleet.github.lockout import Lockout
from driftfleet.settings import GitHubSettings


def open_github(
    settings: GitHubSettings,
    environment: Mapping[str, str],
    *,
    patience_seconds: float,
    lockout: Lockout | None = None,
    transport: httpx.BaseTransport | None = None,
    sleep: Callable[[float], object] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> GitHub:
    """The client that the settings describe; nothing is asked or read yet.

    Raises
    ------
    ConfigurationError
        No server is named, or a secret's place is none.
    """
    host = host_of(settings)

    def client(credentials: Any, lockout: Lockout | None) -> GitHub:
        return GitHub(
            host,
            credentials,
            settings,
            patience_seconds=patience_seconds,
            lockout=lockout,
            transport=transport,
            sleep=sleep,
            clock=clock,
        )

    def exchange(path: str, claim: SecretStr) -> Any:
        with client(Claim(claim), None) as github:
            return github.post(path).json()

    return client(credentials_of(settings, environment, exchange), lockout)
