"""The task that answers one job, and the one table of what is retried."""

import random
import time
from typing import Any, NamedTuple, NoReturn

import structlog
from celery import Celery, Task
from celery.exceptions import Reject

from driftfleet.errors import (
    BrokerUnavailable,
    ContractError,
    DriftfleetError,
    StoreUnavailable,
    TransientError,
)
from driftfleet.jobs import CHECK_TASK, Job, decode_job
from driftfleet.ledger import Answer, Ledger, Running
from driftfleet.results import CheckError, ErrorKind, Result, error_result
from driftfleet.store import ResultStore
from worker.check import Tools, check

log = structlog.get_logger()

# A job that takes its worker down is delivered again this often, and then answered.
MOST_DELIVERIES = 3
_LOST = (
    f"{MOST_DELIVERIES} workers died while they planned this root, most often for want of memory: "
    "look at the workers' logs, and give them more memory or a lower worker.concurrency"
)


class Retry(NamedTuple):
    """After how many seconds (doubled each time, up to the longest) a failure is tried again.

    ``attempts`` is None where only trying again can give an answer at all.
    """

    attempts: int | None
    first_seconds: float
    longest_seconds: float


# What is retried. Anything else is answered at once: a verdict `error` is an answer, too.
RETRIES: dict[type[DriftfleetError], Retry] = {
    StoreUnavailable: Retry(attempts=None, first_seconds=2, longest_seconds=300),
    BrokerUnavailable: Retry(attempts=None, first_seconds=2, longest_seconds=300),
    TransientError: Retry(attempts=4, first_seconds=2, longest_seconds=60),
}


def register(app: Celery, tools: Tools, store: ResultStore, ledger: Ledger) -> Task:
    """Register the check task with the application."""

    @app.task(name=CHECK_TASK, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def check_task(task: Task, payload: Any) -> None:
        structlog.contextvars.clear_contextvars()
        try:
            job = decode_job(payload)
        except ContractError as error:
            # Nobody can be answered: the message names no job. It is never tried again.
            log.error("job_refused", reason=error.message, task_id=task.request.id)
            return
        structlog.contextvars.bind_contextvars(
            sweep=job.sweep_id, repo=job.source.slug, root=job.root, variant=job.variant.name
        )
        try:
            answer(job, task, tools, store, ledger)
        except Exception as error:
            policy = _policy(error, task.request.retries)
            if policy is not None:
                _retry(task, error, policy)
            # `check` explains all that a root can do; what comes here is our own bug. It would be
            # acknowledged without an answer otherwise, and silence is the one thing not to give.
            log.exception("answer_broke")
            message = f"driftfleet itself failed ({type(error).__name__}); see the worker's log"
            _give(_failed(job, tools.name, ErrorKind.INTERNAL, message), store, ledger)

    return check_task


def answer(job: Job, task: Task, tools: Tools, store: ResultStore, ledger: Ledger) -> None:
    """Check, store the result, then note it in the ledger: in this order nothing is lost."""
    # Counted in Redis, not here: the delivery that matters is the one that kills this process.
    retries = task.request.retries
    deliveries = ledger.count_try(f"{task.request.id}:{retries}")
    if deliveries > MOST_DELIVERIES:
        result = _failed(job, tools.name, ErrorKind.WORKER_LOST, _LOST)
    else:
        result = check(job, tools, _reporter(job, tools, ledger), _waited_seconds(task))
    _give(result, store, ledger)
    log.info(
        "check_answered",
        verdict=result.verdict.value,
        error=result.error.kind.value if result.error else None,
        changes=len(result.changes),
        seconds=result.timings_seconds.total,
        peak_bytes=result.workspace_peak_bytes,
    )


def _reporter(job: Job, tools: Tools, ledger: Ledger) -> Any:
    started_at = time.time()

    def report(phase: str) -> None:
        running = Running(title=job.title, phase=phase, worker=tools.name, started_at=started_at)
        try:
            ledger.begin(job.sweep_id, job.identity, running)
        except BrokerUnavailable as error:
            # Who watches sees nothing for a while; the check itself goes on.
            log.warning("progress_not_noted", reason=error.message)

    return report


def _waited_seconds(task: Task) -> float:
    sent = task.request.get("sent_at")
    return time.time() - float(sent) if sent else 0.0


def _policy(error: Exception, retries: int) -> Retry | None:
    """How this failure is tried again; None where it isn't, or not any more."""
    policy = next((p for kind, p in RETRIES.items() if isinstance(error, kind)), None)
    spent = policy is not None and policy.attempts is not None and retries >= policy.attempts
    return None if spent else policy


def _retry(task: Task, error: Exception, policy: Retry) -> NoReturn:
    wait = min(policy.first_seconds * 2 ** min(task.request.retries, 16), policy.longest_seconds)
    wait *= random.uniform(0.75, 1.25)  # noqa: S311 - not all at the same moment
    if isinstance(error, TransientError) and error.retry_after_seconds:
        wait = max(wait, error.retry_after_seconds)
    log.warning("check_tried_again", reason=str(error), after_seconds=round(wait, 1))
    try:
        raise task.retry(exc=error, countdown=wait)
    except Reject as reject:
        # Redis didn't take the retry either. Celery would drop the job; so it is given back.
        raise Reject(reject.reason, requeue=True) from error


def _give(result: Result, store: ResultStore, ledger: Ledger) -> None:
    job = result.job
    key = store.add(result)
    ledger.answer(job.sweep_id, Answer(check=job.identity, verdict=result.verdict, key=key))


def _failed(job: Job, worker: str, kind: ErrorKind, message: str) -> Result:
    """The answer to a job that can't be checked."""
    return error_result(job, CheckError(phase="plan", kind=kind, message=message), worker)
