"""Slots: where they lie, what closed times and set clocks do to them, and what is due when."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftfleet.jobs import Job, Source, Variant
from driftfleet.latest import LatestRecord
from driftfleet.places import place
from driftfleet.results import CheckError, ErrorKind, Result, Verdict
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.swept import Swept
from driftfleet.windows import TimeOfDay
from producer.schedule import (
    due_jobs,
    is_due,
    latest_slot,
    next_slot,
    offset,
    order,
    slot_name,
)

NOON = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = [slot_name("ghe.example.com", f"org-{n % 40}/repository-{n}") for n in range(2000)]
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]
INTERVALS = ["5m", "15m", "1h", "90m", "6h", "7h", "1d", "3d"]
CRONS = [
    "0 3 * * *",
    "30 2 * * 1-5",
    "0 */2 * * *",
    "*/20 * * * *",
    "15 8,12,23 * * *",
    "0 0 1 * *",
]


def schedule(**said: object) -> ScheduleSettings:
    return ScheduleSettings.model_validate(said)


def slots(of: ScheduleSettings, name: str, start: datetime, end: datetime) -> list[datetime]:
    found = []
    slot = next_slot(of, name, start)
    while slot is not None and slot <= end:
        found.append(slot)
        slot = next_slot(of, name, slot)
    return found


def is_closed(of: ScheduleSettings, at: datetime) -> bool:
    """By the clock on the wall, and by nothing else."""
    wall = at.astimezone(of.zone)
    minute = wall.hour * 60 + wall.minute
    return any(
        start <= minute < end if start < end else minute >= start or minute < end
        for start, end in of.not_between
    )


times = st.datetimes(datetime(2025, 12, 1), datetime(2027, 2, 1)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)
# The days around which clocks are set in the zones above.
set_clocks = st.sampled_from(
    [datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 4, 4), datetime(2026, 10, 3),
     datetime(2026, 10, 25), datetime(2026, 11, 1)]
).flatmap(
    lambda day: st.integers(-40 * 3600, 40 * 3600).map(
        lambda seconds: day.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    )
)  # fmt: skip
moments = times | set_clocks
minutes_of_day = st.integers(0, 24 * 60 - 1)
windows = st.lists(
    st.tuples(minutes_of_day, st.integers(1, 11 * 60)).map(
        lambda one: TimeOfDay(one[0], (one[0] + one[1]) % 1440)
    ),
    max_size=2,
)
names = st.sampled_from(NAMES[:50])
schedules = st.builds(
    lambda when, closed, zone: schedule(**when, not_between=closed, timezone=zone),
    st.sampled_from(
        [*({"every": text} for text in INTERVALS), *({"cron": text} for text in CRONS)]
    ),
    windows,
    st.sampled_from(ZONES),
)


# Where slots lie


def test_a_name_has_the_same_place_in_every_process_and_on_every_day() -> None:
    # A change of the hash would start every repository of a fleet at another time.
    assert offset("ghe.example.com/payments/infra@", 6 * HOUR) == timedelta(seconds=6325)
    assert slot_name("GHE.example.com", "Payments/Infra", "Main") == (
        "ghe.example.com/payments/infra@Main"
    )


@pytest.mark.parametrize("text", INTERVALS)
def test_slots_of_every_are_exactly_one_interval_apart(text: str) -> None:
    every = schedule(every=text)
    assert every.interval is not None
    found = slots(every, NAMES[0], NOON, NOON + 20 * every.interval)
    assert len(found) == 20
    gaps = {later - earlier for earlier, later in pairwise(found)}
    assert gaps == {every.interval}


def test_two_thousand_repositories_start_evenly_over_the_day() -> None:
    six_hours = schedule(every="6h")
    midnight = NOON.replace(hour=0)
    starts = Counter(
        slot.hour
        for name in NAMES
        for slot in slots(six_hours, name, midnight, midnight + 24 * HOUR)
    )
    mean = starts.total() / 24
    assert starts.total() == 8000
    assert len(starts) == 24
    assert max(starts.values()) < 1.5 * mean
    assert min(starts.values()) > mean / 1.5


def test_repositories_of_a_crontab_start_evenly_within_its_spread() -> None:
    nightly = schedule(cron="0 3 * * *", spread="2h", timezone="Europe/Berlin")
    found = [next_slot(nightly, name, NOON) for name in NAMES]
    three = datetime(2026, 6, 16, 1, 0, tzinfo=UTC)
    quarters = Counter((slot - three) // timedelta(minutes=15) for slot in found if slot)
    assert sorted(quarters) == list(range(8))
    assert max(quarters.values()) < 1.5 * 2000 / 8


def test_without_a_spread_all_of_a_crontab_start_at_once() -> None:
    nightly = schedule(cron="0 3 * * *", spread=0)
    assert {next_slot(nightly, name, NOON) for name in NAMES} == {
        datetime(2026, 6, 16, 3, 0, tzinfo=UTC)
    }


@pytest.mark.parametrize("said", [{}, {"every": "never"}])
def test_what_is_not_scheduled_has_no_slot_and_is_never_due(said: dict[str, str]) -> None:
    none = schedule(**said)
    assert latest_slot(none, NAMES[0], NOON) is None
    assert next_slot(none, NAMES[0], NOON) is None
    assert not is_due(none, NAMES[0], NOON, None, NOON - 400 * 24 * HOUR)


@given(schedules, names, moments)
@settings(max_examples=400, deadline=None)
def test_slots_are_one_sequence_from_wherever_one_looks(
    of: ScheduleSettings, name: str, at: datetime
) -> None:
    following, latest = next_slot(of, name, at), latest_slot(of, name, at)
    assert following is not None
    assert latest is not None
    assert latest <= at < following
    assert latest_slot(of, name, following) == following
    assert latest_slot(of, name, following - timedelta(microseconds=1)) == latest
    assert next_slot(of, name, latest) == following
    assert next_slot(of, name, latest - timedelta(microseconds=1)) == latest


@given(schedules, names, moments)
@settings(max_examples=400, deadline=None)
def test_no_slot_is_in_a_closed_time(of: ScheduleSettings, name: str, at: datetime) -> None:
    slot: datetime | None = at
    for _ in range(6):
        assert slot is not None
        slot = next_slot(of, name, slot)
        assert slot is not None
        assert not is_closed(of, slot)


@given(st.sampled_from(INTERVALS), windows, st.sampled_from(ZONES), names, moments)
@settings(max_examples=200, deadline=None)
def test_a_slot_waits_for_no_longer_than_a_closed_time_and_an_hour(
    text: str, closed: list[TimeOfDay], zone: str, name: str, at: datetime
) -> None:
    free, bound = schedule(every=text), schedule(every=text, not_between=closed, timezone=zone)
    unmoved = next_slot(free, name, at)
    assert unmoved is not None
    found = next_slot(bound, name, unmoved - timedelta(microseconds=1))
    assert found is not None
    # At most 22 hours are closed, an hour follows, and a clock is set by another at most.
    assert unmoved <= found <= unmoved + 24 * HOUR
    if not closed:
        assert found == unmoved


@given(st.permutations(NAMES[:30]), schedules)
@settings(max_examples=20, deadline=None)
def test_who_else_there_is_makes_no_difference(shuffled: list[str], of: ScheduleSettings) -> None:
    once = {name: next_slot(of, name, NOON) for name in NAMES[:30]}
    assert {name: next_slot(of, name, NOON) for name in shuffled} == once


def test_any_zone_may_ask() -> None:
    six_hours = schedule(every="6h", not_between=["08:00-10:00"], timezone="Europe/Berlin")
    there = NOON.astimezone(timezone(timedelta(hours=-9)))
    for name in NAMES[:100]:
        assert latest_slot(six_hours, name, there) == latest_slot(six_hours, name, NOON)
        assert next_slot(six_hours, name, there) == next_slot(six_hours, name, NOON)


# Closed times


def test_what_falls_into_a_closed_time_is_spread_over_the_hour_behind_it() -> None:
    office = schedule(every="6h", not_between=["08:00-10:00"])
    eight, ten = NOON.replace(hour=8), NOON.replace(hour=10)
    inside = [
        name
        for name in NAMES
        if eight <= (next_slot(schedule(every="6h"), name, eight) or eight) < ten
    ]
    assert len(inside) > 500
    moved = [next_slot(office, name, eight) for name in inside]
    quarters = Counter((slot - ten) // timedelta(minutes=15) for slot in moved if slot)
    assert sorted(quarters) == [0, 1, 2, 3]
    assert max(quarters.values()) < 1.5 * len(inside) / 4


def test_where_the_next_slot_comes_within_that_hour_it_serves_for_both() -> None:
    hourly = schedule(every="1h", not_between=["08:15-10:15"])
    for name in NAMES[:200]:
        found = slots(hourly, name, NOON.replace(hour=6), NOON)
        assert len(found) in (4, 5)
        gaps = {later - earlier for earlier, later in pairwise(found)}
        assert min(gaps) == HOUR


def test_a_short_time_between_two_closed_ones_is_used_and_not_left_to_the_second() -> None:
    gap = schedule(every="1d", not_between=["08:00-10:00", "10:10-12:00"])
    found = [next_slot(gap, name, NOON.replace(hour=8)) for name in NAMES]
    between = [slot for slot in found if slot and slot < NOON.replace(hour=10, minute=10)]
    assert len(between) > 100
    assert all(slot >= NOON.replace(hour=10) for slot in between)


def test_a_closed_time_over_midnight_is_of_the_schedules_own_zone() -> None:
    night = schedule(every="1h", not_between=["22:30-01:00"], timezone="America/New_York")
    zone = ZoneInfo("America/New_York")
    found = slots(night, NAMES[0], NOON, NOON + 24 * HOUR)
    walls = {slot.astimezone(zone).hour for slot in found}
    assert walls.isdisjoint({23, 0})
    assert len(found) in (21, 22, 23)


# Clocks that are set


def test_a_crontab_at_a_time_that_the_clock_skips_fires_right_after_the_skip() -> None:
    nightly = schedule(cron="30 2 * * *", spread=0, timezone="Europe/Berlin")
    found = slots(
        nightly, "x", datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    )
    assert found == [
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]


def test_a_crontab_at_a_time_that_the_clock_shows_twice_fires_once() -> None:
    nightly = schedule(cron="30 2 * * *", spread=0, timezone="Europe/Berlin")
    start, end = datetime(2026, 10, 24, 3, tzinfo=UTC), datetime(2026, 10, 26, 3, tzinfo=UTC)
    assert slots(nightly, "x", start, end) == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


def test_every_counts_time_and_not_clocks() -> None:
    daily = schedule(every="1d", timezone="Europe/Berlin")
    found = slots(daily, "x", datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    assert {later - earlier for earlier, later in pairwise(found)} == {24 * HOUR}


# What is due


def test_a_repository_is_due_from_its_slot_until_it_was_swept() -> None:
    six_hours = schedule(every="6h")
    slot = next_slot(six_hours, NAMES[0], NOON)
    assert slot is not None
    before = slot - 6 * HOUR
    assert not is_due(six_hours, NAMES[0], slot - timedelta(seconds=1), before, NOON)
    assert is_due(six_hours, NAMES[0], slot, before, NOON)
    assert is_due(six_hours, NAMES[0], slot + 5 * HOUR, before, NOON)
    assert not is_due(six_hours, NAMES[0], slot + 5 * HOUR, slot + timedelta(minutes=1), NOON)


def test_a_fleet_that_was_down_for_a_day_is_due_once() -> None:
    six_hours = schedule(every="6h")
    now, swept_at = NOON, NOON - 24 * HOUR
    starts = 0
    while now < NOON + 5 * HOUR:
        if is_due(six_hours, NAMES[7], now, swept_at, swept_at):
            starts, swept_at = starts + 1, now
        now += timedelta(minutes=1)
    # Its own slot within those five hours, if there is one, is another.
    own = len(slots(six_hours, NAMES[7], NOON, NOON + 5 * HOUR))
    assert starts == 1 + own


def test_a_new_fleet_does_not_start_at_once_but_over_its_interval() -> None:
    six_hours = schedule(every="6h")
    at_once = [name for name in NAMES if is_due(six_hours, name, NOON, None, NOON)]
    assert at_once == []
    within_the_hour = [n for n in NAMES if is_due(six_hours, n, NOON + HOUR, None, NOON)]
    assert len(within_the_hour) < 1.5 * 2000 / 6
    assert all(is_due(six_hours, name, NOON + 6 * HOUR, None, NOON) for name in NAMES)


def test_what_is_overdue_waits_for_the_end_of_a_closed_time() -> None:
    office = schedule(every="6h", not_between=["08:00-10:00"])
    long_ago = NOON - 48 * HOUR
    assert not is_due(office, NAMES[0], NOON.replace(hour=8), long_ago, long_ago)
    assert not is_due(office, NAMES[0], NOON.replace(hour=9, minute=59), long_ago, long_ago)
    assert is_due(office, NAMES[0], NOON.replace(hour=10), long_ago, long_ago)


def test_any_number_of_askers_a_minute_finds_one_start_a_slot() -> None:
    hourly, swept_at = schedule(every="1h"), NOON
    starts = []
    for second in range(0, 24 * 3600, 20):
        now = NOON + timedelta(seconds=second)
        if is_due(hourly, NAMES[3], now, swept_at, NOON):
            starts.append(now)
            swept_at = now
    assert len(starts) == 24


def test_a_sweep_that_a_wrong_clock_dated_years_ahead_silences_nothing() -> None:
    six_hours = schedule(every="6h")
    assert is_due(six_hours, NAMES[0], NOON, NOON + 1000 * 24 * HOUR, NOON - 48 * HOUR)
    assert not is_due(six_hours, NAMES[0], NOON, NOON + HOUR, NOON - 48 * HOUR)


def test_who_was_swept_longest_ago_is_first() -> None:
    def swept(repo: str, hours: float | None, seen: float = 100) -> Swept:
        at = None if hours is None else NOON - hours * HOUR
        return Swept(repo=repo, swept_at=at, first_seen=NOON - seen * HOUR)

    due = [swept("a/new", None, 8), swept("a/b", 7), swept("a/old", 9), swept("a/a", 7)]
    assert [one.repo for one in order(due)] == ["a/old", "a/new", "a/a", "a/b"]


# Which roots


def job(root: str, sha: str = "new", ref: str = "", **variant: str) -> Job:
    source = Source(kind="github", repo="a/b", ref=ref, sha=sha)
    return Job(sweep_id="s", source=source, root=root, variant=Variant.model_validate(variant))


def judged(one: Job, hours: float, error: CheckError | None = None) -> LatestRecord:
    at = NOON - hours * HOUR
    verdict = Verdict.ERROR if error else Verdict.CLEAN
    result = Result(job=one, verdict=verdict, error=error, started_at=at, finished_at=at)
    return LatestRecord(first_seen=at, streak=1, result=result)


def latest(*records: LatestRecord) -> dict[str, LatestRecord]:
    return {place(record.result.job): record for record in records}


def roots(jobs: list[Job]) -> list[str]:
    return [one.root for one in jobs]


def test_never_judged_roots_come_first_then_the_oldest() -> None:
    jobs = [job("young"), job("old"), job("never"), job("older"), job("also-never")]
    known = latest(judged(job("young"), 2), judged(job("old"), 5), judged(job("older"), 9))
    found = due_jobs(jobs, known, HOUR, NOON)
    assert roots(found) == ["never", "also-never", "older", "old", "young"]


def test_a_root_that_was_just_judged_at_this_commit_is_left_out() -> None:
    known = latest(judged(job("a"), 0.9), judged(job("b"), 1), judged(job("c", sha="old"), 0.1))
    assert roots(due_jobs([job("a"), job("b"), job("c")], known, HOUR, NOON)) == ["b", "c"]
    assert roots(due_jobs([job("a")], known, timedelta(), NOON)) == ["a"]


def test_a_commit_is_the_same_whatever_ref_led_to_it() -> None:
    known = latest(judged(job("a", ref="main"), 0.5))
    assert due_jobs([job("a")], known, HOUR, NOON) == []


def test_a_variant_that_is_planned_in_another_way_now_is_not_left_out() -> None:
    known = latest(judged(job("a", name="eu", workspace="one"), 0.5))
    again = job("a", name="eu", workspace="two")
    assert due_jobs([again], known, HOUR, NOON) == [again]


@pytest.mark.parametrize(("transient", "found"), [(True, ["a"]), (False, [])])
def test_an_error_that_may_have_passed_is_tried_again_and_no_other(
    transient: bool, found: list[str]
) -> None:
    error = CheckError(phase="plan", kind=ErrorKind.PLAN_FAILED, message="no", transient=transient)
    known = latest(judged(job("a"), 0.5, error))
    assert roots(due_jobs([job("a")], known, HOUR, NOON)) == found


def test_a_root_that_a_wrong_clock_dated_years_ahead_is_not_left_out() -> None:
    known = latest(judged(job("a"), -10_000))
    assert roots(due_jobs([job("a")], known, HOUR, NOON)) == ["a"]
