"""What the dashboard is told."""

from datetime import timedelta

from driftfleet.duration import Duration
from driftfleet.model import Record


class ReportSettings(Record):
    """``stale_after``: how long a root may go without a judgement before the dashboard counts it.

    ``old_after``: a page that was made longer ago says so to whoever opens it.
    """

    stale_after: Duration = timedelta(hours=24)
    old_after: Duration = timedelta(hours=12)
