"""Lengths of time as people write them: ``90s``, ``15m``, ``6h``, ``2d``, ``1h30m``."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

LONGEST = timedelta(days=366)
_NUMBER = r"(?:([0-9]{1,9})"
_WRITTEN = re.compile(rf"(?=.){_NUMBER}d)?{_NUMBER}h)?{_NUMBER}m)?{_NUMBER}s)?")
_UNIT_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_MOST_QUOTED = 40


def parse_duration(value: object) -> timedelta:
    """Read a length of time: text, or whole seconds as a number.

    Raises
    ------
    ValueError
        It is none, or longer than a year; says what one looks like.
    """
    if isinstance(value, timedelta):
        return value
    seconds = _seconds(value)
    if seconds is None:
        raise ValueError(
            f"{str(value)[:_MOST_QUOTED]!r} is no length of time: write 90s, 15m, 6h, 2d or 1h30m, "
            "or whole seconds"
        )
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{str(value)[:_MOST_QUOTED]!r} is too long: {LONGEST.days}d at most")
    return timedelta(seconds=seconds)


def _seconds(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value >= 0 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    counts = zip(match.groups(), _UNIT_SECONDS.values(), strict=True)
    return sum(int(count) * unit for count, unit in counts if count)


def show_duration(length: timedelta) -> str:
    """As people write it: ``1h30m``; parts of a second are left out."""
    left, shown = int(length.total_seconds()), ""
    for unit, seconds in _UNIT_SECONDS.items():
        count, left = divmod(left, seconds)
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


Duration = Annotated[
    timedelta, PlainValidator(parse_duration), PlainSerializer(show_duration, when_used="json")
]
