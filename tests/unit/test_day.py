"""What a day leaves behind, and the trend of thirty of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from driftfleet.day import TREND_DAYS, DayRecord, day_of, trend
from driftfleet.fleet_status import FleetStatus
from driftfleet.model import decode_record
from driftfleet.results import ErrorKind, Verdict
from driftfleet.store.days import keep_day, read_days
from driftfleet.store.memory import MemoryObjects
from tests.fleets import AT, root

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def fleet() -> FleetStatus:
    return FleetStatus(
        roots=(
            root(path="a"),
            root(path="b", said=[(Verdict.CLEAN, 25 * HOUR)]),
            root(path="c", said=[(Verdict.CLEAN, 30 * HOUR), (Verdict.ERROR, HOUR)]),
            root(path="d", said=[(Verdict.ERROR, HOUR)], kind=ErrorKind.HCL),
            root(path="e", said=[(Verdict.DRIFTED, HOUR)]),
        ),
        gone=(root(path="old"),),
        never=("acme/infra/new/default", "acme/infra/newer/default"),
        unreadable={"latest/acme/infra/odd/default.json": "no JSON"},
    )


def test_a_day_counts_every_root_once_and_those_that_are_gone_apart() -> None:
    day = day_of(fleet(), AT, DAY)
    assert day.verdicts == {Verdict.CLEAN: 2, Verdict.DRIFTED: 1, Verdict.ERROR: 2}
    assert (day.roots, day.never, day.unreadable, day.gone) == (8, 2, 1, 1)
    assert day.roots == sum(day.verdicts.values()) + day.never + day.unreadable
    assert day.errors == {ErrorKind.HCL: 1, ErrorKind.TIMEOUT: 1}
    assert day.key == "days/2026-11-29.json"


def test_a_root_whose_last_judgement_is_older_is_stale_however_lately_it_failed() -> None:
    assert day_of(fleet(), AT, DAY).stale == 2
    assert day_of(fleet(), AT, 26 * HOUR).stale == 1
    assert day_of(FleetStatus(), AT, DAY).stale == 0


def test_the_date_is_that_of_utc() -> None:
    late = datetime.fromisoformat("2026-11-29T23:30:00-05:00")
    assert day_of(FleetStatus(), late, DAY).date == date(2026, 11, 30)


def test_a_day_survives_its_journey_as_json() -> None:
    day = day_of(fleet(), AT, DAY)
    assert decode_record(DayRecord, day.model_dump_json()) == day


def test_the_trend_is_thirty_days_with_gaps_where_nobody_counted() -> None:
    days = [_day(AT.date() - timedelta(days=back)) for back in (0, 2, 29, 30, 400)]
    shown = trend(days, AT.date())
    assert [at for at, _ in shown] == sorted(at for at, _ in shown)
    assert len(shown) == TREND_DAYS
    assert [at for at, day in shown if day] == [
        date(2026, 10, 31),
        date(2026, 11, 27),
        date(2026, 11, 29),
    ]


@pytest.mark.parametrize("standing", [*Verdict, "never"])
def test_each_standing_has_a_count(standing: str) -> None:
    day = _day(AT.date(), {Verdict(standing): 3} if standing != "never" else {}, never=3)
    assert day.count(standing) == 3


def test_the_store_gives_the_days_of_the_trend_and_leaves_out_what_cannot_be_read() -> None:
    objects = MemoryObjects()
    kept = [_day(AT.date() - timedelta(days=back)) for back in (31, 30, 29, 1, 0)]
    for day in kept:
        keep_day(objects, day)
    objects.put("days/2026-11-05.json", b"{half")
    objects.put("days/2026-11-06.json", b'{"schema_version": 2}')
    assert read_days(objects, AT) == tuple(kept[2:])


def test_the_last_record_of_a_day_is_the_one_that_stays() -> None:
    objects = MemoryObjects()
    keep_day(objects, _day(AT.date(), {Verdict.CLEAN: 1}))
    keep_day(objects, _day(AT.date(), {Verdict.CLEAN: 2}))
    assert [day.count("clean") for day in read_days(objects, AT)] == [2]


def _day(at: date, verdicts: dict[Verdict, int] | None = None, never: int = 0) -> DayRecord:
    moment = datetime(at.year, at.month, at.day, 9, tzinfo=UTC)
    counts = verdicts or {}
    return DayRecord(
        date=at,
        at=moment,
        roots=sum(counts.values()) + never,
        verdicts=counts,
        never=never,
        stale_after_seconds=86_400,
    )
