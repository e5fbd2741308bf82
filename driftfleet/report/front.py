"""The front page: the fleet in one look, its trend, what is new, and the table of all roots."""

from collections.abc import Sequence
from datetime import UTC, timedelta

from driftfleet.day import DayRecord, day_of, trend
from driftfleet.fleet_status import FleetStatus
from driftfleet.report.edition import Edition
from driftfleet.report.glance import glance
from driftfleet.report.links import INDEX_KEY
from driftfleet.report.news import kinds_of_error, longest, news
from driftfleet.report.pages import render
from driftfleet.report.root import page_of
from driftfleet.report.table import data, rows_of
from driftfleet.report.trend_chart import panels

LONGEST = 10
# So many roots are there without the script; so many items under each heading of what is new.
_PLAIN_ROWS = 50
_NEWS = 5
_NAMES = 20


def front_page(fleet: FleetStatus, days: Sequence[DayRecord], edition: Edition) -> str:
    """The page that belongs under `INDEX_KEY`.

    ``days`` are the records of the days before, of which those within the trend count. Today's
    numbers are the fleet's own.
    """
    today = day_of(fleet, edition.at, edition.settings.stale_after)
    date = edition.at.astimezone(UTC).date()
    before = [day for day in days if day.date < date]
    lately = trend([*before, today], date)
    yesterday = next((day for day in before if day.date == date - timedelta(days=1)), None)
    rows = rows_of(fleet, edition)
    return render(
        "index.html",
        INDEX_KEY,
        edition,
        glance=glance(today, yesterday),
        days=lately,
        panels=panels(lately),
        news=news(fleet, edition.at),
        longest=longest(fleet, LONGEST),
        kinds=kinds_of_error(fleet),
        page_of=page_of,
        rows=rows,
        data=data(rows, edition),
        unreadable=sorted(fleet.unreadable.items()),
        gone=[one.title for one in fleet.gone],
        plain_rows=_PLAIN_ROWS,
        most_news=_NEWS,
        most_names=_NAMES,
    )
