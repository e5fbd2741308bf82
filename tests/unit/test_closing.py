"""The end of a sweep: whatever came back, and whoever ends it, it is told once."""

from datetime import UTC, datetime, timedelta

import pytest

from driftfleet.closing import close_sweep
from driftfleet.errors import BrokerUnavailable, StoreUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, MemoryLedger, OpenSweep
from driftfleet.results import Result, Verdict
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects
from driftfleet.sweeps import SweepManifest, SweepRecord
from producer.sweep import open_record
from tests.ledgers import ask, job

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=10)
SWEEP = "sweep-20260102T120000-aaaaaa"


class World:
    """A sweep of some roots, asked for at noon; it is ten past."""

    def __init__(self, *roots: str) -> None:
        self.objects = MemoryObjects()
        self.store = ResultStore(self.objects)
        self.ledger = MemoryLedger(LATER.timestamp)
        self.jobs = [job(root, sweep=SWEEP) for root in roots]
        self.open(self.jobs)

    def open(self, jobs: list[Job]) -> None:
        sweep = jobs[0].sweep_id
        deadline = NOON + timedelta(hours=1)
        manifest = SweepManifest(sweep_id=sweep, jobs=tuple(jobs), asked_at=NOON, deadline=deadline)
        record = open_record(jobs, sweep, NOON).model_copy(update={"deadline": deadline})
        self.store.open_sweep(record, manifest)
        ask(self.ledger, *jobs)
        self.ledger.seal(OpenSweep(sweep_id=sweep, deadline=deadline.timestamp()))

    def store_result(self, one: Job, verdict: Verdict = Verdict.CLEAN, at: datetime = LATER) -> str:
        return self.store.add(Result(job=one, verdict=verdict, started_at=at, finished_at=at))

    def answer(self, one: Job, verdict: Verdict = Verdict.CLEAN) -> tuple[str, ...]:
        key = self.store_result(one, verdict)
        answer = Answer(check=one.identity, verdict=verdict, key=key)
        return self.ledger.answer(one, answer).done

    def close(self, sweep: str = SWEEP) -> SweepRecord | None:
        return close_sweep(sweep, self.ledger, self.store)

    def record(self) -> SweepRecord:
        record = self.store.sweep(SWEEP)
        assert record is not None
        return record


def test_the_record_says_what_came_back_and_what_did_not() -> None:
    world = World("a", "b", "c")
    a, b, c = world.jobs
    world.answer(a, Verdict.DRIFTED)
    world.answer(c, Verdict.ERROR)
    closed = world.close()
    assert closed is not None
    assert closed == world.record()
    assert closed.answered == {a.title: Verdict.DRIFTED, c.title: Verdict.ERROR}
    assert closed.missing == (b.title,)
    assert closed.superseded == ()
    assert (closed.started_at, closed.closed_at) == (NOON, LATER)
    assert closed.asked == (a.title, b.title, c.title)


def test_it_is_closed_once_however_often_it_is_tried() -> None:
    world = World("a")
    assert world.answer(world.jobs[0]) == (SWEEP,)
    first = world.close()
    assert first is not None
    for _ in range(3):
        assert world.close() is None
    assert world.record() == first


def test_a_second_answer_after_the_end_changes_nothing() -> None:
    world = World("a", "b")
    a, b = world.jobs
    world.answer(a)
    closed = world.close()
    assert world.answer(a, Verdict.ERROR) == ()
    assert world.answer(b) == ()
    assert world.close() is None
    assert world.record() == closed


def test_nobody_waits_for_anything_then_in_redis_or_in_the_store() -> None:
    world = World("a", "b")
    world.close()
    assert world.ledger.pending(SWEEP) == set()
    assert world.ledger.open_sweeps() == []
    assert list(world.store.open_sweeps()) == []


