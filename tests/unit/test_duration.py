"""Lengths of time, as they are written and shown."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.duration import parse_duration, show_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90), ("15m", 900), ("6h", 21_600), ("2d", 172_800), ("1h30m", 5400),
        ("1d2h3m4s", 93_784), (" 6h ", 21_600), (90, 90), ("90", 90), (0, 0), ("0s", 0),
        (timedelta(minutes=1), 60), ("366d", 366 * 86_400),
    ],
)  # fmt: skip
def test_text_and_whole_seconds_are_read(value: object, seconds: int) -> None:
    assert parse_duration(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", " ", "6 hours", "6H", "30m1h", "1h1h", "1.5h", "-1h", "h", "h6", "6w", "\u0666h",
     -1, 1.5, True, None, [6], "9" * 5000 + "d"],
)  # fmt: skip
def test_what_is_none_is_quoted_with_what_one_looks_like(value: object) -> None:
    with pytest.raises(ValueError, match="is no length of time: write 90s, 15m, 6h, 2d or 1h30m"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["367d", "999999999d", 10**30])
def test_what_is_too_long_is_told(value: object) -> None:
    with pytest.raises(ValueError, match="is too long: 366d at most"):
        parse_duration(value)


@given(st.integers(0, 366 * 86_400))
def test_what_is_shown_is_read_as_the_same(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert parse_duration(show_duration(length)) == length
