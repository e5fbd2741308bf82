"""An archive, from where the API sends us for it."""

import contextlib
from collections.abc import Callable, Iterator

import httpx

from driftfleet.errors import GitHubRefused, GitHubUnavailable
from driftfleet.github.connections import Connections
from driftfleet.github.deadline import Deadline
from driftfleet.github.host import Host
from driftfleet.github.limits import PASSING, asked_seconds, limit_seconds
from driftfleet.github.pace import Persistence
from driftfleet.github.transfer import (
    LIBRARY_ERRORS,
    Answer,
    Failure,
    build,
    is_page,
    raw,
    refuse_page,
    sent,
    translate,
)
from driftfleet.github.urls import archive_url, named_host

_GZIP = b"\x1f\x8b"
_MOST_HOPS = 3
_SLOWEST = 60  # times the time-out: a whole archive
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Its URL has a token of its own that lasts minutes (docs.github.com/rest, "Download a repository
# archive"): what such a status refuses is that, and another URL may do.
_EXPIRED = frozenset({401, 403, 404, 410})


class Download:
    """Opens archives. Their URLs are secrets: they are in no error and in no log.

    ``locate`` asks the API for an archive's URL; each try asks again. ``counted`` is called before
    each request.
    """

    def __init__(
        self,
        host: Host,
        connections: Connections,
        *,
        timeout_seconds: float,
        counted: Callable[[], None],
        deadline: Deadline,
        now: Callable[[], float],
    ) -> None:
        self._host = host
        self._connections = connections
        self._timeout_seconds = timeout_seconds
        self._counted = counted
        self._deadline = deadline
        self._now = now

    @contextlib.contextmanager
    def open(
        self, locate: Callable[[], str], tries: Persistence, where: str
    ) -> Iterator[Iterator[bytes]]:
        """The bytes of an archive, which begin as gzip does.

        Raises
        ------
        GitHubUnavailable
            It did not come; also out of the iterator, where it breaks in the middle.
        GitHubRefused
            It is none.
        """
        while True:
            url = locate()
            tries.ready()
            with contextlib.ExitStack() as stack:
                outcome = self._begin(stack, url, where, tries.limits)
                if not isinstance(outcome, Failure | float):
                    yield _told(outcome, where)
                    return
            if isinstance(outcome, Failure):
                tries.failed(outcome)
            else:
                tries.limited(outcome)

    def _begin(
        self, stack: contextlib.ExitStack, url: str, where: str, limits: int
    ) -> Iterator[bytes] | Failure | float:
        """The archive's bytes, or what went wrong, or for how long to wait."""
        for _ in range(_MOST_HOPS):
            response = self._send(stack, url)
            if isinstance(response, Failure):
                return response
            if response.status_code not in REDIRECTS:
                return self._judge(response, where, limits)
            url = allowed(self._host, response.headers.get("location", ""), where)
            stack.close()
        return Failure("its archive is sent on too often", passing=False)

    def _send(self, stack: contextlib.ExitStack, url: str) -> httpx.Response | Failure:
        headers = {"User-Agent": "driftfleet", "Accept": "*/*", "Accept-Encoding": "identity"}
        request = build("GET", url, headers, self._deadline.bounded(self._timeout_seconds))
        origin = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        transport = stack.enter_context(self._connections.archive(origin))
        self._counted()
        try:
            return stack.enter_context(sent(transport, request))
        except (*LIBRARY_ERRORS, OSError) as error:
            return translate(error)

    def _judge(
        self, response: httpx.Response, where: str, limits: int
    ) -> Iterator[bytes] | Failure | float:
        status, headers = response.status_code, response.headers
        wait = limit_seconds(status, headers, "", limits=limits, now=self._now())
        if wait is not None:
            return wait
        if status in _EXPIRED or status in PASSING:
            asked = asked_seconds(headers, now=self._now())
            return Failure(f"its archive was not given ({status})", retry_after_seconds=asked)
        if status != 200:
            raise GitHubRefused(f"{where}: its archive was not given ({status})", status)
        chunks = raw(response, self._deadline.expiry(_SLOWEST * self._timeout_seconds))
        start = b""
        try:
            while len(start) < len(_GZIP):
                start += next(chunks)
        except StopIteration:
            return Failure("its archive is empty")
        except (*LIBRARY_ERRORS, OSError) as error:
            return translate(error)
        if not start.startswith(_GZIP) or is_page(headers):
            refuse_page(Answer(status, headers, start, where), sniff=True)
            raise GitHubRefused(f"{where}: what came for an archive is none (no gzip)", status)
        return _chain(start, chunks)


def allowed(host: Host, location: str, where: str) -> str:
    """The URL of an archive. Raises `GitHubRefused` where it is another host's."""
    url = archive_url(host, location)
    if url is None:
        raise GitHubRefused(
            f"{where}: sends us on to {named_host(location)} for the archive, and archives are "
            f"taken from {', '.join(sorted(host.archive_hosts))} only",
            302,
        )
    return url


def _chain(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest


def _told(chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = next(chunks)
        except StopIteration:
            return
        except (*LIBRARY_ERRORS, OSError) as error:
            failure = translate(error)
            break
        yield chunk
    # Out here, without the cause: it carries the URL.
    raise GitHubUnavailable(f"{where}: the archive broke off: {failure.reason}")
