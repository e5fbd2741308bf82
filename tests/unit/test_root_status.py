"""A root's line: what it says, and since when somebody should have acted."""

from datetime import timedelta

import pytest

from driftfleet.latest import LatestRecord, follow
from driftfleet.results import ErrorKind, Result, Verdict
from driftfleet.root_status import RootStatus, status_of
from tests.checked import at, checked, job

LETTERS = {"c": Verdict.CLEAN, "d": Verdict.DRIFTED, "b": Verdict.DRIFTED_UNAPPLIED,
           "u": Verdict.UNAPPLIED, "e": Verdict.ERROR}  # fmt: skip


def status(*results: Result) -> RootStatus:
    latest: LatestRecord | None = None
    for one in results:
        latest = follow(latest, one)
    assert latest is not None
    return status_of("latest/acme/infra/envs/prod/default.json", latest)


def line(letters: str) -> RootStatus:
    return status(*(checked(None, hour, LETTERS[one]) for hour, one in enumerate(letters)))


def test_it_says_whose_it_is_and_where_the_whole_is() -> None:
    one = status(checked(job("a b", "eu", "acme/infra", "v1"), 1, Verdict.DRIFTED))
    assert (one.kind, one.repo, one.root, one.variant, one.ref) == (
        "github", "acme/infra", "a b", "eu", "v1",
    )  # fmt: skip
    assert one.result_key.startswith("results/acme/infra/a%20b/eu/2026")
    assert (one.verdict, one.summary.drifted, one.checked_at) == (Verdict.DRIFTED, 1, at(1))
    assert (one.sweep_id, one.error_kind, one.timings_seconds.total) == ("s1", None, 10)


def test_of_an_error_it_says_how_the_message_begins() -> None:
    one = status(checked(verdict=Verdict.ERROR, message="m" * 5000))
    assert (one.error_phase, one.error_kind) == ("init", ErrorKind.CREDENTIALS)
    assert one.error_message == "m" * 300


@pytest.mark.parametrize(
    ("letters", "hour"),
    [
        ("cc", 0),
        ("dcc", 1),
        ("ddd", 0),
        ("ded", 0),  # an error doesn't make drift younger
        ("dee", 1),  # but what is in error now is so since then
        ("ub", 0),  # somebody should have acted since the first of both
        ("bd", 0),
        ("bu", 0),
        ("dbu", 1),
    ],
)
def test_since_is_when_somebody_should_have_begun_to_act(letters: str, hour: int) -> None:
    assert line(letters).since == at(hour)


def test_an_error_is_no_judgement() -> None:
    assert line("cde").judged_at == at(1)
    assert line("cd").judged_at == at(1)
    assert line("eee").judged_at is None
    day = timedelta(days=1)
    assert not line("cde").is_stale(at(25), day)
    assert line("cde").is_stale(at(25.1), day)
    assert line("eee").judged_at is None


def test_one_that_was_never_judged_is_stale_when_that_is_known_for_longer() -> None:
    day = timedelta(days=1)
    assert not line("eee").is_stale(at(24), day)
    assert line("eee").is_stale(at(24.1), day)


def test_when_it_was_judged_is_known_behind_more_errors_than_there_are_runs() -> None:
    kinds = list(ErrorKind)
    latest = follow(None, checked())
    for number in range(1, 120):
        one = checked(None, number, Verdict.ERROR)
        assert one.error is not None
        error = one.error.model_copy(update={"kind": kinds[number % 2]})
        latest = follow(latest, one.model_copy(update={"error": error}))
    assert status_of("k", latest).judged_at == at(0)


def test_so_it_is_of_what_drifted_for_long_and_the_verdict_before_it() -> None:
    latest: LatestRecord | None = None
    for hour in range(100):
        latest = follow(latest, checked(None, hour, Verdict.DRIFTED))
    for number, kind in enumerate([ErrorKind.TIMEOUT, ErrorKind.CREDENTIALS] * 60):
        one = checked(None, 100 + number, Verdict.ERROR)
        assert one.error is not None
        error = one.error.model_copy(update={"kind": kind})
        latest = follow(latest, one.model_copy(update={"error": error}))
    assert latest is not None
    assert len(latest.runs) == 50
    one = status_of("k", latest)
    assert (one.judged_at, one.before) == (at(99), Verdict.DRIFTED)
