"""What a scan does when its queue or its worker fails: it never hangs and is never silent."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto

MOST_RESTARTS = 5
MOST_RESENDS = 2
RESTART_SECONDS = 1.0
LOST_SECONDS = 5.0


class Action(Enum):
    """What to do now."""

    WAIT = auto()
    RESTART = auto()
    RESEND = auto()
    GIVE_UP = auto()


@dataclass(frozen=True)
class Observation:
    """What a scan sees while checks are pending.

    ``queued``: Redis still holds a message, waiting or with a worker. ``progress`` is anything that
    differs when something has happened.
    """

    alive: bool
    queued: bool
    progress: Hashable


class Recovery:
    """Decides from observations; times are seconds of a monotonic clock.

    ``patience_seconds`` has to be longer than one check may take.
    """

    def __init__(self, now: float, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._started = self._moved = now
        self._progress: Hashable = None
        self._lost_since: float | None = None
        self._restarts = self._resends = 0
        self.reason = ""

    def decide(self, now: float, seen: Observation) -> Action:
        """What to do now; after `Action.GIVE_UP` ``reason`` says why."""
        if seen.progress != self._progress:
            self._progress, self._moved = seen.progress, now
        if not seen.alive:
            return self._restart(now)
        if now - self._moved > self._patience_seconds:
            return self._give_up(f"nothing moved for {self._patience_seconds:.0f} seconds")
        if seen.queued:
            self._lost_since = None
            return Action.WAIT
        return self._resend(now)

    def _restart(self, now: float) -> Action:
        if self._restarts >= MOST_RESTARTS:
            return self._give_up(f"the worker process died {MOST_RESTARTS + 1} times")
        if now - self._started < RESTART_SECONDS:
            return Action.WAIT
        self._restarts += 1
        self._started = self._moved = now
        self._lost_since = None
        return Action.RESTART

    def _resend(self, now: float) -> Action:
        # The Redis transport can lose a message between taking and noting it (kombu#305).
        if self._lost_since is None:
            self._lost_since = now
        if now - self._lost_since < LOST_SECONDS:
            return Action.WAIT
        if self._resends >= MOST_RESENDS:
            return self._give_up(f"the queue lost its message {MOST_RESENDS + 1} times")
        self._resends += 1
        self._lost_since = None
        return Action.RESEND

    def _give_up(self, reason: str) -> Action:
        self.reason = reason
        return Action.GIVE_UP
