"""How long the phases of a check take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from driftfleet.errors import Phase

Report = Callable[[Phase], None]


class Stopwatch:
    """Adds up the seconds of each phase and tells who follows which one runs."""

    def __init__(self, report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self.phase: Phase = "source"
        self._report = report

    @contextmanager
    def measure(self, phase: Phase) -> Iterator[None]:
        """Count the time of the block as ``phase``."""
        self.phase = phase
        self._report(phase)
        started = time.monotonic()
        try:
            yield
        finally:
            spent = time.monotonic() - started
            self.seconds[phase] = self.seconds.get(phase, 0.0) + spent
