"""Clients of Redis that end in an error where it hangs, and errors of ours for theirs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from driftfleet.errors import BrokerUnavailable, ConfigurationError

# A command that hangs, and one that can't connect, have said so within ten seconds.
SOCKET_SECONDS = 4
CONNECT_SECONDS = 4
_HOW_TO_WRITE = "it is written redis://:PASSWORD@HOST:6379/0"
_NOT_VERIFIED = (
    "Redis' certificate is refused: name its CA in broker.ca_file (DRIFTFLEET_BROKER__CA_FILE; "
    "without one the system's count), and in broker.url the host as the certificate does"
)
T = TypeVar("T")


def connect(url: str, ca_file: Path | None = None) -> redis.Redis:
    """A client with time-outs: a hung Redis must end in an error, not in waiting.

    ``redis+socket://`` is Celery's spelling of redis-py's ``unix://``. With ``rediss://`` the
    certificate is verified, against ``ca_file`` where there is one; the URL's options go first.

    Raises
    ------
    ConfigurationError
        It is no URL of Redis.
    """
    _refuse_odd_database(url)
    url = url.replace("redis+socket://", "unix://", 1)
    try:
        return redis.Redis.from_url(
            url,
            **({"ssl_ca_certs": str(ca_file)} if ca_file and url.startswith("rediss://") else {}),
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            # Once, for a connection that a restarted server has closed; redis-py's own default
            # would wait for a hung one many times over.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except ValueError as error:
        # Its message may quote a part of the password.
        raise ConfigurationError(
            f"broker.url is no URL of Redis: {_HOW_TO_WRITE}, with special characters of the "
            "password percent-encoded"
        ) from error


def ask_redis(call: Callable[[], T]) -> T:
    """What ``call`` asks a client of Redis for. Raises `BrokerUnavailable`."""
    try:
        return call()
    except redis.AuthenticationError as error:
        raise BrokerUnavailable(
            f"Redis refuses the password in broker.url (DRIFTFLEET_BROKER__URL): {error}"
        ) from error
    except redis.RedisError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise BrokerUnavailable(f"{_NOT_VERIFIED}: {error}") from error
        raise BrokerUnavailable(f"Redis did not answer: {error}") from error


def _refuse_odd_database(url: str) -> None:
    """redis-py takes database 0 then, while Celery ends in a traceback."""
    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0].rpartition("@")[2].partition("/")[2]
    if scheme in ("redis", "rediss") and not re.fullmatch(r"[0-9]*", path):
        raise ConfigurationError(
            "broker.url (DRIFTFLEET_BROKER__URL): what follows the port must be the number of a "
            f"database of Redis: {_HOW_TO_WRITE}"
        )
