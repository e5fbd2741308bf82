"""What is going to start: worked out, counted by the hour, and told."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from driftfleet.repository_rule import RepositoryRule
from driftfleet.schedule_settings import ScheduleRule, ScheduleSettings, schedule_of
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.records import ResultStore
from driftfleet.swept import Swept, swept_key
from producer.repositories import Wanted
from producer.schedule import next_slot
from producer.standing import Standing, standings
from producer.timetable import Start, Timetable, timetable
from producer.timetable_view import show_json, show_text

NOON = datetime(2026, 6, 15, 12, 20, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
SIX_HOURS = ScheduleSettings(every=6 * HOUR)
UTC_ZONE = ZoneInfo("UTC")


def standing(
    repo: str = "acme/infra",
    default: ScheduleSettings = SIX_HOURS,
    *,
    ref: str = "",
    swept_hours: float | None = None,
    checks: int | None = 12,
    **rule: object,
) -> Standing:
    own = ScheduleRule.model_validate(rule) if rule else None
    wanted = Wanted(repo, RepositoryRule(repo=repo, ref=ref, schedule=own), ref=ref)
    swept = None
    if swept_hours is not None:
        at = NOON - swept_hours * HOUR
        swept = Swept(repo=repo, ref=ref, swept_at=at, checks=checks, first_seen=at)
    return Standing(wanted, f"ghe/{repo}@{ref}", schedule_of(default, own), swept)


def table(*of: Standing, hours: int = 24, zone: ZoneInfo = UTC_ZONE) -> Timetable:
    return timetable(of, NOON, hours, zone)


def moments(starts: Sequence[Start]) -> list[tuple[str, datetime, bool]]:
    return [(start.standing.wanted.name, start.at, start.overdue) for start in starts]


def text(of: Timetable, *, everything: bool = False) -> str:
    stdout = io.StringIO()
    show_text(of, stdout, everything=everything)
    return stdout.getvalue()


# What starts


def test_each_slot_until_the_end_is_a_start() -> None:
    found = table(standing()).starts
    slot = next_slot(SIX_HOURS, "ghe/acme/infra@", NOON)
    assert slot is not None
    assert moments(found) == [("acme/infra", slot + n * 6 * HOUR, False) for n in range(4)]


def test_what_missed_slots_starts_once_now_and_then_as_ever() -> None:
    one = standing(swept_hours=30)
    first, *others = table(one).starts
    assert (first.at, first.overdue) == (NOON, True)
    assert moments(others) == moments(table(standing()).starts)


def test_what_is_overdue_in_a_closed_time_starts_at_its_end() -> None:
    closed = schedule_of(SIX_HOURS, ScheduleRule.model_validate({"not_between": ["12:00-14:00"]}))
    first = table(standing(default=closed, swept_hours=30)).starts[0]
    assert (first.at, first.overdue) == (datetime(2026, 6, 15, 14, tzinfo=UTC), True)


def test_what_is_overdue_and_cannot_start_until_the_end_is_not_shown_as_if_it_did() -> None:
    closed = schedule_of(SIX_HOURS, ScheduleRule.model_validate({"not_between": ["12:00-14:00"]}))
    assert table(standing(default=closed, swept_hours=30), hours=1).starts == ()


def test_starts_are_in_their_order_and_the_overdue_by_how_long_they_wait() -> None:
    found = table(*(standing(f"a/{n}", swept_hours=20 + n % 3) for n in range(9))).starts
    assert [start.at for start in found] == sorted(start.at for start in found)
    assert [start.standing.wanted.name[2:] for start in found[:9]] == list("258147036")


def test_hours_are_those_of_the_clock_and_hold_every_start() -> None:
    of = table(*(standing(f"a/{n}", swept_hours=1, checks=n) for n in range(100)))
    hours = of.hours()
    assert hours[0].begins == datetime(2026, 6, 15, 12, tzinfo=UTC)
    assert len(hours) == 25
    assert sum(hour.starts for hour in hours) == len(of.starts)
    assert sum(hour.checks for hour in hours) == sum(start.checks or 0 for start in of.starts)
    assert all(hour.unknown == 0 for hour in hours)


def test_hours_are_those_of_a_zone_half_an_hour_off() -> None:
    of = table(standing(), zone=ZoneInfo("Asia/Kolkata"))
    assert of.hours()[0].begins == datetime(2026, 6, 15, 11, 30, tzinfo=UTC)
    assert sum(hour.starts for hour in of.hours()) == 4


@pytest.mark.parametrize("hours", [1, 23, 24, 48])
def test_no_start_is_behind_the_end(hours: int) -> None:
    of = table(*(standing(f"a/{n}") for n in range(50)), hours=hours)
    assert all(NOON < start.at < NOON + hours * HOUR for start in of.starts)
    assert len(of.hours()) == hours + 1


def test_starts_whose_checks_nobody_knows_are_counted_as_that() -> None:
    of = table(standing("a/a"), standing("a/b", swept_hours=1, checks=7))
    assert sum(hour.unknown for hour in of.hours()) == 4
    assert sum(hour.checks for hour in of.hours()) == 4 * 7


# Why not


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (standing(), None),
        (standing(default=ScheduleSettings()), "neither 'every' nor 'cron' is set in 'schedule'"),
        (standing(every="never"), "'every' is never in the rule of acme/infra"),
        (standing(default=ScheduleSettings(every="never")), "'every' is never in 'schedule'"),
        (
            standing(default=ScheduleSettings(every="never"), deadline="2h"),
            "'every' is never in 'schedule'",
        ),
    ],
)
def test_what_is_not_scheduled_says_where_that_is_said(one: Standing, why: str | None) -> None:
    assert one.why_not == why
    assert table(one).unscheduled == (() if why is None else (one,))


# What is kept


def test_a_repositorys_record_is_found_by_any_spelling_of_its_name_and_by_its_ref() -> None:
    store = ResultStore(MemoryObjects())
    for ref, checks in (("", 1), ("release/7", 2)):
        swept = Swept(repo="Acme/Infra", ref=ref, checks=checks, first_seen=NOON)
        store.keep(swept.key, swept)
    rules = [RepositoryRule(repo="acme/INFRA", ref=ref) for ref in ("", "release/7", "other")]
    wanted = [Wanted(str(rule.repo), rule, ref=rule.ref) for rule in rules]
    found, problems = standings(wanted, SIX_HOURS, "ghe", store)
    assert [one.swept.checks if one.swept else None for one in found] == [1, 2, None]
    assert [one.name for one in found] == [
        "ghe/acme/infra@", "ghe/acme/infra@release/7", "ghe/acme/infra@other",
    ]  # fmt: skip
    assert problems == []


def test_a_key_is_one_file_below_its_owner() -> None:
    assert swept_key("Acme/Infra") == "swept/acme/infra.json"
    assert swept_key("acme/infra", "release/7") == "swept/acme/infra%40release%2F7.json"
    assert len(swept_key("acme/" + "x" * 100, "y" * 1000).rpartition("/")[2]) <= 255
    assert swept_key("acme/a.json") != swept_key("acme/a")


def test_a_record_that_cannot_be_read_is_told_and_is_as_none() -> None:
    objects = MemoryObjects()
    objects.put(swept_key("acme/infra"), b"{")
    wanted = [Wanted("acme/infra", RepositoryRule(repo="acme/infra"))]
    found, problems = standings(wanted, SIX_HOURS, "ghe", ResultStore(objects))
    assert found[0].swept is None
    assert len(problems) == 1
    assert problems[0].startswith("acme/infra: its last sweep is not known: ")


# What is told


def test_hours_starts_and_the_rest_are_told_on_one_page() -> None:
    of = table(
        standing("acme/infra", swept_hours=30, checks=1200),
        standing("acme/net", ref="release/7"),
        standing("acme/old", every="never"),
        hours=6,
    )
    shown = text(of)
    lines = shown.splitlines()
    assert lines[0] == (
        "2 repositories on schedule: 3 starts, at most 2,400 checks until Mon 15 Jun 18:20 (UTC)"
    )
    assert lines[2].split() == ["HOUR", "STARTS", "CHECKS", "UNKNOWN", "(starts)"]
    assert lines[3].split()[:6] == ["Mon", "15", "Jun", "12:00", "1", "1,200"]
    assert "now (overdue)        acme/infra            1,200  1d6h ago" in lines
    assert "acme/net@release/7  unknown  never" in shown
    # After its first start it will have been swept again.
    assert shown.count("1d6h ago") == 1
    assert "1 overdue: what was swept longest ago starts first." in lines
    assert "How many checks 1 repository has is not known before a sweep" in shown
    assert lines[-2:] == ["Not scheduled:", "  acme/old: 'every' is never in the rule of acme/old"]


def test_a_start_in_another_zone_than_the_fleets_names_it() -> None:
    one = standing(cron="0 22 * * *", spread=0, timezone="America/New_York")
    shown = text(table(one, zone=ZoneInfo("Europe/Berlin")))
    assert "Mon 15 Jun 22:00:00 America/New_York" in shown
    assert "Tue 16 Jun 04:00  " in shown


def test_thousands_of_starts_are_twenty_lines_unless_all_are_asked_for() -> None:
    many = [standing(f"acme/r{n}", swept_hours=1) for n in range(500)]
    many += [standing(f"acme/n{n}", every="never") for n in range(30)]
    short, long = text(table(*many)), text(table(*many), everything=True)
    assert short.count("acme/r") == 20
    assert "The next 20 of 2,0" in short
    assert short.count("acme/n") == 2 * 20
    assert "  and 10 more (--all shows each)" in short
    assert long.count("acme/r") == len(table(*many).starts)
    assert long.count("\n  acme/n") == 30
    assert "--all" not in long


def test_nothing_to_start_is_said_and_no_empty_table_shown() -> None:
    shown = text(table(standing(cron="0 3 1 * *")))
    assert shown == ("1 repository on schedule, and nothing starts until Tue 16 Jun 12:20 (UTC)\n")


def test_a_stream_that_knows_few_letters_is_no_trouble() -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show_text(table(standing("acme/infra", ref="gr\xfcn")), stdout, everything=True)
    stdout.seek(0)
    assert "acme/infra@gr\\xfcn" in stdout.read()


def test_a_script_gets_a_line_for_each_start_and_for_what_is_not_scheduled() -> None:
    stdout = io.StringIO()
    berlin = schedule_of(SIX_HOURS, ScheduleRule(timezone="Europe/Berlin"))
    of = table(
        standing("a/b", berlin, swept_hours=7, checks=3), standing("a/c", every="never"), hours=3
    )
    show_json(of, stdout)
    records = [json.loads(line) for line in stdout.getvalue().splitlines()]
    assert records[0] == {
        "repo": "a/b", "ref": "", "start": "2026-06-15T14:20:00+02:00", "overdue": True,
        "checks": 3, "swept_at": "2026-06-15T05:20:00+00:00", "why_not": None,
    }  # fmt: skip
    assert records[-1] == {
        "repo": "a/c", "ref": "", "start": None, "overdue": False, "checks": None,
        "swept_at": None, "why_not": "'every' is never in the rule of a/c",
    }  # fmt: skip
