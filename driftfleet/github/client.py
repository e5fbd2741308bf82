"""Asks GitHub's REST API: paging, conditional requests, limits, retries, redirects, errors.

Every error that leaves here is one of `driftfleet.errors`, and none carries a token, a header or
the URL of an archive.
"""

import contextlib
import random
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx

from driftfleet.errors import GitHubRefused
from driftfleet.github.admission import Admission
from driftfleet.github.auth import Credentials
from driftfleet.github.connections import Connections
from driftfleet.github.download import REDIRECTS, Download, allowed
from driftfleet.github.exchange import JSON, JSON_BYTES, Ask, Exchange
from driftfleet.github.host import Host
from driftfleet.github.limits import PASSING, asked_seconds, limit_seconds
from driftfleet.github.lockout import Lockout
from driftfleet.github.pace import Pace, Persistence
from driftfleet.github.refusals import refuse
from driftfleet.github.transfer import Answer, Failure, message_of, refuse_page
from driftfleet.github.urls import api_target, named_host, next_link, quote_ref, repository_path
from driftfleet.settings import GitHubSettings

__all__ = ["Answer", "GitHub"]

T = TypeVar("T")
_MOST_PAGES = 1000
_MOST_REDIRECTS = 5
_MOST_REFUSALS = 3
_FOLLOWED = frozenset({301, 302, 307, 308})
_PATH = re.compile(r"(?:/(?!(?:\.|%2[eE]){1,2}(?:/|$))[A-Za-z0-9\-._~!$&'()*+,;=:@%]+)+")


