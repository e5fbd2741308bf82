"""The bootstep of Celery's consumer that turns the service's pulse."""

from collections.abc import Callable
from typing import Any

from driftfleet import pulse
from driftfleet.timer_step import TimerStep

_EVERY_SECONDS = 5.0


class PulseStep(TimerStep):
    """While Redis is away the consumer is stopped: `driftfleet.transport` turns it then."""

    def repeated(self, consumer: Any) -> tuple[float, Callable[[], object]]:  # noqa: ARG002
        return _EVERY_SECONDS, pulse.turn
