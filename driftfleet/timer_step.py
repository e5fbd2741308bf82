"""A bootstep of Celery's consumer that does something again and again in its event loop."""

from collections.abc import Callable
from typing import Any

from celery import bootsteps


class TimerStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Its timer runs while the consumer does: not while Redis is away."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def repeated(self, consumer: Any) -> tuple[float, Callable[[], object]]:
        """Each how many seconds, and what."""
        raise NotImplementedError

    def start(self, consumer: Any) -> None:
        self._timer = consumer.timer.call_repeatedly(*self.repeated(consumer))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - bootsteps' signature
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
