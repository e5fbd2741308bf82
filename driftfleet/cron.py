"""When a crontab fires, as Debian's cron does it, also where clocks are set forward or back.

A time that the clock skips fires right after the skip, one that it shows twice fires the first
time; a minute or hour that begins with ``*`` is counted by elapsed time (cron(8), "daylight
saving").
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

_DAY = timedelta(days=1)
# No clock is set by more, but where a country moves over the date line.
_MOST_SKIPPED = timedelta(hours=3)
# Each fires within that time at least once, which `_readable` sees to.
_LONGEST_GAP_DAYS = 366
# A day of one that fires every five minutes, and its end.
_SAMPLE_FIRES = 300
_SAMPLE_BEGINS = datetime(2023, 1, 1, tzinfo=UTC)
_SAMPLE_ENDS = datetime(2027, 1, 1, tzinfo=UTC)


def last_fire(cron: str, zone: ZoneInfo, at: datetime) -> datetime | None:
    """The last time, in UTC, at which it fired up to ``at``; None where that is over a year ago."""
    at = at.astimezone(UTC)
    for days in range(_LONGEST_GAP_DAYS + 1):
        fires = _fires(cron, zone, at.date() - days * _DAY)
        if count := bisect_right(fires, at):
            return fires[count - 1]
    return None


def next_fire(cron: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first time, in UTC, at which it fires after ``after``; None where that is over a year."""
    after = after.astimezone(UTC)
    for days in range(_LONGEST_GAP_DAYS + 1):
        fires = _fires(cron, zone, after.date() + days * _DAY)
        first = bisect_right(fires, after)
        if first < len(fires):
            return fires[first]
    return None


@lru_cache(maxsize=64)
def shortest_gap(cron: str) -> timedelta:
    """The shortest time between two of its fires."""
    return min(later - earlier for earlier, later in pairwise(_sample(cron)))


# The same for all repositories of a rule, and asked for by each.
@lru_cache(maxsize=8192)
def _fires(cron: str, zone: ZoneInfo, day: date) -> tuple[datetime, ...]:
    """All of a day of UTC. Never backwards: the order of what a clock shows twice depends on it."""
    start = datetime.combine(day, time(), UTC)
    end = start + _DAY
    simulated = CronSim(cron, (start - _MOST_SKIPPED).astimezone(zone))
    fires = _until(simulated, end + _MOST_SKIPPED)
    found = sorted({fire for fire in fires if fire >= start})
    return tuple(found[: bisect_left(found, end)])


def _until(simulated: CronSim, end: datetime) -> Iterator[datetime]:
    in_utc = (fire.astimezone(UTC) for fire in simulated)
    return takewhile(lambda fire: fire < end, in_utc)


def _sample(cron: str) -> list[datetime]:
    return list(islice(_until(CronSim(cron, _SAMPLE_BEGINS), _SAMPLE_ENDS), _SAMPLE_FIRES))


def _readable(text: str) -> str:
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(_no_crontab(text, f"it has {len(fields)} fields, not 5"))
    try:
        fires = _sample(text)
    except CronSimError as error:
        raise ValueError(_no_crontab(text, str(error).lower())) from error
    gaps = [later - earlier for earlier, later in pairwise(fires)]
    if not gaps or max(gaps) > _LONGEST_GAP_DAYS * _DAY:
        raise ValueError(f"'{text}' fires less than once a year")
    return " ".join(fields)


def _no_crontab(text: str, why: str) -> str:
    return (
        f"'{text}' is no crontab (minute hour day month weekday), such as '0 3 * * 1-5' for three "
        f"o'clock from Monday to Friday: {why}"
    )


Cron = Annotated[str, AfterValidator(_readable)]
