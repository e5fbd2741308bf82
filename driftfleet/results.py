"""The result: the record that answers a job. Names of attributes are in it, never their values."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from driftfleet.errors import Phase
from driftfleet.jobs import Job
from driftfleet.model import Record
from driftfleet.places import history_start, latest_key, place


class Verdict(StrEnum):
    """What a check found. `error` is neither silence nor `clean`."""

    CLEAN = "clean"
    DRIFTED = "drifted"
    UNAPPLIED = "unapplied"
    DRIFTED_UNAPPLIED = "drifted_unapplied"
    ERROR = "error"


class ErrorKind(StrEnum):
    """Why a check could not be judged; docs/errors.md and `driftfleet.remedies` say what to do."""

    HCL = "hcl"
    VERSION = "version"
    JOB_REFUSED = "job_refused"
    SOURCE_MISSING = "source_missing"
    SOURCE_REFUSED = "source_refused"
    SOURCE_UNREACHABLE = "source_unreachable"
    MODULE_FETCH = "module_fetch"
    PROVIDER_MISSING = "provider_missing"
    PROVIDER_CRASHED = "provider_crashed"
    LOCK_MISMATCH = "lock_mismatch"
    BACKEND_UNREACHABLE = "backend_unreachable"
    BACKEND_CONFIG = "backend_config"
    WORKSPACE_MISSING = "workspace_missing"
    CREDENTIALS = "credentials"
    STATE_LOCKED = "state_locked"
    VARIABLE_MISSING = "variable_missing"
    TIMEOUT = "timeout"
    DISK_QUOTA = "disk_quota"
    DISK_FULL = "disk_full"
    OUTPUT_LIMIT = "output_limit"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    CANCELLED = "cancelled"
    WORKER_LOST = "worker_lost"
    TERRAFORM_MISSING = "terraform_missing"
    INIT_FAILED = "init_failed"
    PLAN_FAILED = "plan_failed"
    PLAN_UNREADABLE = "plan_unreadable"
    WORKER_CONFIG = "worker_config"
    INTERNAL = "internal"


class Change(Record):
    """One thing that differs.

    ``kind``: `drift` was changed outside Terraform, `unapplied` is asked for by the code and was
    never applied, `output` is a root output whose value would change. ``actions`` are Terraform's
    (`create`, `update`, `delete`, ...); for `drift` they say what happened outside.
    """

    address: str
    module: str = ""
    type: str = ""
    provider: str = ""
    kind: Literal["drift", "unapplied", "output"]
    actions: tuple[str, ...]
    attributes: tuple[str, ...] = ()


class Summary(Record):
    """Counts. ``outputs`` are those of the root whose value would change; ``suppressed`` are drift
    reports that only differ in null or empty values.
    """

    add: int = 0
    change: int = 0
    destroy: int = 0
    drifted: int = 0
    outputs: int = 0
    suppressed: int = 0


class CheckError(Record):
    """Why a check could not be judged. ``transient``: a later check may succeed by itself."""

    phase: Phase
    kind: ErrorKind
    message: str
    transient: bool = False


class Versions(Record):
    """What planned: ``providers`` maps a source address to its version."""

    terraform: str = ""
    providers: dict[str, str] = Field(default_factory=dict)


class Timings(Record):
    """Seconds by phase; ``wait`` is the time in the queue."""

    wait: float = 0.0
    source: float = 0.0
    init: float = 0.0
    plan: float = 0.0
    show: float = 0.0
    total: float = 0.0


class Cost(Record):
    """What a check took of its worker.

    ``cpu_seconds`` is of all its programs, those that were killed too, and of the worker itself.
    ``peak_memory_bytes`` is the most that its programs had resident at one moment, together; what
    they share counts for each. ``api_calls`` are requests sent to GitHub, also those tried again.
    """

    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    peak_disk_bytes: int = 0
    api_calls: int = 0


class Result(Record):
    """The answer to one job, schema 1.

    ``fingerprint`` is the same for the same set of changes (`driftfleet.fingerprint`). Where the
    record would be too large, the last ``changes_cut`` changes are left out of it; the counts of
    ``summary`` and the fingerprint are of all.
    """

    schema_version: Literal[1] = 1
    job: Job
    verdict: Verdict
    summary: Summary = Summary()
    changes: tuple[Change, ...] = ()
    changes_cut: int = 0
    fingerprint: str = ""
    notes: tuple[str, ...] = ()
    error: CheckError | None = None
    versions: Versions = Versions()
    timings_seconds: Timings = Timings()
    workspace_peak_bytes: int = 0
    cost: Cost = Cost()
    started_at: AwareDatetime
    finished_at: AwareDatetime
    worker: str = ""

    @property
    def history_key(self) -> str:
        """``results/OWNER/REPO/ROOT/VARIANT/FINISHED-SWEEP.json``, immutable once written."""
        return f"{history_start(place(self.job), self.finished_at)}-{self.job.sweep_id}.json"

    @property
    def latest_key(self) -> str:
        """``latest/OWNER/REPO/ROOT/VARIANT.json``."""
        return latest_key(self.job)


def error_result(
    job: Job,
    error: CheckError,
    worker: str,
    cost: Cost | None = None,
    *,
    at: datetime | None = None,
) -> Result:
    """The answer to a job that was never planned: it began and ended ``at``, by default now."""
    now = at or datetime.now(UTC)
    return Result(
        job=job,
        verdict=Verdict.ERROR,
        error=error,
        cost=cost or Cost(),
        started_at=now,
        finished_at=now,
        worker=worker,
    )
