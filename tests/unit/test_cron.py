"""Crontabs: what is refused, and when one fires."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from driftfleet.cron import Cron, last_fire, next_fire, shortest_gap

CRON: TypeAdapter[str] = TypeAdapter(Cron)
UTC_ZONE = ZoneInfo("UTC")
NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 3 * *", "it has 4 fields, not 5"),
        ("0 0 3 * * *", "it has 6 fields, not 5"),
        ("@daily", "it has 1 fields"),
        ("60 3 * * *", "bad minute"),
        ("0 3 * * FOO", "bad day-of-week"),
        ("0 3 31 2 *", "bad day-of-month"),
        ("0 3 29 2 *", "fires less than once a year"),
        ("", "it has 0 fields"),
    ],
)
def test_what_is_no_crontab_is_refused_with_why(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CRON.validate_python(text)


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("0 3 * * *", timedelta(days=1)),
        ("0 3 * * 1-5", timedelta(days=1)),
        ("0 3 * * 1", timedelta(days=7)),
        ("0 8,12 * * *", timedelta(hours=4)),
        ("55 23 * * *", timedelta(days=1)),
        ("0,57 0,23 * * *", timedelta(minutes=3)),
        ("0 0 1 1 *", timedelta(days=365)),
        ("* * * * *", timedelta(minutes=1)),
    ],
)
def test_the_shortest_time_between_two_fires_is_known(text: str, gap: timedelta) -> None:
    assert shortest_gap(CRON.validate_python(text)) == gap


@pytest.mark.parametrize(
    ("text", "last", "following"),
    [
        ("0 12 * * *", (6, 15, 12), (6, 16, 12)),
        ("0 13 * * *", (6, 14, 13), (6, 15, 13)),
        ("0 3 * * 6", (6, 13, 3), (6, 20, 3)),
        ("0 0 1 * *", (6, 1, 0), (7, 1, 0)),
        ("0 4 L * *", (5, 31, 4), (6, 30, 4)),
        ("0 6 1-7 * MON", (6, 15, 6), (6, 22, 6)),
        ("0 5 1 MAR *", (3, 1, 5), None),
    ],
)
def test_the_last_and_the_next_fire_are_those_around_a_moment(
    text: str, last: tuple[int, int, int], following: tuple[int, int, int] | None
) -> None:
    month, day, hour = last
    assert last_fire(text, UTC_ZONE, NOON) == datetime(2026, month, day, hour, tzinfo=UTC)
    month, day, hour = following or (3, 1, 5)
    year = 2026 if following else 2027
    assert next_fire(text, UTC_ZONE, NOON) == datetime(year, month, day, hour, tzinfo=UTC)


@given(
    st.sampled_from(["30 2 * * *", "*/7 * * * *", "15 * * * *", "0 */3 * * *", "0,30 1,2,3 * * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tehran"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
)
@settings(max_examples=200, deadline=None)
def test_fires_are_one_sequence_from_wherever_one_looks(
    text: str, name: str, naive: datetime
) -> None:
    zone, at = ZoneInfo(name), naive.replace(tzinfo=UTC)
    last, following = last_fire(text, zone, at), next_fire(text, zone, at)
    assert last is not None
    assert following is not None
    assert last <= at < following
    assert next_fire(text, zone, last) == following
    assert last_fire(text, zone, following) == following
    assert last_fire(text, zone, following - timedelta(microseconds=1)) == last


def test_an_hourly_crontab_fires_each_hour_that_passes_where_the_clock_is_set() -> None:
    zone, fire = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 24, 20, tzinfo=UTC)
    for hour in range(1, 12):
        following = next_fire("0 * * * *", zone, fire)
        assert following == datetime(2026, 10, 24, 20, tzinfo=UTC) + timedelta(hours=hour)
        fire = following
