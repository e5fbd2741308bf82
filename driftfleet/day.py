"""What a day left behind of the whole fleet: one small record, of which the trend is drawn."""

import datetime
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Literal, TypeVar

from pydantic import AwareDatetime, Field

from driftfleet.fleet_status import FleetStatus
from driftfleet.model import Record
from driftfleet.results import ErrorKind, Verdict

TREND_DAYS = 30
CountedT = TypeVar("CountedT", Verdict, ErrorKind)


class DayRecord(Record):
    """The fleet at the last moment of a day (UTC) at which somebody counted it.

    ``roots`` is how many there are: those that ``verdicts`` counts, those that were ``never``
    answered, and those whose record is ``unreadable``. ``stale`` are those with a verdict that
    nothing judged within ``stale_after_seconds``; ``gone`` ones are in no other number.
    ``errors`` counts the kinds of those in error.
    """

    schema_version: Literal[1] = 1
    date: datetime.date
    at: AwareDatetime
    roots: int
    verdicts: dict[Verdict, int] = Field(default_factory=dict)
    never: int = 0
    unreadable: int = 0
    stale: int = 0
    stale_after_seconds: int
    gone: int = 0
    errors: dict[ErrorKind, int] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """``days/2026-11-29.json``."""
        return day_key(self.date)

    def count(self, standing: str) -> int:
        """How many roots have a verdict; ``never``: how many have none."""
        return self.never if standing == "never" else self.verdicts.get(Verdict(standing), 0)


def day_key(date: datetime.date) -> str:
    """Keys of days sort by their date."""
    return f"days/{date.isoformat()}.json"


def day_of(fleet: FleetStatus, at: datetime.datetime, stale_after: timedelta) -> DayRecord:
    """The record of the day that ``at`` is in."""
    return DayRecord(
        date=at.astimezone(UTC).date(),
        at=at,
        roots=len(fleet.roots) + len(fleet.never) + len(fleet.unreadable),
        verdicts=_counts(one.verdict for one in fleet.roots),
        never=len(fleet.never),
        unreadable=len(fleet.unreadable),
        stale=sum(one.is_stale(at, stale_after) for one in fleet.roots),
        stale_after_seconds=int(stale_after.total_seconds()),
        gone=len(fleet.gone),
        errors=_counts(one.error_kind for one in fleet.roots if one.error_kind),
    )


def trend(
    days: Iterable[DayRecord], today: datetime.date
) -> tuple[tuple[datetime.date, DayRecord | None], ...]:
    """The last 30 days, oldest first; a day without a record stays a gap."""
    known = {day.date: day for day in days}
    dates = [today - timedelta(days=back) for back in reversed(range(TREND_DAYS))]
    return tuple((date, known.get(date)) for date in dates)


def _counts(values: Iterable[CountedT]) -> dict[CountedT, int]:
    return dict(sorted(Counter(values).items()))
