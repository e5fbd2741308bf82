"""What a sweep comes down to."""

from driftfleet.ledger import Answer
from driftfleet.results import ErrorKind, Timings, Verdict
from driftfleet.summing import summed
from driftfleet.sweeps import SweepSummary


def answer(
    verdict: Verdict | None = Verdict.CLEAN,
    total: float | None = 1.0,
    error: ErrorKind | None = None,
) -> Answer:
    timings = None if total is None else Timings(wait=0.1, plan=total - 0.1, total=total)
    return Answer(check="c", verdict=verdict, error=error, timings_seconds=timings)


def test_nothing_answered_is_nothing() -> None:
    assert summed({}) == SweepSummary()


def test_verdicts_are_counted_errors_named_and_phases_added() -> None:
    summary = summed(
        {
            "a": answer(),
            "b": answer(Verdict.DRIFTED, 2.0),
            "c": answer(Verdict.ERROR, 4.0, ErrorKind.TIMEOUT),
            "d": answer(),
        }
    )
    assert summary.verdicts == {Verdict.CLEAN: 2, Verdict.DRIFTED: 1, Verdict.ERROR: 1}
    assert summary.errors == {"c": ErrorKind.TIMEOUT}
    assert summary.timings_seconds == Timings(wait=0.4, plan=7.6, total=8.0)
    assert [one.title for one in summary.slowest] == ["c", "b", "a", "d"]
    assert summary.slowest[0].verdict == Verdict.ERROR


def test_what_a_newer_commit_replaced_is_no_answer() -> None:
    replaced = Answer(check="c", superseded_by="s2")
    assert summed({"a": replaced, "b": answer()}) == summed({"b": answer()})


def test_an_answer_without_times_counts_and_is_not_among_the_slowest() -> None:
    summary = summed({"a": answer(total=None), "b": answer()})
    assert summary.verdicts == {Verdict.CLEAN: 2}
    assert [one.title for one in summary.slowest] == ["b"]
    assert summary.timings_seconds.total == 1.0


def test_only_the_slowest_of_a_large_sweep_are_named() -> None:
    summary = summed({f"{n:04}": answer(total=n + 1) for n in range(1000)})
    assert len(summary.slowest) == 20
    assert [one.title for one in summary.slowest] == [f"{n:04}" for n in range(999, 979, -1)]
    assert summary.timings_seconds.total == 1000 * 1001 / 2