class GitHub:
    """A client of one server as one user; its threads share connections, limits and credentials.

    ``patience_seconds`` is the most that one call waits, for rate limits and between tries.
    Make it after forking. ``transport``, ``clock``, ``now``, ``sleep`` and ``chance`` stand in for
    the outside world in tests.
    """

    def __init__(
        self,
        host: Host,
        credentials: Credentials,
        settings: GitHubSettings,
        *,
        patience_seconds: float,
        lockout: Lockout | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.host = host
        self._now = now
        self._width = settings.connections
        self._pace = Pace(patience_seconds, host.asked, clock, sleep, chance)
        self._connections = Connections(
            settings.connections, host.api_origin, settings.timeout_seconds, transport
        )
        self.admission = Admission(credentials, lockout, host.asked, clock)
        self._exchange = Exchange(
            host, self.admission, self._connections, settings.timeout_seconds, self._pace.deadline
        )
        self._download = Download(
            host,
            self._connections,
            timeout_seconds=settings.timeout_seconds,
            counted=self._exchange.count,
            deadline=self._pace.deadline,
            now=now,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all waiting and close the connections."""
        self._pace.stop()
        self._connections.close()

    @property
    def requests(self) -> int:
        """How many requests were sent so far, those of retries and redirects too."""
        return self._exchange.requests

    @property
    def deadline(self) -> float:
        """When this thread's time to ask is over; infinite outside `until`."""
        return self._pace.deadline.at

    def until(self, deadline: float) -> contextlib.AbstractContextManager[None]:
        """Let this thread, and the threads of its `many`, ask no longer than until ``deadline``.

        It is a time of the client's clock, ``time.monotonic``. Past it everything raises
        `GitHubUnavailable`; what is under way then ends, at the latest after one more time-out.
        """
        return self._pace.deadline.until(deadline)

    def get(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        accept: str = JSON,
        etag: str | None = None,
        limit_bytes: int = JSON_BYTES,
    ) -> Answer:
        """Ask for ``path``, below the API and quoted; a 304 is an answer where ``etag`` was given.

        Raises
        ------
        GitHubNotFound, RepositoryEmpty, GitHubRefused
            GitHub says no; an answer that exceeds ``limit_bytes`` is refused by us.
        GitHubUnavailable
            It did not answer, or wants us to wait longer than we are to.
        CredentialsRefused
            It does not take our token; nothing more is asked.
        ConfigurationError, SecretUnavailable
            There is no token to ask with.
        """
        target = self._target(path, params)
        ask = Ask("GET", target, self._where("GET", path), accept, etag, limit_bytes)
        return self._call(ask)

    def post(self, path: str, content: bytes | None = None) -> Answer:
        """Send ``content``, JSON; again only where GitHub can't have seen it. Raises as `get`."""
        ask = Ask("POST", self._target(path, None), self._where("POST", path), content=content)
        return self._call(ask)

    def pages(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[Any]:
        """The parsed pages of a list, each asked for when it is needed. Raises as `get`."""
        where = self._where("GET", path)
        target = self._target(path, {"per_page": 100, **(params or {})})
        for _ in range(_MOST_PAGES):
            answer = self._call(Ask("GET", target, where))
            yield answer.json()
            link = next_link(answer.headers.get("link", ""))
            if link is None:
                return
            following = api_target(self.host, link)
            if following is None:
                raise GitHubRefused(
                    f"{where}: its next page is at {named_host(link)}, and only pages of "
                    f"{self.host.api_url} are asked for",
                    answer.status,
                )
            target = following
        raise GitHubRefused(f"{where}: has more than {_MOST_PAGES} pages", 200)

    def many(self, calls: Iterable[Callable[[], T]]) -> Generator[T, None, None]:
        """Run calls in threads, as many at once as there are connections; results in their order.

        The first error ends it: what has not begun is dropped, what waits is woken.
        """
        shared = self._pace.open_batch()
        pool = ThreadPoolExecutor(
            self._width, "github", initializer=self._pace.join_batch, initargs=shared
        )
        pending: deque[Future[T]] = deque()
        try:
            for call in calls:
                pending.append(pool.submit(call))
                # Results that nobody takes yet are held in memory: some, not all.
                if len(pending) > 4 * self._width:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            self._pace.close_batch(shared[0])
            pool.shutdown(wait=True, cancel_futures=True)

    @contextlib.contextmanager
    def archive(self, repo: str, sha: str) -> Iterator[Iterator[bytes]]:
        """The ``tar.gz`` of a commit, in pieces, as they come. Raises as `get`, and the pieces too.

        The token goes to the API and no further.
        """
        path = f"{repository_path(repo)}/tarball/{quote_ref(sha)}"
        where = self._where("GET", path)

        def locate() -> str:
            return self._archive_url(Ask("GET", self._target(path, None), where, archive=True))

        with self._download.open(locate, self._pace.begin(where), where) as chunks:
            yield chunks

    def _archive_url(self, ask: Ask) -> str:
        for _ in range(_MOST_REDIRECTS):
            answer = self._call(ask)
            if answer.status not in REDIRECTS:
                raise GitHubRefused(
                    f"{ask.where}: was to send us on to the archive, and answered {answer.status}",
                    answer.status,
                )
            location = answer.headers.get("location", "")
            renamed = api_target(self.host, location)
            if renamed is None:
                return allowed(self.host, location, ask.where)
            ask = replace(ask, target=renamed)
        raise GitHubRefused(f"{ask.where}: sends us on more than {_MOST_REDIRECTS} times", 302)

    def _target(self, path: str, params: Mapping[str, str | int] | None) -> str:
        if not _PATH.fullmatch(path):
            raise ValueError(f"not a quoted path: {path!r}")
        query = f"?{urlencode(params)}" if params else ""
        return f"{self.host.api_path}{path}{query}"

    def _where(self, method: str, path: str) -> str:
        return f"{method} {path} at {self.host.asked}"

    def _call(self, ask: Ask) -> Answer:
        """Ask until there is an answer, within the limits of tries, redirects and patience."""
        tries = self._pace.begin(ask.where)
        refusals = redirects = 0
        while True:
            tries.ready()
            outcome = self._exchange.send(ask)
            if isinstance(outcome, Failure):
                self._endure(ask, outcome, tries)
                continue
            status = outcome.status
            if 200 <= status < 300:
                refuse_page(outcome)
                return outcome
            if (status == 304 and ask.etag is not None) or (ask.archive and status in REDIRECTS):
                return outcome
            if status in _FOLLOWED and ask.method == "GET" and redirects < _MOST_REDIRECTS:
                redirects += 1
                ask = replace(ask, target=self._redirected(ask, outcome))
            elif status == 401 and refusals < _MOST_REFUSALS:
                refusals += 1
            else:
                self._judge(ask, outcome, tries)

    def _endure(self, ask: Ask, failure: Failure, tries: Persistence) -> None:
        if ask.method != "GET" and failure.sent:
            failure = replace(failure, passing=False)
        tries.failed(failure)

    def _redirected(self, ask: Ask, answer: Answer) -> str:
        location = answer.headers.get("location", "")
        target = api_target(self.host, location)
        if target is None:
            raise GitHubRefused(
                f"{ask.where}: sends us on ({answer.status}) to {named_host(location)}, which is "
                f"not below {self.host.api_url}: a login page, or another server?",
                answer.status,
            )
        return target

    def _judge(self, ask: Ask, answer: Answer, tries: Persistence) -> None:
        """Return where the same may be asked again, after all waiting; else raise."""
        status, message = answer.status, message_of(answer)
        wait = limit_seconds(status, answer.headers, message, limits=tries.limits, now=self._now())
        if wait is not None:
            tries.limited(wait)
        elif status in PASSING:
            said = f": {message}" if message else ""
            asked = asked_seconds(answer.headers, now=self._now())
            failure = Failure(f"it answered {status}{said}", retry_after_seconds=asked)
            self._endure(ask, failure, tries)
        else:
            refuse(ask.where, answer, message)