def test_what_a_newer_commit_replaced_is_neither_answered_nor_missing() -> None:
    world = World("a", "b")
    a, b = world.jobs
    world.open([job("a", sha="2" * 40, sweep="sweep-20260102T120500-bbbbbb")])
    world.answer(b)
    closed = world.close()
    assert closed is not None
    assert (closed.superseded, closed.missing) == ((a.title,), ())
    assert closed.answered == {b.title: Verdict.CLEAN}


def test_what_only_the_store_knows_counts_as_answered() -> None:
    """Redis was emptied, or a worker died between the store and Redis."""
    world = World("a", "b", "c")
    a, b, c = world.jobs
    world.store_result(a, Verdict.UNAPPLIED)
    world.store_result(b, at=NOON - timedelta(seconds=1))  # of an earlier sweep
    emptied = MemoryLedger(world.ledger.now)
    world.ledger = emptied
    closed = world.close()
    assert closed is not None
    assert closed.answered == {a.title: Verdict.UNAPPLIED}
    assert closed.missing == (b.title, c.title)


def test_another_commits_result_is_no_answer() -> None:
    world = World("a")
    world.store_result(job("a", sha="2" * 40, sweep="sweep-20260102T120500-bbbbbb"))
    closed = world.close()
    assert closed is not None
    assert closed.missing == (world.jobs[0].title,)


def test_a_sweep_that_nobody_knows_is_none() -> None:
    world = World("a")
    assert world.close("sweep-20260102T120000-cccccc") is None
    assert world.ledger.pending(SWEEP) != set()


@pytest.mark.parametrize("spoilt", ["sweeps", "open"])
def test_what_cannot_be_read_keeps_no_sweep_open_for_ever(spoilt: str) -> None:
    world = World("a", "b")
    a, b = world.jobs
    world.answer(a)
    world.objects.put(f"{spoilt}/{SWEEP}.json", b'{"half')
    closed = world.close()
    assert closed is not None
    assert closed.closed_at == LATER
    assert b.title in closed.missing
    assert world.close() is None
    assert world.ledger.open_sweeps() == []
    assert list(world.store.open_sweeps()) == []


def test_whoever_dies_between_the_store_and_redis_is_made_up_for() -> None:
    world = World("a")
    world.answer(world.jobs[0])

    class Away(MemoryLedger):
        def close(self, *_: object) -> None:
            raise BrokerUnavailable("Redis did not answer: refused")

    here, away = world.ledger, Away(world.ledger.now)
    vars(away).update(vars(here))
    world.ledger = away
    with pytest.raises(BrokerUnavailable):
        world.close()
    first = world.record()
    assert first.closed_at is not None
    world.ledger = here
    assert world.close() is None
    assert here.open_sweeps() == []
    assert world.record() == first


def test_a_store_that_is_away_leaves_it_open() -> None:
    world = World("a")
    put_if = world.objects.put_if

    def refuse(*_: object) -> bool:
        raise StoreUnavailable("the bucket is not there")

    world.objects.put_if = refuse  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        world.close()
    assert world.ledger.open_sweeps() != []
    world.objects.put_if = put_if  # type: ignore[method-assign]
    assert world.close() is not None


def test_a_closed_sweep_wants_to_be_shown() -> None:
    world = World("a")
    world.answer(world.jobs[0])
    assert not world.ledger.report_wanted
    world.close()
    assert world.ledger.report_wanted


def test_whoever_died_before_that_is_made_up_for() -> None:
    world = World("a")
    world.answer(world.jobs[0])
    manifest = world.store.manifest(SWEEP)
    assert manifest is not None
    world.close()
    world.ledger.report_wanted = False
    world.objects.put(f"open/{SWEEP}.json", manifest.encode())
    assert world.close() is None
    assert world.ledger.report_wanted


def test_a_redis_that_is_away_then_delays_no_close() -> None:
    class Away(MemoryLedger):
        def want_report(self) -> None:
            raise BrokerUnavailable("away")

    world = World("a")
    world.ledger = Away(LATER.timestamp)
    world.open(world.jobs)
    world.answer(world.jobs[0])
    assert world.close() is not None
    assert world.record().closed_at == LATER
