"""What clients of AWS have in common: one a process, how long they wait, what a refusal says."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

# A server that hangs is an error after 4 times 5 s. botocore's standard mode tries 500, 502, 503,
# 504, SlowDown and its like, time-outs and broken connections again, with growing pauses:
# boto3's guide, "Retries".
_CONNECT_SECONDS, READ_SECONDS, _ATTEMPTS = 3.0, 5.0, 4
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
ClientT = TypeVar("ClientT")


class OwnClient(Generic[ClientT]):
    """The client of the process that asks, made when it first does.

    A pool child must not use the sockets of the process that it was forked from, nor wait for a
    lock that a thread of that one held.
    """

    def __init__(self, make: Callable[[], ClientT]) -> None:
        self._make = make
        self._own: _Own[ClientT] = _Own()

    def get(self) -> ClientT:
        own = self._own
        if own.process != os.getpid():
            own = self._own = _Own()
        with own.lock:
            if own.client is None:
                own.client = self._make()
            return own.client

    def forget(self) -> None:
        """Have the next who asks get another one: what a client once found, or not, it keeps."""
        self._own = _Own()


class _Own(Generic[ClientT]):
    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.client: ClientT | None = None


def lacks_credentials(error: Exception) -> bool:
    """Whether another client may find the credentials that the one that failed has not."""
    if isinstance(error, ClientError):
        return code_of(error) in EXPIRED
    return isinstance(error, NoCredentialsError)


def patient(read_seconds: float = READ_SECONDS) -> Config:
    """How long to wait, and how often to ask again."""
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )


def code_of(error: ClientError) -> str:
    """AWS' word for it, such as ``AccessDenied``; the status where the answer has no body."""
    return str(error.response.get("Error", {}).get("Code") or "no code")[:80]


def status_of(error: ClientError) -> int:
    """The status that HTTP has for it; 0 where it has none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def says(who: str, error: ClientError) -> str:
    """``S3 says AccessDenied (request ...)``; nothing of the request itself."""
    request = str(error.response.get("ResponseMetadata", {}).get("RequestId", ""))[:80]
    return f"{who} says {code_of(error)}" + (f" (request {request})" if request else "")
