"""A result has at most as many changes as an object has room for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftfleet.fingerprint import fingerprint
from driftfleet.fitting import fit
from driftfleet.jobs import Job, Source
from driftfleet.latest import MOST_RUNS
from driftfleet.places import latest_key
from driftfleet.results import Change, CheckError, ErrorKind, Result, Summary, Verdict
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
JOB = Job(sweep_id="s1", source=Source(kind="github", repo="acme/infra"), root="envs/prod")
ONE_MB = 1_000_000


def change(number: int, kind: str = "drift", letters: int = 0) -> Change:
    return Change.model_validate(
        {
            "address": f"aws_instance.é{number}" + "x" * letters,
            "kind": kind,
            "actions": ("update",),
            "attributes": ("tags", 'quoted "name"'),
        }
    )


def result(*changes: Change, hours: int = 0) -> Result:
    at = NOON.replace(hour=12 + hours)
    return Result(
        job=JOB,
        verdict=Verdict.DRIFTED,
        changes=changes,
        summary=Summary(drifted=len(changes)),
        fingerprint=fingerprint(changes),
        started_at=at,
        finished_at=at,
    )


def size(one: Result) -> int:
    return len(one.model_dump_json().encode())


def test_what_has_room_stays_as_it_is() -> None:
    whole = result(*map(change, range(100)))
    assert fit(whole) is whole
    assert fit(whole, size(whole)) is whole


def test_what_is_cut_is_counted_and_totals_and_fingerprint_are_of_all() -> None:
    whole = result(*map(change, range(10_000)))
    cut = fit(whole)
    assert size(whole) > ONE_MB > size(cut)
    assert len(cut.changes) + cut.changes_cut == 10_000
    assert cut.changes == whole.changes[: len(cut.changes)]
    assert (cut.summary.drifted, cut.fingerprint) == (10_000, whole.fingerprint)
    assert size(cut) > 960_000  # no more is cut than has to be


def test_drift_stays_before_what_is_unapplied_and_that_before_outputs() -> None:
    kinds = ["output", "unapplied", "drift"]
    whole = result(*(change(number, kinds[number % 3]) for number in range(30)))
    cut = fit(whole, size(whole.model_copy(update={"changes": ()})) + 15 * 130)
    assert cut.changes_cut == 30 - len(cut.changes)
    order = [kinds[::-1].index(one.kind) for one in cut.changes]
    assert order == sorted(order)
    assert [one for one in cut.changes if one.kind == "drift"] == [
        one for one in whole.changes if one.kind == "drift"
    ]
    assert any(one.kind == "unapplied" for one in cut.changes)


def test_one_change_that_is_too_large_takes_no_others_place() -> None:
    whole = result(change(0, letters=2 * ONE_MB), *map(change, range(1, 10)))
    cut = fit(whole)
    assert cut.changes == whole.changes[1:]
    assert cut.changes_cut == 1


def test_what_was_cut_and_is_cut_again_counts_both() -> None:
    whole = result(*map(change, range(100)))
    once = fit(whole, size(whole) // 2)
    twice = fit(once, size(whole) // 4)
    assert len(twice.changes) + twice.changes_cut == 100


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["drift", "unapplied", "output"]), st.integers(0, 300)),
        min_size=1,
        max_size=30,
    ),
    st.floats(0, 1),
)
def test_it_is_never_larger_than_it_may_be(told: list[tuple[str, int]], part: float) -> None:
    whole = result(*(change(n, kind, letters) for n, (kind, letters) in enumerate(told)))
    least = size(whole.model_copy(update={"changes": (), "changes_cut": len(told)}))
    most = least + round(part * (size(whole) - least))
    cut = fit(whole, most)
    assert size(cut) <= most
    assert len(cut.changes) + cut.changes_cut == len(told)


@pytest.mark.parametrize(("count", "letters"), [(10_000, 0), (40, 50_000)])
def test_stored_neither_the_history_nor_the_latest_is_larger_than_1_mb(
    count: int, letters: int
) -> None:
    objects = MemoryObjects()
    store = ResultStore(objects)
    for hours in range(-11, 11):  # runs that are never the same
        for number in range(3):
            store.add(
                Result(
                    job=JOB,
                    verdict=Verdict.ERROR,
                    error=CheckError(
                        phase="plan", kind=list(ErrorKind)[number], message="m" * 3000
                    ),
                    started_at=NOON.replace(hour=12 + hours, minute=number),
                    finished_at=NOON.replace(hour=12 + hours, minute=number),
                )
            )
    many = result(*(change(n, letters=letters) for n in range(count)), hours=11)
    key = store.add(many)
    latest = store.latest_of(JOB)
    assert latest is not None
    assert len(latest.runs) == MOST_RUNS
    assert latest.result.changes_cut > 0
    assert len(objects.get(key) or b"") <= ONE_MB
    assert 900_000 < len(objects.get(latest_key(JOB)) or b"") <= ONE_MB
