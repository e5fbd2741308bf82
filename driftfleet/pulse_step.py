"""The bootstep of Celery's consumer that turns the service's pulse."""

from typing import Any

from celery import bootsteps

from driftfleet import pulse

_EVERY_SECONDS = 5.0


class PulseStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """While Redis is away the consumer is stopped: `driftfleet.transport` turns it then."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        self._timer = consumer.timer.call_repeatedly(_EVERY_SECONDS, pulse.turn)

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - bootsteps' signature
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
