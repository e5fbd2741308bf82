"""When to ask: all threads of a client hold together, and each request waits only so long."""

import math
import threading
from collections.abc import Callable

import structlog

from driftfleet.errors import GitHubUnavailable
from driftfleet.github.deadline import Deadline
from driftfleet.github.limits import MOST_LIMITS, MOST_TRIES, pause_seconds
from driftfleet.github.transfer import Failure

_log = structlog.get_logger()
_LIMIT = "its rate limit"
# Our own pauses are shorter: who watches wonders about this one.
_TOLD_SECONDS = 10.0


class Pace:
    """What the threads of one client share: until when nothing is sent, and how they wait.

    ``deadline`` is each thread's own. ``sleep`` stands in for the real waiting, in tests;
    ``chance`` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        patience_seconds: float,
        host: str,
        clock: Callable[[], float],
        sleep: Callable[[float], object] | None,
        chance: Callable[[], float],
    ) -> None:
        self.patience_seconds = patience_seconds
        self.chance = chance
        self.deadline = Deadline(clock)
        self._host = host
        self._clock = clock
        self._sleep = sleep
        self._not_before = -math.inf
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._batches: set[threading.Event] = set()
        self._of_thread = threading.local()

    def begin(self, where: str) -> "Persistence":
        """The tries of one request; ``where`` names it in errors."""
        return Persistence(self, where)

    def hold(self, seconds: float) -> None:
        """Let nobody send for so long."""
        with self._lock:
            now = self._clock()
            until = now + seconds
            # Of one limit each thread learns at a moment of its own: it is told once.
            news = self._not_before <= now or until > self._not_before + _TOLD_SECONDS
            self._not_before = max(until, self._not_before)
        if news:
            _log.warning("github_rate_limit", host=self._host, wait_seconds=round(seconds, 1))

    def held_seconds(self) -> float:
        """For how long nobody may send; 0 for not at all."""
        not_before = self._not_before
        return max(0.0, not_before - self._clock()) if not_before > -math.inf else 0.0

    def wait(self, seconds: float) -> None:
        """Wait; raises `GitHubUnavailable` where that ends because somebody stops us."""
        if self._sleep is not None:
            self._sleep(seconds)
            return
        event = getattr(self._of_thread, "batch", self._stopping)
        if event.wait(seconds) or self._stopping.is_set():
            raise GitHubUnavailable(f"{self._host}: given up, we are stopping")

    def stop(self) -> None:
        """End all waiting."""
        self._stopping.set()
        with self._lock:
            batches = list(self._batches)
        for batch in batches:
            batch.set()

    def open_batch(self) -> tuple[threading.Event, float]:
        """What the threads that `join_batch` it share: what ends their waiting, our deadline."""
        batch = threading.Event()
        with self._lock:
            self._batches.add(batch)
        return batch, self.deadline.at

    def join_batch(self, batch: threading.Event, deadline: float) -> None:
        """Let this thread's waiting end with ``batch``, and its time at ``deadline``."""
        self._of_thread.batch = batch
        self.deadline.adopt(deadline)

    def close_batch(self, batch: threading.Event) -> None:
        """End the waiting of a batch's threads."""
        batch.set()
        with self._lock:
            self._batches.discard(batch)


class Persistence:
    """Counts the tries of one request, and says when it is enough."""

    def __init__(self, pace: Pace, where: str) -> None:
        self._pace = pace
        self._where = where
        self._tries = 0
        self.limits = 0
        self._waited_seconds = 0.0

    def ready(self) -> None:
        """Return once something may be sent.

        Raises
        ------
        GitHubUnavailable
            That is later than we wait; told at once. Or there is no time left.
        """
        if self._pace.deadline.left_seconds <= 0:
            raise GitHubUnavailable(f"{self._where}: was not asked for: there is no time left")
        while (held := self._pace.held_seconds()) > 0:
            # A little later than allowed, and each thread at another moment.
            self._wait(held, held + min(1.0, held / 10) * self._pace.chance(), _LIMIT)

    def limited(self, seconds: float) -> None:
        """A rate limit was met: everybody holds."""
        self.limits += 1
        self._pace.hold(seconds)
        if self.limits > MOST_LIMITS:
            raise GitHubUnavailable(
                f"{self._where}: its rate limit was met {self.limits} times in a row",
                retry_after_seconds=seconds,
            )

    def failed(self, failure: Failure) -> None:
        """A try failed; returns after a pause where another is worth it.

        Raises
        ------
        GitHubUnavailable
            It is not, or there were enough.
        """
        self._tries += 1
        end = f"; {failure.mend}" if failure.mend else ""
        asked = failure.retry_after_seconds
        if not failure.passing:
            raise GitHubUnavailable(
                f"{self._where}: {failure.reason}{end}", retry_after_seconds=asked
            )
        if self._tries >= MOST_TRIES:
            raise GitHubUnavailable(
                f"{self._where}: {failure.reason}, {self._tries} times in a row{end}",
                retry_after_seconds=asked,
            )
        pause = pause_seconds(self._tries, self._pace.chance())
        _log.debug("github_retry", where=self._where, reason=failure.reason, tries=self._tries)
        if asked is None or asked < pause:
            self._wait(pause, pause, failure.reason)
        else:
            # Whoever else was told so must not come back at the same moment.
            self._wait(asked, asked + pause, failure.reason)

    def _wait(self, needed: float, planned: float, reason: str) -> None:
        left = self._pace.patience_seconds - self._waited_seconds
        time_left = self._pace.deadline.left_seconds
        if needed > left or needed >= time_left:
            kept = (
                "what we wait for it (github.patience_seconds)"
                if needed > left
                else "the time in which it is of use"
            )
            raise GitHubUnavailable(
                f"{self._where}: {reason}: it may be asked again in {math.ceil(needed)} s, and "
                f"{max(0, math.floor(min(left, time_left)))} s are left of {kept}",
                retry_after_seconds=needed,
            )
        if needed >= _TOLD_SECONDS and reason != _LIMIT:
            _log.warning("github_busy", where=self._where, wait_seconds=round(needed, 1))
        self._pace.wait(min(planned, time_left))
        self._waited_seconds += planned
