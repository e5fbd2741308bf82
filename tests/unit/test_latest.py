"""What a root's latest record says of what came before."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.jobs import Job, Source
from driftfleet.latest import MOST_RUNS, LatestRecord, Run, follow
from driftfleet.results import CheckError, ErrorKind, Result, Verdict

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
JOB = Job(sweep_id="s1", source=Source(kind="github", repo="acme/infra"), root="envs/prod")
LETTERS = {
    "c": Verdict.CLEAN,
    "d": Verdict.DRIFTED,
    "u": Verdict.UNAPPLIED,
    "b": Verdict.DRIFTED_UNAPPLIED,
    "e": Verdict.ERROR,
}


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def result(
    hours: float, verdict: Verdict, fingerprint: str = "", error: ErrorKind = ErrorKind.TIMEOUT
) -> Result:
    return Result(
        job=JOB,
        verdict=verdict,
        fingerprint=fingerprint,
        error=CheckError(phase="plan", kind=error, message="m")
        if verdict == Verdict.ERROR
        else None,
        started_at=at(hours - 0.1),
        finished_at=at(hours),
    )


def after(*results: Result) -> LatestRecord:
    latest = None
    for one in results:
        latest = follow(latest, one)
    assert latest is not None
    return latest


def line(letters: str) -> LatestRecord:
    """After checks an hour apart, with the verdicts that the letters stand for."""
    return after(
        *(
            result(hour, LETTERS[letter], "" if letter in "ce" else f"f-{letter}")
            for hour, letter in enumerate(letters)
        )
    )


def test_the_first_check_begins_all() -> None:
    latest = line("d")
    assert (latest.first_seen, latest.streak, latest.drifted_since) == (NOON, 1, NOON)
    assert latest.runs == (
        Run(verdict=Verdict.DRIFTED, fingerprint="f-d", first=NOON, last=NOON, checks=1),
    )
    assert (latest.last_clean, latest.last_error, latest.unapplied_since) == (None, None, None)


@pytest.mark.parametrize(
    ("letters", "drifted", "unapplied"),
    [
        ("cd", 1, None),
        ("cdd", 1, None),
        ("cded", 1, None),  # an error is no end of drift
        ("cde", 1, None),  # nor does it hide since when
        ("cdeeed", 1, None),
        ("ce", None, None),
        ("cdcd", 3, None),
        ("cdecd", 4, None),
        ("db", 0, 1),
        ("dbu", None, 1),
        ("ub", 1, 0),
        ("ubeb", 1, 0),
        ("bd", 0, None),
        ("edc", None, None),
    ],
)
def test_drift_is_as_old_as_what_is_still_so_whatever_errors_are_between(
    letters: str, drifted: int | None, unapplied: int | None
) -> None:
    latest = line(letters)
    assert latest.drifted_since == (None if drifted is None else at(drifted))
    assert latest.unapplied_since == (None if unapplied is None else at(unapplied))


def test_the_last_clean_and_the_last_error_stay_known() -> None:
    latest = line("cedd")
    assert latest.last_clean == at(0)
    assert latest.last_error is not None
    assert (latest.last_error.at, latest.last_error.kind) == (at(1), ErrorKind.TIMEOUT)
    assert line("cecc").last_clean == at(3)


def test_the_fingerprint_is_of_the_last_check_that_was_judged() -> None:
    found = [
        result(0, Verdict.DRIFTED, "one"),
        result(1, Verdict.DRIFTED, "two"),
        result(2, Verdict.ERROR),
        result(3, Verdict.DRIFTED, "two"),
    ]
    assert (after(*found[:2]).fingerprint, after(*found[:2]).fingerprint_since) == ("two", at(1))
    assert (after(*found[:3]).fingerprint, after(*found[:3]).fingerprint_since) == ("two", at(1))
    assert (after(*found).fingerprint, after(*found).fingerprint_since) == ("two", at(1))
    clean = follow(after(*found), result(4, Verdict.CLEAN))
    assert (clean.fingerprint, clean.fingerprint_since) == ("", None)


def test_checks_that_say_the_same_are_one_run() -> None:
    assert [(run.verdict, run.checks, run.first, run.last) for run in line("ccddec").runs] == [
        (Verdict.CLEAN, 1, at(5), at(5)),
        (Verdict.ERROR, 1, at(4), at(4)),
        (Verdict.DRIFTED, 2, at(2), at(3)),
        (Verdict.CLEAN, 2, at(0), at(1)),
    ]


def test_another_set_of_changes_and_another_kind_of_error_are_another_run() -> None:
    latest = after(
        result(0, Verdict.DRIFTED, "one"),
        result(1, Verdict.DRIFTED, "two"),
        result(2, Verdict.ERROR, error=ErrorKind.TIMEOUT),
        result(3, Verdict.ERROR, error=ErrorKind.CREDENTIALS),
    )
    assert [(run.fingerprint, run.error) for run in latest.runs] == [
        ("", ErrorKind.CREDENTIALS),
        ("", ErrorKind.TIMEOUT),
        ("two", None),
        ("one", None),
    ]


@given(st.text("cdube", min_size=1, max_size=120))
def test_runs_count_every_check_as_long_as_none_is_dropped(letters: str) -> None:
    latest = line(letters)
    runs = latest.runs
    assert len(runs) <= MOST_RUNS
    counted = sum(run.checks for run in runs)
    assert counted == len(letters) or (len(runs) == MOST_RUNS and counted < len(letters))
    assert all(newer.first > older.last for newer, older in itertools.pairwise(runs))
    assert (runs[0].verdict, runs[0].last) == (latest.result.verdict, latest.result.finished_at)
    assert latest.streak == len(letters) - len(letters.rstrip(letters[-1]))


@given(st.text("cdube", min_size=1, max_size=40))
def test_since_when_it_drifts_is_what_the_line_says(letters: str) -> None:
    """Worked out from the whole line, which `follow` never sees."""
    judged = [(hour, letter) for hour, letter in enumerate(letters) if letter != "e"]
    for field, drifting in (("drifted_since", "db"), ("unapplied_since", "ub")):
        since = None
        for hour, letter in reversed(judged):
            if letter not in drifting:
                break
            since = at(hour)
        assert getattr(line(letters), field) == since


def test_one_that_finished_before_an_older_one_makes_no_run_end_before_it_began() -> None:
    latest = after(result(2, Verdict.CLEAN), result(1, Verdict.CLEAN))
    assert [(run.first, run.last, run.checks) for run in latest.runs] == [(at(2), at(2), 2)]


def test_a_record_of_before_these_fields_begins_with_what_it_says() -> None:
    old = LatestRecord(
        first_seen=at(0), streak=3, result=result(2, Verdict.DRIFTED, "one")
    )  # fmt: skip
    latest = follow(old, result(3, Verdict.DRIFTED, "one"))
    assert (latest.drifted_since, latest.streak) == (at(0), 4)
    assert [(run.first, run.last, run.checks) for run in latest.runs] == [(at(0), at(3), 4)]
    assert follow(old, result(3, Verdict.ERROR)).drifted_since == at(0)
    assert follow(old, result(3, Verdict.CLEAN)).drifted_since is None
