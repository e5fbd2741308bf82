"""Celery's consumer, where what it can't take is told of in one line and dropped.

Celery's own tells of it with a traceback and with the message's whole text, which may hold what
nobody is to read in a log. `driftfleet.transport` has dropped before what is no message at all.
"""

from typing import Any

import structlog
from celery.worker.consumer import Consumer as CeleryConsumer

log = structlog.get_logger()

_MOST_TOLD = 80


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """The consumer of workers and producers: Celery's ``worker_consumer``."""

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
