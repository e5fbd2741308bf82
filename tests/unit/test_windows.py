"""Closed times: how they are written, and what a clock that is set does to them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from driftfleet.windows import TimeOfDay, Window, closed_at, cover_the_day, next_closed

MINUTE = timedelta(minutes=1)
WINDOW: TypeAdapter[TimeOfDay] = TypeAdapter(Window)
CLOCKS_ARE_SET = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Atlantic/Azores", datetime(2026, 10, 25, 1, tzinfo=UTC)),
]


def read(text: str) -> TimeOfDay:
    return WINDOW.validate_python(text)


def wall_says(windows: tuple[TimeOfDay, ...], zone: ZoneInfo, at: datetime) -> bool:
    wall = at.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    return any(
        start <= minute < end if start < end else minute >= start or minute < end
        for start, end in windows
    )


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("08:00-10:00", (480, 600)),
        (" 8:00 - 10:00 ", (480, 600)),
        ("22:30-01:00", (1350, 60)),
        ("22:00-24:00", (1320, 1440)),
        ("00:00-00:01", (0, 1)),
    ],
)
def test_a_window_is_written_as_two_times(text: str, window: tuple[int, int]) -> None:
    assert read(text) == window
    assert read(str(read(text))) == window


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("8-10", "'8-10' is no window: write 08:00-10:00"),
        ("08:00", "is no window"),
        ("08:00-10:60", "is no window"),
        ("08:00-25:00", "is no window"),
        ("08:00-24:30", "the day ends at 24:00"),
        ("24:00-08:00", "the day ends at 24:00"),
        ("08:00-08:00", "it ends when it begins"),
        ("00:00-00:00", "it ends when it begins"),
        (8, "'8' is no window"),
    ],
)
def test_what_is_no_window_is_explained(value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        WINDOW.validate_python(value)


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ([], False),
        (["08:00-10:00"], False),
        (["00:00-24:00"], True),
        (["08:00-20:00", "20:00-08:00"], True),
        (["08:00-20:00", "20:01-08:00"], False),
        (["12:00-11:59"], False),
        (["12:00-11:59", "11:00-12:30"], True),
    ],
)
def test_a_day_without_a_minute_left_is_known(texts: list[str], whole: bool) -> None:
    assert cover_the_day([read(text) for text in texts]) is whole


def test_windows_that_meet_are_one_closed_time() -> None:
    windows = (read("08:00-10:00"), read("10:00-11:00"), read("10:30-12:00"))
    span = closed_at(windows, ZoneInfo("UTC"), datetime(2026, 6, 1, 9, tzinfo=UTC))
    assert span == (datetime(2026, 6, 1, 8, tzinfo=UTC), datetime(2026, 6, 1, 12, tzinfo=UTC))
    following = next_closed(windows, ZoneInfo("UTC"), span.end)
    assert following is not None
    assert following.start == datetime(2026, 6, 2, 8, tzinfo=UTC)


def test_it_is_over_at_its_end_and_closed_at_its_begin() -> None:
    windows, zone = (read("22:30-01:00"),), ZoneInfo("Europe/Berlin")
    start = datetime(2026, 6, 1, 20, 30, tzinfo=UTC)
    assert closed_at(windows, zone, start - timedelta(microseconds=1)) is None
    assert closed_at(windows, zone, start) is not None
    assert closed_at(windows, zone, start + timedelta(hours=2.5)) is None


def test_without_windows_nothing_is_closed() -> None:
    assert closed_at((), ZoneInfo("UTC"), datetime(2026, 6, 1, tzinfo=UTC)) is None
    assert next_closed((), ZoneInfo("UTC"), datetime(2026, 6, 1, tzinfo=UTC)) is None


@given(
    st.sampled_from(CLOCKS_ARE_SET),
    st.integers(0, 4 * 60),
    st.integers(1, 4 * 60),
)
@settings(max_examples=150, deadline=None)
def test_where_a_clock_is_set_what_it_shows_as_closed_is_closed_and_little_else(
    change: tuple[str, datetime], start: int, minutes: int
) -> None:
    zone, at = ZoneInfo(change[0]), change[1]
    windows = (TimeOfDay(start, start + minutes),)
    for minute in range(-6 * 60, 6 * 60):
        now = at + minute * MINUTE
        closed = closed_at(windows, zone, now) is not None
        if wall_says(windows, zone, now):
            assert closed, now
        elif closed:
            assert abs(minute) <= 60, now
