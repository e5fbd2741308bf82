"""What starts in the next hours, worked out before it happens. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from driftfleet.windows import closed_at
from producer.schedule import next_slot
from producer.standing import Standing

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Start:
    """A sweep that is going to start; ``overdue`` where its slot has passed already."""

    at: datetime
    standing: Standing
    overdue: bool = False

    @property
    def checks(self) -> int | None:
        """How many checks it has at most; None where its repository was never swept."""
        return self.standing.swept.checks if self.standing.swept else None


@dataclass(frozen=True)
class Hour:
    """One hour of the clock: ``checks`` are those of the starts that are not ``unknown``."""

    begins: datetime
    starts: int
    checks: int
    unknown: int


@dataclass(frozen=True)
class Timetable:
    """The starts from ``now`` to ``until`` in their order, and what is not scheduled."""

    now: datetime
    until: datetime
    zone: ZoneInfo
    starts: tuple[Start, ...]
    scheduled: tuple[Standing, ...]
    unscheduled: tuple[Standing, ...]

    def hours(self) -> list[Hour]:
        """Each hour that the clock of the zone shows until the end, with what starts in it."""
        shown = self.now.astimezone(self.zone)
        first = shown.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        count = -((first - self.until) // _HOUR)
        inside: list[list[Start]] = [[] for _ in range(count)]
        for start in self.starts:
            inside[(start.at - first) // _HOUR].append(start)
        return [_hour(first + n * _HOUR, starts) for n, starts in enumerate(inside)]


def timetable(
    standings: Iterable[Standing], now: datetime, hours: int, zone: ZoneInfo
) -> Timetable:
    """Work it out as if each start were made at its moment; ``zone`` is whose hours are counted."""
    until = now + hours * _HOUR
    scheduled: list[Standing] = []
    unscheduled: list[Standing] = []
    for one in standings:
        (scheduled if one.why_not is None else unscheduled).append(one)
    starts = [start for one in scheduled for start in _starts(one, now, until)]
    starts.sort(key=lambda start: (start.at, start.standing.known_since(now), start.standing.name))
    return Timetable(now, until, zone, tuple(starts), tuple(scheduled), tuple(unscheduled))


def _starts(one: Standing, now: datetime, until: datetime) -> list[Start]:
    found: list[Start] = []
    after = now
    if one.is_overdue(now):
        closed = closed_at(one.schedule.not_between, one.schedule.zone, now)
        after = closed.end if closed else now
        found.append(Start(after, one, overdue=True))
    slot = next_slot(one.schedule, one.name, after)
    while slot is not None:
        found.append(Start(slot, one))
        slot = next_slot(one.schedule, one.name, slot) if slot < until else None
    return [start for start in found if start.at < until]


def _hour(begins: datetime, starts: Sequence[Start]) -> Hour:
    known = [start.checks for start in starts if start.checks is not None]
    return Hour(begins, len(starts), sum(known), len(starts) - len(known))
