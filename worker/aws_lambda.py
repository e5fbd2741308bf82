"""The function of AWS Lambda: ``python -m awslambdaric worker.aws_lambda.handler``.

event -> job -> check -> store -> result, one invocation at a time. See docs/lambda.md.
"""

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from driftfleet.configuration import load_settings, process_environment
from driftfleet.errors import (
    CheckFailed,
    ConfigurationError,
    ContractError,
    DriftfleetError,
    TransientError,
)
from driftfleet.github.newest import facts_of, newest_commit
from driftfleet.jobs import Job
from driftfleet.logs import configure_logs
from driftfleet.redaction.redactor import Redactor
from driftfleet.results import ErrorKind, Result, error_result
from driftfleet.settings import Settings
from driftfleet.store import open_store
from worker.aws_lambda_event import CheckRequest, decode_event, job_of
from worker.aws_lambda_settings import function_settings, worker_environment, worker_name
from worker.check import check, error_of, log_answered
from worker.cost import Meter
from worker.github_connection import LazyConnection, connection_of
from worker.installed_programs import InstalledPrograms
from worker.own_process import adopt_orphans, close_to_others
from worker.runner import kill_descendants
from worker.sandbox import Sandbox
from worker.source import explained, in_time
from worker.toolbox import CurrentRedactor, build_tools

log = structlog.get_logger()

# After terraform was given its time to end: to kill it, remove the workspace, store and answer.
_ANSWER_SECONDS = 8.0
# Lambda takes no answer over 6 MB; escaped again on its way it may grow.
_ANSWER_BYTES = 4 << 20


class Context(Protocol):
    """What Lambda tells of an invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the sandbox."""


class Function:
    """Answers events with results. Raises `ConfigurationError` where it is not set up to."""

    def __init__(self) -> None:
        environment = process_environment()
        self._settings: Settings = function_settings(load_settings(environment=environment))
        own = worker_environment(environment)
        self._connection = connection_of(self._settings, own)
        tools = build_tools(self._settings, own, self._connection)
        self._tools = dataclasses.replace(tools, name=worker_name(environment))
        self._redact = CurrentRedactor(self._tools)
        self._store = open_store(self._settings.results)
        configure_logs(self._settings.logs, self._redact)
        self._sandbox = self._swept_sandbox()

    def handle(self, event: Any, context: Context) -> dict[str, Any]:
        """Answer one event with its result.

        Whatever is raised makes Lambda try an asynchronous invocation again, and hand it to the
        failure destination in the end. So a verdict `error` is an answer, and is returned.
        """
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(aws_request_id=context.aws_request_id)
        try:
            return self._answer(event, context)
        except DriftfleetError as error:
            log.error("invocation_failed", kind=type(error).__name__, reason=error.message)
            raise _fault(type(error).__name__, self._redact(error.message)) from None
        except Exception as error:
            log.exception("invocation_broke")
            message = f"driftfleet itself failed ({type(error).__name__}); see the function's log"
            raise _fault("InternalError", message) from None
        finally:
            self._clear()

    def _answer(self, event: Any, context: Context) -> dict[str, Any]:
        margin = self._settings.worker.stop_grace_seconds + _ANSWER_SECONDS
        deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - margin
        asked = decode_event(event)
        if isinstance(asked, CheckRequest):
            asked = job_of(asked, context.aws_request_id, self._settings)
        structlog.contextvars.bind_contextvars(
            sweep=asked.sweep_id,
            repo=asked.source.slug,
            root=asked.root,
            variant=asked.variant.name,
        )
        result = self._result(asked, deadline)
        key = self._store.add(result)
        log_answered(result, key=key)
        return bounded(result, key)

    def _result(self, job: Job, deadline: float) -> Result:
        """Check, within the time that the function has."""
        meter = Meter(self._tools.programs.measure())
        hurried = deadline - time.monotonic() < job.limits.timeout_seconds
        try:
            located = self._located(_in_time(job, deadline), deadline)
            due = _in_time(located, deadline)
            result = check(due, self._tools, lambda _: None, meter=meter)
        except TransientError:
            raise
        except Exception as failure:
            error = error_of(failure, "source", self._tools, job)
            result = error_result(job, error, self._tools.name, meter.read(0))
        return _blaming_the_function(result) if hurried else result

    def _located(self, job: Job, deadline: float) -> Job:
        """The job at the newest commit of its ref, by the name that its repository has now."""
        connection, source = self._connection, job.source
        if source.kind != "github" or source.sha or connection is None:
            return job
        with explained(job), in_time(job, deadline), connection.until(deadline):
            full_name, sha = _newest(connection, source.repo, source.ref)
        located = source.model_copy(update={"repo": full_name, "sha": sha})
        return job.model_copy(update={"source": located})

    def _swept_sandbox(self) -> Sandbox:
        """The sandbox without what was left by a process that was killed at its work."""
        root = self._settings.worker.writable_root
        cache = self._settings.cache.folder or root / "cache"
        installs = self._settings.installs.folder or root / "installs"
        sandbox = Sandbox(root, [cache, installs])
        removed = self._tools.workspaces.sweep()
        if sandbox.claim():
            removed += sandbox.clear()
        else:
            log.warning("temporary_directory_shared")
        if removed:
            log.info("leftovers_of_the_dead_removed", count=removed)
        if isinstance(self._tools.installs, InstalledPrograms):
            self._tools.installs.prune()
        if self._connection is not None:
            self._connection.trim()
        return sandbox

    def _clear(self) -> None:
        """Leave nothing to the next event.

        Lambda freezes the sandbox after an answer and thaws it for the next one: what still runs
        would go on then. A connection that was frozen for hours is one no more.
        """
        self._tools.programs.close()
        if self._connection is not None:
            self._connection.close()
        ended = kill_descendants()
        removed = self._sandbox.clear()
        self._tools.workspaces.sweep()
        if ended or removed:
            log.warning("leftovers_removed", processes=ended, files=removed)


