"""Celery's scheduler of beat, which tells in one line what it could not send."""

from typing import Any

import structlog
from celery import beat

from driftfleet import pulse

log = structlog.get_logger()


class TickScheduler(beat.Scheduler):  # type: ignore[misc]
    """In memory: what was not sent is not made up for, since the next tick does it all."""

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """Send what is due, and show that beat lives."""
        pulse.turn()
        return super().tick(*arguments, **options)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send one; Celery's own writes two tracebacks where it can't, and a line where it can."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            log.error("not_sent", task=entry.task, reason=str(error), again_seconds=60)
        else:
            log.debug("sent", task=entry.task)
