"""What can be measured: a method for each thing that happens. None raises, none waits."""

from collections.abc import Mapping

from driftfleet.metrics.outlet import Nowhere, Outlet
from driftfleet.metrics.sample import Sample
from driftfleet.results import ErrorKind, Verdict


class Meter:
    """Tells what happens in this process. Without an outlet it tells nobody."""

    def __init__(self, outlet: Outlet | None = None) -> None:
        self._outlet = outlet or Nowhere()

    def check_answered(
        self,
        verdict: Verdict,
        error_kind: ErrorKind | None = None,
        *,
        plan_seconds: float | None = None,
        total_seconds: float | None = None,
        wait_seconds: float | None = None,
        cpu_seconds: float | None = None,
        peak_memory_bytes: float | None = None,
    ) -> None:
        """A check was answered. What never happened, such as the plan of a broken root, is None."""
        measured = {
            "plan_seconds": plan_seconds,
            "check_seconds": total_seconds,
            "check_wait_seconds": wait_seconds,
            "check_cpu_seconds": cpu_seconds,
            "check_peak_memory_bytes": peak_memory_bytes,
        }
        kind = error_kind.value if error_kind else ""
        self._put(
            Sample("checks_total", 1, (verdict.value, kind)),
            *(Sample(name, value) for name, value in measured.items() if value is not None),
        )

    def checks_put_back(self, count: int) -> None:
        """So many checks were neither queued nor running, and are queued again."""
        self._put(Sample("checks_put_back_total", count))

    def heartbeat(
        self, *, age_seconds: float | None = None, latency_seconds: float | None = None
    ) -> None:
        """How old the newest heartbeat is, and how long one took that has just arrived."""
        measured = {
            "heartbeat_age_seconds": age_seconds,
            "heartbeat_latency_seconds": latency_seconds,
        }
        self._put(*(Sample(name, value) for name, value in measured.items() if value is not None))

    def roots_by_verdict(self, counts: Mapping[Verdict, int]) -> None:
        """How many roots have which latest verdict; a verdict that isn't named has none."""
        self._put(*(Sample("roots", counts.get(one, 0), (one.value,)) for one in Verdict))

    def staleness(self, seconds: float) -> None:
        """The age of the oldest latest result."""
        self._put(Sample("staleness_seconds", seconds))

    def sweeps(self, *, open_now: int, overdue: int) -> None:
        """How many sweeps are open, and how many of them are past their deadline."""
        self._put(Sample("sweeps_open", open_now), Sample("sweeps_overdue", overdue))

    def sweep_closed(self, *, by_deadline: bool = False) -> None:
        """A sweep was closed: by its last answer, or by its deadline without some."""
        self._put(Sample("sweeps_closed_total", 1, ("deadline" if by_deadline else "answers",)))

    def queue(self, *, waiting: int, running: int, later: int, age_seconds: float) -> None:
        """How many checks are where; ``later`` wait for their next try.

        ``age_seconds`` is how long the oldest of the waiting has waited, 0 where none waits.
        """
        states = {"waiting": waiting, "running": running, "later": later}
        self._put(
            *(Sample("queue_jobs", count, (state,)) for state, count in states.items()),
            Sample("queue_age_seconds", age_seconds),
        )

    def tick(self, seconds: float) -> None:
        """The producer has done what was due; how long that took."""
        self._put(Sample("tick_seconds", seconds))

    def slots(self, *, busy: int, total: int) -> None:
        """How many of a worker's slots have a check."""
        self._put(Sample("slots", total), Sample("slots_busy", busy))

    def disk(self, *, used_bytes: int, free_bytes: int) -> None:
        """The file system of a worker's writable root."""
        self._put(Sample("disk_used_bytes", used_bytes), Sample("disk_free_bytes", free_bytes))

    def start(self) -> None:
        """Begin to read and to publish; in the process that opened the meter, after its forks."""

    def close(self) -> None:
        """Publish what is left, within seconds."""

    def _put(self, *samples: Sample) -> None:
        self._outlet.put(samples)
