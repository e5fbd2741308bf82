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
    GitHubUnavailable,
    SecretUnavailable,
    StoreUnavailable,
    TransientError,
)
from driftfleet.jobs import CHECK_TASK, Job, decode_job
from driftfleet.ledger import Answer, Ledger, Running
from driftfleet.results import CheckError, ErrorKind, Result, error_result
from driftfleet.store import ResultStore
from worker.check import check, log_answered
from worker.tools import Tools

log = structlog.get_logger()

# A job that takes its worker down is delivered again this often, and then answered.
MOST_DELIVERIES = 3
_LOST = (
    f"{MOST_DELIVERIES} workers died while they planned this root, most often for want of memory: "
    "look at the workers' logs, and give them more memory or a lower worker.concurrency"
)


class Retry(NamedTuple):
    """After how many seconds (doubled each time, up to the longest) a failure is tried again.

    ``attempts`` is None where only trying again can give an answer at all; ``spent`` is what the
    answer says when they are used up.
    """

    attempts: int | None
    first_seconds: float
    longest_seconds: float
    spent: ErrorKind = ErrorKind.INTERNAL

    def wait_seconds(self, retries: int, asked_seconds: float | None = None) -> float:
        """How long to wait after so many retries, at least as long as the other side asked."""
        own = min(self.first_seconds * 2.0 ** min(retries, 16), self.longest_seconds)
        return max(own, min(asked_seconds or 0.0, _LONGEST_ASKED_SECONDS))


# What another side may ask us to wait: a rate limit of GitHub's passes within the hour.
_LONGEST_ASKED_SECONDS = 3600.0
_SOURCE = Retry(
    attempts=4, first_seconds=5, longest_seconds=300, spent=ErrorKind.SOURCE_UNREACHABLE
)
# What is retried, the first row that fits. Anything else is answered at once: a verdict `error` is
# an answer, too.
RETRIES: dict[type[DriftfleetError], Retry] = {
    StoreUnavailable: Retry(attempts=None, first_seconds=2, longest_seconds=300),
    BrokerUnavailable: Retry(attempts=None, first_seconds=2, longest_seconds=300),
    GitHubUnavailable: _SOURCE,
    SecretUnavailable: _SOURCE,
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
            policy, retries = _policy(error), task.request.retries
            if policy is not None and (policy.attempts is None or retries < policy.attempts):
                _retry(task, error, policy)
            # It would be acknowledged without an answer otherwise, and silence is the one thing
            # not to give.
            _give(_given_up(job, tools, error, policy, retries), store, ledger)

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
    log_answered(result)


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


def _policy(error: Exception) -> Retry | None:
    """How this failure is tried again; None where it isn't."""
    return next((p for kind, p in RETRIES.items() if isinstance(error, kind)), None)


def _retry(task: Task, error: Exception, policy: Retry) -> NoReturn:
    asked = error.retry_after_seconds if isinstance(error, TransientError) else None
    # Not all at the same moment, and none before its time.
    wait = policy.wait_seconds(task.request.retries, asked) * random.uniform(1.0, 1.5)  # noqa: S311
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


def _given_up(
    job: Job, tools: Tools, error: Exception, policy: Retry | None, retries: int
) -> Result:
    """The answer to a job that failed in a way that `check` couldn't explain."""
    if policy is None or policy.spent is ErrorKind.INTERNAL:
        # `check` explains all that a root can do; what comes here is our own bug.
        log.exception("answer_broke")
        message = f"driftfleet itself failed ({type(error).__name__}); see the worker's log"
        return _failed(job, tools.name, ErrorKind.INTERNAL, message)
    message = tools.redactor(job)(f"{error} (tried {retries + 1} times)")
    failure = CheckError(phase="source", kind=policy.spent, message=message, transient=True)
    return error_result(job, failure, tools.name)


def _failed(job: Job, worker: str, kind: ErrorKind, message: str) -> Result:
    """The answer to a job that can't be checked."""
    return error_result(job, CheckError(phase="plan", kind=kind, message=message), worker)
