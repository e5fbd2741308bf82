"""What an answer says about asking again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.github.limits import (
    asked_seconds,
    is_limit,
    is_lockout,
    limit_seconds,
    pause_seconds,
)

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"  # NOW


def wait(status: int, message: str = "", limits: int = 0, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return limit_seconds(status, named, message, limits=limits, now=NOW)


@pytest.mark.parametrize(
    ("seconds", "status", "headers"),
    [
        (30, 429, {"retry_after": "30"}),
        (30, 403, {"retry_after": " 30 "}),
        (3600, 429, {"retry_after": "10000000"}),
        (3600, 403, {"retry_after": "Tue, 21 Nov 2023 22:14:50 GMT"}),
        (3600, 403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "9" * 12}),
        (1, 429, {"retry_after": "0"}),
        (90, 429, {"retry_after": "Tue, 14 Nov 2023 22:14:50 GMT"}),
        (1, 429, {"retry_after": "Tue, 14 Nov 2023 22:00:00 GMT"}),
        (101, 403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW) + 100)}),
        (101, 429, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW) + 100)}),
        (1, 403, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": str(int(NOW) - 100)}),
        (60, 403, {"x_ratelimit_remaining": "0"}),
        (60, 429, {"x_ratelimit_remaining": "17", "x_ratelimit_reset": str(int(NOW) + 100)}),
        (60, 429, {"retry_after": "soon"}),
        (60, 429, {"retry_after": "-1"}),
        (60, 429, {"retry_after": "1e9"}),
        (60, 429, {"retry_after": "٣"}),
        (60, 429, {}),
    ],
)
def test_how_long_a_limit_lasts(seconds: float, status: int, headers: dict[str, str]) -> None:
    assert wait(status, **headers) == pytest.approx(seconds)


def test_retry_after_wins_over_the_reset() -> None:
    reset = str(int(NOW) + 3000)
    assert wait(403, retry_after="5", x_ratelimit_remaining="0", x_ratelimit_reset=reset) == 5


def test_the_servers_own_clock_is_the_one_that_counts() -> None:
    late = {"date": DATE, "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 100)}
    assert limit_seconds(403, late, "", limits=0, now=NOW + 5000) == pytest.approx(101)


def test_without_a_word_the_wait_doubles() -> None:
    assert [wait(429, limits=n) for n in range(4)] == [60, 120, 240, 480]
    assert wait(429, limits=10) == 3600


@pytest.mark.parametrize(
    "message",
    [
        "API rate limit exceeded for user ID 1.",
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "You have triggered an abuse detection mechanism.",
    ],
)
def test_a_403_that_speaks_of_a_limit_is_one_without_any_header(message: str) -> None:
    assert wait(403, message) == 60


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "Resource not accessible by integration"),
        (403, ""),
        (403, "Maximum number of login attempts exceeded. Please try again later."),
        (200, "rate limit"),
        (404, "rate limit"),
        (503, "rate limit"),
        (500, ""),
    ],
)
def test_what_is_no_limit(status: int, message: str) -> None:
    assert wait(status, message) is None


def test_a_503_says_when_to_come_back_and_is_no_limit() -> None:
    assert wait(503, retry_after="30") is None
    assert asked_seconds({"retry-after": "30"}, now=NOW) == 30
    assert asked_seconds({"retry-after": "10000000"}, now=NOW) == 3600
    date = {"date": DATE, "retry-after": "Tue, 14 Nov 2023 22:14:50 GMT"}
    assert asked_seconds(date, now=NOW + 5000) == pytest.approx(90)
    assert asked_seconds({"retry-after": "soon"}, now=NOW) is None
    assert asked_seconds({}, now=NOW) is None


def test_a_locked_account_is_no_limit_even_with_retry_after() -> None:
    message = "Maximum number of login attempts exceeded"
    assert is_lockout(403, message)
    assert not is_limit(403, {"retry-after": "60"}, message)


@given(
    st.sampled_from([200, 403, 429, 503]),
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        st.one_of(st.text(max_size=30), st.sampled_from([DATE, "0", "9" * 12, "Mon, 99 Foo 0 9"])),
    ),
    st.integers(0, 10),
)
def test_no_header_can_make_it_fail_or_wait_for_less_than_a_second_or_more_than_an_hour(
    status: int, headers: dict[str, str], limits: int
) -> None:
    seconds = limit_seconds(status, headers, "", limits=limits, now=NOW)
    assert seconds is None or 1 <= seconds <= 3600
    asked = asked_seconds(headers, now=NOW)
    assert asked is None or 1 <= asked <= 3600


@given(st.integers(1, 50), st.floats(0, 1))
def test_pauses_are_bounded(tries: int, chance: float) -> None:
    assert 0.25 <= pause_seconds(tries, chance) <= 8
