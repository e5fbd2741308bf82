"""Until when a thread may ask: a check has a time limit, and so has all that it waits for."""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator

# A socket takes nought for "don't wait at all", and answers with another error.
_SHORTEST_SECONDS = 0.01


class Deadline:
    """A time of ``clock`` for each thread; none at first. Threads of a pool `adopt` another's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of_thread = threading.local()

    @property
    def at(self) -> float:
        """When this thread's time is over."""
        at: float = getattr(self._of_thread, "at", math.inf)
        return at

    @property
    def left_seconds(self) -> float:
        """What is left of this thread's time; below zero where it is over."""
        return self.at - self._clock()

    def adopt(self, at: float) -> None:
        """Set this thread's time."""
        self._of_thread.at = at

    @contextlib.contextmanager
    def until(self, at: float) -> Iterator[None]:
        """Let this thread's time end at ``at``, unless it ends before that, for the block."""
        before = self.at
        self.adopt(min(before, at))
        try:
            yield
        finally:
            self.adopt(before)

    def bounded(self, seconds: float) -> float:
        """``seconds``, or less where less is left: for a time-out."""
        return min(seconds, max(self.left_seconds, _SHORTEST_SECONDS))

    def expiry(self, seconds: float) -> Callable[[], bool]:
        """A check whether ``seconds`` have passed since now, or this thread's time is over."""
        end = min(self._clock() + seconds, self.at)
        return lambda: self._clock() > end
