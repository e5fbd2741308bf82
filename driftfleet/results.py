"""The result: the record that answers a job. Names of attributes are in it, never their values."""

import hashlib
import json
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, TypeVar
from urllib.parse import quote

from pydantic import AwareDatetime, Field, ValidationError

from driftfleet.errors import ContractError, Phase
from driftfleet.jobs import Job
from driftfleet.model import Record


class Verdict(StrEnum):
    """What a check found. `error` is neither silence nor `clean`."""

    CLEAN = "clean"
    DRIFTED = "drifted"
    UNAPPLIED = "unapplied"
    DRIFTED_UNAPPLIED = "drifted_unapplied"
    ERROR = "error"


class ErrorKind(StrEnum):
    """Why a check could not be judged; docs/errors.md says what to do about each."""

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
    """Counts. ``suppressed`` are drift reports that only differ in null or empty values."""

    add: int = 0
    change: int = 0
    destroy: int = 0
    drifted: int = 0
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
    """The answer to one job, schema 1."""

    schema_version: Literal[1] = 1
    job: Job
    verdict: Verdict
    summary: Summary = Summary()
    changes: tuple[Change, ...] = ()
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
        return f"{history_start(self.job, self.finished_at)}-{self.job.sweep_id}.json"

    @property
    def latest_key(self) -> str:
        """``latest/OWNER/REPO/ROOT/VARIANT.json``."""
        return latest_key(self.job)


def history_start(job: Job, finished_at: datetime) -> str:
    """Below every history key of the job's place that finished then or later, in their order."""
    finished = finished_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"results/{place(job)}/{finished}"


def latest_key(job: Job) -> str:
    """``latest/OWNER/REPO/ROOT/VARIANT.json``."""
    return f"latest/{place(job)}.json"


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


class LatestRecord(Record):
    """The newest result of a root and variant, and since when it has been so.

    ``first_seen`` is when the present verdict was first given without another one between;
    ``streak`` is how many checks in a row gave it.
    """

    schema_version: Literal[1] = 1
    first_seen: AwareDatetime
    streak: int
    result: Result


class SweepRecord(Record):
    """What a sweep asked for and what came back. ``closed_at`` is None while it runs.

    ``missing`` are titles of jobs that were never answered, ``superseded`` of those that a newer
    commit replaced while they waited, ``problems`` sentences about what could not be looked at, so
    that nothing was asked for it. At ``deadline`` it is closed, whatever is missing then.
    """

    schema_version: Literal[1] = 1
    sweep_id: str
    source: str
    asked: tuple[str, ...]
    answered: dict[str, Verdict] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    started_at: AwareDatetime
    deadline: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None


class SweepManifest(Record):
    """The jobs of a sweep that is open: what is sent again when Redis has lost it."""

    schema_version: Literal[1] = 1
    sweep_id: str
    jobs: tuple[Job, ...]
    asked_at: AwareDatetime
    deadline: AwareDatetime

    def encode(self) -> bytes:
        """Compact JSON without the defaults, which `decode_record` restores."""
        told = self.model_dump(mode="json", exclude_defaults=True)
        told = {"schema_version": self.schema_version, **told}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


_LONGEST_SEGMENT = 200


def place(job: Job) -> str:
    """The part of a store key that names repository, root and variant.

    Every segment is percent-encoded so that no root's name can leave its prefix or meet another
    record; the repository's top is ``@root``, which no folder's encoded name can be.
    """
    root = "@root" if job.root == "." else _segments(job.root)
    return f"{_segments(job.source.slug)}/{root}/{job.variant.name}"


def _segments(path: str) -> str:
    return "/".join(segment(name) for name in path.split("/"))


def segment(name: str) -> str:
    """A name of any length and letters as one part of a store key."""
    encoded = quote(name, safe="")
    if len(encoded) > _LONGEST_SEGMENT:
        # A file's name is at most 255 bytes long; the digest keeps long names apart.
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        encoded = f"{encoded[: _LONGEST_SEGMENT - 25]}~{digest}"
    # A folder `x.json` could stand where the record of a variant `x` belongs.
    return re.sub(r"^\.+|\.(?=json$)", lambda m: "%2E" * len(m.group()), encoded)


RecordT = TypeVar("RecordT", bound=Record)


def decode_record(model: type[RecordT], payload: bytes | str) -> RecordT:
    """Read a stored record of the kind ``model``.

    Raises
    ------
    ContractError
        It is no such record of schema 1.
    """
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise ContractError(f"not a {model.__name__} of schema 1: {error}", payload) from error
