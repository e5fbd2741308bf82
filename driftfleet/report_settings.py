"""What the dashboard is told."""

from datetime import timedelta

from pydantic import field_validator

from driftfleet.duration import Duration, show_duration
from driftfleet.model import Record

_MINUTE = timedelta(minutes=1)


class ReportSettings(Record):
    """``stale_after``: how long a root may go without a judgement before the dashboard counts it.

    ``old_after``: a page that was made longer ago says so to whoever opens it. ``enabled``: a scan
    and the producer make the pages by themselves; ``every`` is how often the producer does so at
    most, where sweeps are closed all the time.
    """

    enabled: bool = True
    every: Duration = _MINUTE
    stale_after: Duration = timedelta(hours=24)
    old_after: Duration = timedelta(hours=12)

    @field_validator("every")
    @classmethod
    def _is_no_shorter_than_a_tick(cls, every: timedelta) -> timedelta:
        if every < _MINUTE:
            raise ValueError(
                f"is {show_duration(every)}: the producer looks once a minute whether there is "
                "something to show; 1m at least"
            )
        return every
