"""The tasks of a worker: a check, and the word that the path from beat to the store is whole."""

import time
from typing import Any

import structlog
from celery import Celery, Task
from celery.exceptions import Reject
from pydantic import ValidationError

from driftfleet.errors import ContractError, DriftfleetError
from driftfleet.heartbeat import HEARTBEAT_KEY, HEARTBEAT_TASK, Heartbeat
from driftfleet.jobs import CHECK_TASK, Job, decode_job
from driftfleet.results import CheckError, ErrorKind, error_result
from worker.answering import attend
from worker.desk import Desk, GiveBack
from worker.drain import Interrupted

log = structlog.get_logger()


def register(app: Celery, desk: Desk) -> Task:
    """Register the tasks with the application, and return that of a check."""

    @app.task(name=CHECK_TASK, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def check_task(task: Task, *arguments: Any) -> None:
        payload = arguments[0] if len(arguments) == 1 else arguments
        structlog.contextvars.clear_contextvars()
        try:
            job = decode_job(payload)
        except ContractError as error:
            log.error("job_refused", reason=error.message, task_id=task.request.id)
            try:
                _refuse(desk, payload, error)
            except GiveBack as back:
                raise Reject(str(back), requeue=True) from back
            return
        structlog.contextvars.bind_contextvars(
            sweep=job.sweep_id, repo=job.source.slug, root=job.root, variant=job.variant.name
        )
        try:
            again = bool((task.request.delivery_info or {}).get("redelivered"))
            attend(desk, job, _waited_seconds(task), again=again)
        except (GiveBack, Interrupted) as error:
            log.warning("check_given_back", reason=str(error))
            raise Reject(str(error), requeue=True) from error
        except MemoryError as error:
            # Under late acknowledgement it would take the main process down (celery#10462).
            log.error("check_given_back", reason="out of memory")
            raise Reject("out of memory", requeue=True) from error

    @app.task(name=HEARTBEAT_TASK, bind=True, acks_late=False)  # type: ignore[untyped-decorator]
    def heartbeat(task: Task, *_: Any) -> None:
        now = time.time()
        sent_at = now - _waited_seconds(task)
        beat = Heartbeat(sent_at=sent_at, stored_at=now, worker=desk.tools.name)
        try:
            desk.store.keep(HEARTBEAT_KEY, beat)
        except DriftfleetError as error:
            log.error("heartbeat_not_stored", reason=error.message)
            return
        desk.meter.heartbeat(latency_seconds=time.time() - sent_at)

    return check_task


def _refuse(desk: Desk, payload: Any, error: ContractError) -> None:
    """Answer what is no job of this schema, as far as it says which check it asks for."""
    job = _salvaged(payload)
    if job is None:
        # Nobody can be answered: it names no check.
        return
    # Names of its keys are in there, and anybody may have written it.
    reason = error.message.encode(errors="backslashreplace").decode()
    message = (
        f"the message is no job that this worker knows: {reason}. Bring producer and workers to "
        "the same version"
    )
    failure = CheckError(phase="source", kind=ErrorKind.JOB_REFUSED, message=message)
    desk.refuse(job, error_result(job, failure, desk.tools.name))


def _salvaged(payload: Any) -> Job | None:
    """The job of another schema, read by what it has in common with ours."""
    if not isinstance(payload, dict):
        return None
    known = {name: payload[name] for name in Job.model_fields if name in payload}
    try:
        return Job.model_validate({**known, "schema_version": 1})
    except ValidationError:
        return None


def _waited_seconds(task: Task) -> float:
    """How long its message has waited; zero where that isn't told, or not in earnest."""
    sent = task.request.get("sent_at")
    now = time.time()
    return now - sent if isinstance(sent, int | float) and 0 < sent < now else 0.0
