"""A whole check, in order: the best place to start reading.

job -> workspace -> source -> environment -> init -> plan -> show -> verdict -> result
"""

import errno
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from driftfleet.closure import Closure
from driftfleet.errors import (
    CheckFailed,
    ConfigurationError,
    CredentialsRefused,
    Phase,
    TransientError,
)
from driftfleet.fingerprint import fingerprint
from driftfleet.github.transfer import printable
from driftfleet.jobs import Job
from driftfleet.mirror.layout import platform_name
from driftfleet.mirror.permissions import require_unwritable
from driftfleet.results import CheckError, ErrorKind, Result, Summary, Timings, Verdict, Versions
from worker.cost import Meter
from worker.environment import DATA_FOLDER
from worker.lockfile import LockFile
from worker.mirror import sync_command
from worker.module_fetch import fetch_modules
from worker.planfile import read_drift
from worker.sensitive import masked_changes, sensitive_in_plan, sensitive_values
from worker.stopwatch import Report, Stopwatch
from worker.terraform import Planned, Terraform
from worker.tools import Tools
from worker.verdict import Judgement, judge
from worker.versions import Choice
from worker.workspace import Workspace

log = structlog.get_logger()
_SHA_LENGTH = 12
_LONGEST_LOGGED = 200


@dataclass(frozen=True)
class _Answer:
    judgement: Judgement
    notes: tuple[str, ...]
    versions: Versions


@dataclass(frozen=True)
class _Course:
    """One check. ``learned`` are secrets that its files and its plan turned out to hold."""

    job: Job
    tools: Tools
    watch: Stopwatch
    started: float
    learned: list[str] = field(default_factory=list)


def check(
    job: Job,
    tools: Tools,
    report: Report,
    waited_seconds: float = 0.0,
    *,
    meter: Meter | None = None,
) -> Result:
    """Answer a job. Whatever goes wrong with the root becomes a result with verdict ``error``.

    What ends the worker itself (``SystemExit``) passes through: such a job is given back. So does a
    `TransientError`: it says nothing of the root, and waiting for better times would take a slot.
    ``meter`` counts what the check had cost before.
    """
    started_at, started = datetime.now(UTC), time.monotonic()
    watch, meter = Stopwatch(report), meter or Meter(tools.programs.measure())
    peak = 0
    answer: _Answer | None = None
    error: CheckError | None = None
    course = _Course(job, tools, watch, started)
    try:
        with tools.workspaces.use(job.limits.workspace_bytes) as workspace:
            try:
                tools.programs.guard(workspace.path)
                answer = _plan(course, workspace)
            finally:
                peak = workspace.peak_bytes
        tools.programs.guard(None)
    except TransientError:
        raise
    except Exception as failure:
        answer = None
        error = error_of(failure, watch.phase, tools, job, course.learned)
    redact = tools.redactor(job, course.learned)
    changes = () if answer is None else masked_changes(answer.judgement.changes, redact)
    return Result(
        job=job,
        verdict=Verdict.ERROR if answer is None else answer.judgement.verdict,
        summary=Summary() if answer is None else answer.judgement.summary,
        changes=changes,
        fingerprint="" if answer is None else fingerprint(changes),
        notes=() if answer is None else tuple(map(redact, answer.notes)),
        error=error,
        versions=Versions() if answer is None else answer.versions,
        timings_seconds=_timings(watch, waited_seconds, time.monotonic() - started),
        workspace_peak_bytes=peak,
        cost=meter.read(peak),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        worker=tools.name,
    )


def _plan(course: _Course, workspace: Workspace) -> _Answer:
    job, tools, watch = course.job, course.tools, course.watch
    deadline = course.started + job.limits.timeout_seconds
    with ExitStack() as stack:
        with watch.measure("source"):
            closure = tools.source.fetch(job, workspace, deadline)
            workspace.measure()
            course.learned.extend(sensitive_values(workspace.source, job))
            # In use until the check is over: nobody removes it meanwhile.
            choice = stack.enter_context(tools.chooser.use(job, closure, workspace, deadline))
        course = _as_plan(course, deadline)
        program = choice.chosen.path
        terraform = course.tools.terraform_in(
            workspace, job, program, deadline, learned=course.learned
        )
        return _judged(course, terraform, closure, choice)


def _as_plan(course: _Course, deadline: float) -> _Course:
    """The check with the credentials that its plan is to have."""
    if course.tools.plan_role is None:
        return course
    with course.watch.measure("init"):
        tools = course.tools.as_plan(course.job, deadline - time.monotonic())
    course.learned.extend(tools.keys.values())
    return replace(course, tools=tools)


