"""What a check costs: processor time, memory, disk, and requests to GitHub's API."""

import contextlib
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from driftfleet.github.tally import SENT
from driftfleet.results import Cost


@dataclass
class Usage:
    """What a runner's programs have taken, those that were ended and those left behind too.

    ``memory_bytes`` is the most that was resident at one moment. ``runners_seconds`` is the CPU of
    runners that have ended, with all that they ran: this process has waited for them.
    """

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    runners_seconds: float = 0.0
    # Of the program that runs: what is in the sum already.
    _counted_seconds: float = 0.0

    def begin(self) -> None:
        """The next program is started."""
        self._counted_seconds = 0.0

    def add(self, told: Mapping[str, float]) -> None:
        """Count what the program has taken by now, as `worker.runner` tells it."""
        self.cpu_seconds += told["cpu_seconds"] - self._counted_seconds
        self._counted_seconds = told["cpu_seconds"]
        self.memory_bytes = max(self.memory_bytes, int(told["memory_bytes"]))

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count apart what a runner adds that is waited for: it has told of all that it ran."""
        before = _children_seconds()
        try:
            yield
        finally:
            self.runners_seconds += _children_seconds() - before


class Meter:
    """Reads what a check has cost since it began; ``usage`` is that of its programs."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._own_seconds = time.process_time()
        self._children_seconds = _children_seconds()
        self._calls = SENT.total

    def read(self, peak_disk_bytes: int) -> Cost:
        """The cost until now."""
        # What no runner ran: an installer of versions, and its programs.
        others = _children_seconds() - self._children_seconds - self._usage.runners_seconds
        own = time.process_time() - self._own_seconds
        return Cost(
            cpu_seconds=round(self._usage.cpu_seconds + others + own, 3),
            peak_memory_bytes=self._usage.memory_bytes,
            peak_disk_bytes=peak_disk_bytes,
            api_calls=SENT.total - self._calls,
        )


def _children_seconds() -> float:
    """The CPU of all processes that this one has waited for, and of those they waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