def bounded(result: Result, key: str, most_bytes: int = _ANSWER_BYTES) -> dict[str, Any]:
    """A result as JSON of at most ``most_bytes``, with less of its changes where it has to be."""
    whole: dict[str, Any] = result.model_dump(mode="json")
    size = len(json.dumps(whole))
    if size <= most_bytes:
        return whole
    changes = whole["changes"]
    spare = most_bytes - (size - len(json.dumps(changes)))
    kept = 0
    while kept < len(changes) and (spare := spare - len(json.dumps(changes[kept])) - 2) > 1024:
        kept += 1
    note = (
        f"{len(changes) - kept:,} of {len(changes):,} changes are left out of this answer, which "
        f"Lambda bounds; as many as the store has room for are at {key}"
    )
    notes = [*whole["notes"], note] if kept else [note]
    cut = result.changes_cut + len(changes) - kept
    return {**whole, "changes": changes[:kept], "changes_cut": cut, "notes": notes}


def _newest(connection: LazyConnection, repo: str, ref: str) -> tuple[str, str]:
    github = connection.get().github
    # As the producer does: results of a renamed repository lie under its new name.
    full_name = facts_of(github, repo).full_name
    return full_name, newest_commit(github, full_name, ref) or ""


def _in_time(job: Job, deadline: float) -> Job:
    left = int(deadline - time.monotonic())
    if left < 1:
        raise CheckFailed(
            "source",
            ErrorKind.TIMEOUT,
            "no time is left for the check: some of what the function has is kept to end programs "
            "and to store the result",
        )
    if left >= job.limits.timeout_seconds:
        return job
    limits = job.limits.model_copy(update={"timeout_seconds": left})
    return job.model_copy(update={"limits": limits})


def _blaming_the_function(result: Result) -> Result:
    """Whoever reads of a time-out "raise limits.timeout_seconds" would look at the wrong limit."""
    if result.error is None or result.error.kind is not ErrorKind.TIMEOUT:
        return result
    message = f"{result.error.message} (the limit was the Lambda function's own time-out: raise it)"
    error = result.error.model_copy(update={"message": message})
    return result.model_copy(update={"error": error})


def _fault(kind: str, message: str) -> Exception:
    """An error that Lambda's runtime client tells without a traceback."""
    from awslambdaric.lambda_runtime_exception import FaultException  # noqa: PLC0415

    fault: Exception = FaultException(kind, message)
    return fault


@functools.cache
def _handler() -> Callable[[Any, Context], dict[str, Any]]:
    close_to_others()
    adopt_orphans()
    try:
        return Function().handle
    except (ConfigurationError, ContractError) as error:
        raise _fault(type(error).__name__, Redactor()(error.message)) from None
    except OSError as error:
        message = f"nothing can be written: {error.strerror or error}; /tmp has to be writable"
        raise _fault("ConfigurationError", message) from None


def __getattr__(name: str) -> Any:
    """Build ``handler`` when the runtime client asks: an import reads no environment."""
    if name == "handler":
        return _handler()
    raise AttributeError(name)