def _judged(course: _Course, terraform: Terraform, closure: Closure, choice: Choice) -> _Answer:
    job, tools, watch = course.job, course.tools, course.watch
    lock_file = LockFile(terraform.folder, terraform.top)
    with watch.measure("init"):
        if tools.settings.mirror is not None:
            require_unwritable(tools.settings.mirror)
            lock_file.verify(tools.settings.mirror, platform_name())
        if closure.remote:
            # By themselves: only then may somebody have our token.
            terraform = fetch_modules(
                job,
                closure,
                choice,
                terraform,
                access=tools.modules,
                environment=tools.module_environment(terraform.workspace),
            )
        notes = terraform.init(
            job.variant,
            get_modules=not closure.remote,
            complete_lock_file=tools.settings.complete_lock_files,
        )
        if terraform.isolation is not None:
            terraform.isolation.require_state(terraform.folder, DATA_FOLDER)
        if job.variant.workspace is not None:
            terraform.select_workspace(job.variant.workspace)
        lock_file.drop_hashes()
    with watch.measure("plan"):
        planned = terraform.plan(job.variant)
    shown = _shown(terraform, planned, watch)
    course.learned.extend(sensitive_in_plan(shown or {}))
    judgement = judge(planned.exit_code, planned.messages, shown)
    versions = Versions(
        terraform=planned.messages.terraform_version or choice.chosen.version,
        providers=lock_file.providers(),
    )
    return _Answer(judgement, (*notes, *judgement.notes), versions)


def _shown(terraform: Terraform, planned: Planned, watch: Stopwatch) -> Mapping[str, Any] | None:
    """The plan's values, which tell drift from noise; None where it says that there is neither.

    ``show`` starts the provider once more. A plan that changes nothing is `clean` whatever drifted,
    and what did is also in its file (ADR 7).
    """
    drifted = planned.messages.drift_addresses
    if planned.exit_code == 0 and not drifted:
        return None
    with watch.measure("show"):
        drift = None
        if planned.exit_code == 0:
            drift = read_drift(terraform.workspace.plan, drifted, terraform.output_bytes)
        return drift or terraform.show()


def _timings(watch: Stopwatch, waited_seconds: float, total: float) -> Timings:
    phases = {phase: round(seconds, 3) for phase, seconds in watch.seconds.items()}
    return Timings(wait=round(max(0.0, waited_seconds), 3), total=round(total, 3), **phases)


def log_answered(result: Result, **more: str) -> None:
    """Log that a check was answered, once its result is stored: all that one asks for first."""
    error, cost = result.error, result.cost
    log.info(
        "check_answered",
        sha=result.job.source.sha[:_SHA_LENGTH],
        verdict=result.verdict.value,
        error=error.kind.value if error else None,
        error_phase=error.phase if error else None,
        error_message=printable(error.message, _LONGEST_LOGGED) if error else None,
        transient=error.transient if error else None,
        changes=len(result.changes),
        **{f"{name}_seconds": seconds for name, seconds in result.timings_seconds},
        cpu_seconds=cost.cpu_seconds,
        peak_memory_bytes=cost.peak_memory_bytes,
        peak_disk_bytes=cost.peak_disk_bytes,
        api_calls=cost.api_calls,
        terraform=result.versions.terraform,
        worker=result.worker,
        **more,
    )


def error_of(
    failure: Exception, phase: Phase, tools: Tools, job: Job, learned: Sequence[str] = ()
) -> CheckError:
    """The error record of whatever ended a check in ``phase``; ``learned`` as for `Tools`."""
    redact = tools.redactor(job, learned)
    if isinstance(failure, CheckFailed):
        phase, kind, message = failure.phase, ErrorKind(failure.kind), failure.message
        transient = failure.transient
        if kind is ErrorKind.PROVIDER_MISSING:
            message += f" Run: {sync_command(job.source, tools.settings.mirror)}"
        if kind is ErrorKind.PROVIDER_CRASHED and tools.settings.isolation != "none":
            message += (
                " Plans are isolated here: one that is made of more than what its package in the "
                "mirror holds needs that in worker.isolation_shows."
            )
    elif isinstance(failure, tools.time_limits):
        kind, transient = ErrorKind.TIMEOUT, False
        message = "the check was ended: it took longer than Celery's soft time limit"
    elif _is_disk_full(failure):
        kind, transient = ErrorKind.DISK_FULL, True
        message = (
            "no space left under worker.writable_root: free some, or give the worker more; "
            "what this check had written is removed"
        )
    elif isinstance(failure, CredentialsRefused):
        kind, message, transient = ErrorKind.CREDENTIALS, failure.message, False
    elif isinstance(failure, ConfigurationError):
        kind, message, transient = ErrorKind.WORKER_CONFIG, failure.message, False
    elif isinstance(failure, MemoryError):
        # Under late acknowledgement it would take the worker's main process down (celery#10462).
        kind, transient = ErrorKind.OUT_OF_MEMORY, True
        message = "the worker ran out of memory while it read what terraform printed"
    else:
        log.error("check_broke", job=job.title, traceback=redact(traceback.format_exc()))
        kind, transient = ErrorKind.INTERNAL, False
        message = (
            f"driftfleet itself failed ({type(failure).__name__}: {failure}); this is a bug in it: "
            "the worker's log has the traceback"
        )
    return CheckError(phase=phase, kind=kind, message=redact(message), transient=transient)


def _is_disk_full(failure: Exception) -> bool:
    cause = failure.__cause__ if isinstance(failure, ConfigurationError) else failure
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
