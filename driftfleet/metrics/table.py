"""Every metric there is: the one table from which Prometheus, CloudWatch and the docs are named.

All values of all labels are in it, so the number of series is known: a repository or a root is
never a label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from driftfleet.results import ErrorKind, Verdict

PREFIX = "driftfleet_"
Labels = tuple[str, ...]
_NONE: tuple[Labels, ...] = ((),)

_PLAN_BUCKETS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
_WAIT_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0)
_CPU_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TICK_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
_MEMORY_BUCKETS = tuple(
    float(megabytes << 20) for megabytes in (64, 128, 256, 512, 1024, 2048, 4096)
)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric. ``name`` is Prometheus's, without the prefix; ``series`` its labels' values.

    A counter is what was added, a gauge the last value, a histogram a distribution. Prometheus gets
    each series; CloudWatch the whole, and the part of each single value of a label.
    """

    name: str
    cloudwatch: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: Literal["Count", "Seconds", "Bytes"]
    about: str
    labels: Labels = ()
    series: tuple[Labels, ...] = _NONE
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        """As /metrics has it."""
        return PREFIX + self.name


def _each(*values: str) -> tuple[Labels, ...]:
    return tuple((value,) for value in values)


_JUDGED = tuple((verdict.value, "") for verdict in Verdict if verdict is not Verdict.ERROR)
_ERRORS = tuple((Verdict.ERROR.value, kind.value) for kind in ErrorKind)

# Where a sample was lost: in the full buffer between processes, for no row here has it, or since
# CloudWatch would not take it.
LOST_IN_BUFFER, LOST_AS_UNKNOWN, LOST_AT_CLOUDWATCH = "buffer", "unknown", "cloudwatch"

_ROWS = (
    Metric(
        name="checks_total", cloudwatch="Checks", kind="counter", unit="Count",
        about="Checks that were answered", labels=("verdict", "error_kind"),
        series=(*_JUDGED, *_ERRORS),
    ),
    Metric(
        name="plan_seconds", cloudwatch="PlanDuration", kind="histogram", unit="Seconds",
        about="How long terraform plan took", buckets=_PLAN_BUCKETS,
    ),
    Metric(
        name="check_seconds", cloudwatch="CheckDuration", kind="histogram", unit="Seconds",
        about="How long a check took, from its start to its answer", buckets=_PLAN_BUCKETS,
    ),
    Metric(
        name="check_wait_seconds", cloudwatch="CheckWait", kind="histogram", unit="Seconds",
        about="How long a check waited in the queue", buckets=_WAIT_BUCKETS,
    ),
    Metric(
        name="check_cpu_seconds", cloudwatch="CheckCpuTime", kind="histogram", unit="Seconds",
        about="CPU time of a check's programs", buckets=_CPU_BUCKETS,
    ),
    Metric(
        name="check_peak_memory_bytes", cloudwatch="CheckPeakMemory", kind="histogram",
        unit="Bytes", about="The most memory that a check's programs took", buckets=_MEMORY_BUCKETS,
    ),
    Metric(
        name="checks_put_back_total", cloudwatch="ChecksPutBack", kind="counter", unit="Count",
        about="Checks that had vanished from the queue and were put back",
    ),
    Metric(
        name="heartbeat_latency_seconds", cloudwatch="HeartbeatLatency", kind="gauge",
        unit="Seconds", about="How long the newest heartbeat took: queue, worker, store",
    ),
    Metric(
        name="heartbeat_age_seconds", cloudwatch="HeartbeatAge", kind="gauge", unit="Seconds",
        about="How long ago the newest heartbeat arrived",
    ),
    Metric(
        name="roots", cloudwatch="Roots", kind="gauge", unit="Count",
        about="Roots and variants by their latest verdict", labels=("verdict",),
        series=_each(*(verdict.value for verdict in Verdict)),
    ),
    Metric(
        name="staleness_seconds", cloudwatch="Staleness", kind="gauge", unit="Seconds",
        about="The age of the oldest latest result",
    ),
    Metric(
        name="sweeps_open", cloudwatch="SweepsOpen", kind="gauge", unit="Count",
        about="Sweeps that are not closed yet",
    ),
    Metric(
        name="sweeps_overdue", cloudwatch="SweepsOverdue", kind="gauge", unit="Count",
        about="Open sweeps that are past their deadline",
    ),
    Metric(
        name="sweeps_closed_total", cloudwatch="SweepsClosed", kind="counter", unit="Count",
        about="Sweeps that were closed: with all answers, or by their deadline without some",
        labels=("closed_by",), series=_each("answers", "deadline"),
    ),
    Metric(
        name="queue_jobs", cloudwatch="QueueJobs", kind="gauge", unit="Count",
        about="Checks that wait, run, or wait for their next try", labels=("state",),
        series=_each("waiting", "running", "later"),
    ),
    Metric(
        name="queue_age_seconds", cloudwatch="QueueAge", kind="gauge", unit="Seconds",
        about="How long the oldest waiting check has waited",
    ),
    Metric(
        name="tick_seconds", cloudwatch="TickDuration", kind="histogram", unit="Seconds",
        about="How long the producer took for a tick", buckets=_TICK_BUCKETS,
    ),
    Metric(
        name="slots", cloudwatch="Slots", kind="gauge", unit="Count",
        about="Checks that this worker can run at once",
    ),
    Metric(
        name="slots_busy", cloudwatch="SlotsBusy", kind="gauge", unit="Count",
        about="Checks that this worker runs now",
    ),
    Metric(
        name="disk_used_bytes", cloudwatch="DiskUsed", kind="gauge", unit="Bytes",
        about="What is used of the file system of worker.writable_root",
    ),
    Metric(
        name="disk_free_bytes", cloudwatch="DiskFree", kind="gauge", unit="Bytes",
        about="What is free on the file system of worker.writable_root",
    ),
    Metric(
        name="metrics_lost_total", cloudwatch="MetricsLost", kind="counter", unit="Count",
        about="Samples that reached nobody", labels=("where",),
        series=_each(LOST_IN_BUFFER, LOST_AS_UNKNOWN, LOST_AT_CLOUDWATCH),
    ),
)  # fmt: skip

METRICS: Mapping[str, Metric] = {row.name: row for row in _ROWS}
