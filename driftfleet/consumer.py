"""Celery's consumer, where what it can't take is told of in one line and dropped.

Celery's own tells of it with a traceback and with the message's whole text, which may hold what
nobody is to read in a log. `driftfleet.transport` has dropped before what is no message at all.

And where what it has taken and nobody here will do goes back when it is told to end: Celery's own
keeps that until all plans have ended.
"""

from typing import Any

import structlog
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

log = structlog.get_logger()

_MOST_TOLD = 80


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """The consumer of workers and producers: Celery's ``worker_consumer``."""

    def stop(self) -> None:
        """Take nothing more. Not called where the connection is lost."""
        self._give_back_what_no_child_has()
        super().stop()
        if self.task_consumer is not None:
            self.task_consumer.channel.give_back_what_comes()

    def _give_back_what_no_child_has(self) -> None:
        # The word to end is heeded only when something comes: a message, most often. It is handed
        # to the pool, which forgets it at once.
        for request in tuple(state.reserved_requests):
            job = request._apply_result() if request._apply_result is not None else None
            if job is None or job._write_to is None:
                request.reject(requeue=True)

    def on_unknown_message(self, body: Any, message: Any) -> None:  # noqa: ARG002 - Celery's
        self._drop(message, "it names no task")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._drop(message, "this service has no such task")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002
        self._drop(message, f"it can't be called: {type(exc).__name__}")

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self._drop(message, f"it can't be read: {type(exc).__name__}")

    def create_task_handler(self, *arguments: Any, **options: Any) -> Any:
        handle = super().create_task_handler(*arguments, **options)

        def on_task_received(message: Any) -> Any:
            try:
                return handle(message)
            except (
                ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
            ) as error:  # fmt: skip
                # It would end the main process, and come back to the next one.
                self._drop(message, f"it can't be taken: {type(error).__name__}")

        return on_task_received

    def _drop(self, message: Any, reason: str) -> None:
        task = (message.headers or {}).get("task")
        told = {"task": task[:_MOST_TOLD]} if isinstance(task, str) else {}
        log.error("message_refused", reason=reason, **told)
        if not message.acknowledged:
            message.ack_log_error(log, self.connection_errors)
