"""Times of the day at which nothing starts: ``08:00-10:00``, ``22:30-01:00``."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import PlainSerializer, PlainValidator

_DAY_MINUTES = 24 * 60
_DAY = timedelta(days=1)
_CLOCK = r"([01]?[0-9]|2[0-4]):([0-5][0-9])"
_WRITTEN = re.compile(rf"\s*{_CLOCK}\s*-\s*{_CLOCK}\s*")
_MOST_QUOTED = 40


class TimeOfDay(NamedTuple):
    """Minutes after midnight; where ``end`` isn't after ``start`` it is on the next day."""

    start: int
    end: int

    def __str__(self) -> str:
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in self)


def _parse(value: object) -> TimeOfDay:
    if isinstance(value, TimeOfDay):
        return value
    shown = str(value)[:_MOST_QUOTED]
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"'{shown}' is no window: write 08:00-10:00, or 22:30-01:00")
    hours, minutes = map(int, match.group(1, 3)), map(int, match.group(2, 4))
    start, end = (hour * 60 + minute for hour, minute in zip(hours, minutes, strict=True))
    if max(start, end) > _DAY_MINUTES or start == _DAY_MINUTES:
        raise ValueError(f"'{shown}' is no window: the day ends at 24:00")
    if start == end % _DAY_MINUTES and end != _DAY_MINUTES:
        raise ValueError(f"'{shown}' is no window: it ends when it begins")
    return TimeOfDay(start, end)


Window = Annotated[TimeOfDay, PlainValidator(_parse), PlainSerializer(str, when_used="json")]


class Span(NamedTuple):
    """A time, in UTC, in which nothing starts; it is over at ``end``."""

    start: datetime
    end: datetime


def cover_the_day(windows: Sequence[TimeOfDay]) -> bool:
    """Whether no minute is left between them."""
    closed: set[int] = set()
    for start, end in windows:
        last = end if end > start else end + _DAY_MINUTES
        closed.update(minute % _DAY_MINUTES for minute in range(start, last))
    return len(closed) == _DAY_MINUTES


def closed_at(windows: tuple[TimeOfDay, ...], zone: ZoneInfo, at: datetime) -> Span | None:
    """The closed time that ``at`` is in; windows that meet are one."""
    around = _around(windows, zone, at.astimezone(zone).date()) if windows else ()
    return next((span for span in around if span.start <= at < span.end), None)


def next_closed(windows: tuple[TimeOfDay, ...], zone: ZoneInfo, after: datetime) -> Span | None:
    """The closed time that begins first after ``after``."""
    around = _around(windows, zone, after.astimezone(zone).date()) if windows else ()
    return next((span for span in around if span.start > after), None)


# The same for all repositories of a rule, and asked for by each.
@lru_cache(maxsize=1024)
def _around(windows: tuple[TimeOfDay, ...], zone: ZoneInfo, day: date) -> tuple[Span, ...]:
    """Two days before, to two days after: more than anything that a day's minute can be in."""
    days = [day + distance * _DAY for distance in range(-2, 3)]
    merged: list[Span] = []
    for span in sorted(_on(window, zone, one) for one in days for window in windows):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def _on(window: TimeOfDay, zone: ZoneInfo, day: date) -> Span:
    following = day if window.end > window.start else day + _DAY
    return Span(
        min(_readings(window.start, zone, day)), max(_readings(window.end, zone, following))
    )


def _readings(minute: int, zone: ZoneInfo, day: date) -> list[datetime]:
    """What a clock that is set forward or back may mean by it; the widest window counts."""
    shown = datetime.combine(day, time()) + timedelta(minutes=minute)
    return [shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
