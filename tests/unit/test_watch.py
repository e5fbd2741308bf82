"""Watching sweeps that others answer: to the last answer, through a Redis that goes away."""

import io
from datetime import UTC, datetime

import pytest

from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job, Source
from driftfleet.ledger import Answer, MemoryLedger, Running
from driftfleet.results import Result, Verdict
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.records import ResultStore
from producer.display import choose_display
from producer.follow import Follower
from producer.sweep import open_record
from producer.watch import Sweep, Watch

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


class Away(MemoryLedger):
    """A ledger that can be out of reach."""

    away = False

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        if self.away:
            raise BrokerUnavailable("Redis did not answer: refused")
        return super().answers(sweep_id, start)


class World:
    """A store, a ledger, a clock that moves by sleeping, and workers that act while we sleep."""

    def __init__(self) -> None:
        self.store = ResultStore(MemoryObjects())
        self.ledger = Away()
        self.now = 0.0
        self.stderr = io.StringIO()
        self.results: list[Result] = []
        self.acts: list[object] = []

    def sweep(self, name: str, *roots: str) -> Sweep:
        source = Source(kind="github", repo=name, sha="a" * 40)
        jobs = [Job(sweep_id=name.replace("/", "-"), source=source, root=root) for root in roots]
        record = open_record(jobs, jobs[0].sweep_id, NOON)
        self.store.put_sweep(record)
        self.ledger.open(record.sweep_id, [job.identity for job in jobs])
        return Sweep(record, Follower(jobs, self.ledger, self.store))

    def answer(self, sweep: Sweep, root: str, verdict: Verdict) -> None:
        (job,) = (job for job in sweep.follower.pending.values() if job.root == root)
        result = Result(job=job, verdict=verdict, started_at=NOON, finished_at=NOON)
        key = self.store.add(result)
        self.ledger.answer(job.sweep_id, Answer(check=job.identity, verdict=verdict, key=key))

    def watch(self, *sweeps: Sweep, acts: dict[float, object] | None = None) -> None:
        pending = sorted((acts or {}).items())

        def sleep(seconds: float) -> None:
            self.now += seconds
            assert self.now < 10_000, "it watches for ever"
            while pending and pending[0][0] <= self.now:
                pending.pop(0)[1]()  # type: ignore[operator]

        display = choose_display(as_json=True, plain=True, stdout=io.StringIO(), stderr=self.stderr)
        Watch(
            sweeps, self.store, display, self.results.append, clock=lambda: self.now, sleep=sleep
        ).run()


def test_every_answer_of_every_sweep_comes_and_each_record_is_closed() -> None:
    world = World()
    a, b = world.sweep("acme/a", "x", "y"), world.sweep("acme/b", "z")
    world.watch(
        a,
        b,
        acts={
            1: lambda: world.answer(b, "z", Verdict.CLEAN),
            2: lambda: world.answer(a, "y", Verdict.DRIFTED),
            3: lambda: world.answer(a, "x", Verdict.CLEAN),
        },
    )
    assert [result.job.root for result in world.results] == ["z", "y", "x"]
    for sweep in (a, b):
        record = world.store.sweep(sweep.record.sweep_id)
        assert record is not None
        assert record.closed_at is not None
        assert record.missing == ()
        assert set(record.answered) == set(record.asked)
    assert world.stderr.getvalue() == ""


def test_a_redis_that_is_away_for_minutes_is_told_once_and_survived() -> None:
    world = World()
    sweep = world.sweep("acme/a", "x")
    world.watch(
        sweep,
        acts={
            1: lambda: setattr(world.ledger, "away", True),
            200: lambda: setattr(world.ledger, "away", False),
            201: lambda: world.answer(sweep, "x", Verdict.CLEAN),
        },
    )
    assert len(world.results) == 1
    assert world.stderr.getvalue().count("asked again for a while") == 1


def test_a_redis_that_stays_away_ends_the_watching() -> None:
    world = World()
    sweep = world.sweep("acme/a", "x")
    world.ledger.away = True
    with pytest.raises(BrokerUnavailable):
        world.watch(sweep)
    assert 300 < world.now < 400


def test_that_nobody_works_is_said_once_and_a_running_check_is_somebody() -> None:
    world = World()
    sweep = world.sweep("acme/a", "x")
    world.watch(sweep, acts={500: lambda: world.answer(sweep, "x", Verdict.CLEAN)})
    assert world.stderr.getvalue().count("does `driftfleet worker` run") == 1

    busy = World()
    sweep = busy.sweep("acme/a", "x")
    (identity,) = sweep.follower.pending
    begun = Running(title="t", phase="plan", worker="w", started_at=0)
    busy.ledger.begin(sweep.record.sweep_id, identity, begun)
    busy.watch(sweep, acts={500: lambda: busy.answer(sweep, "x", Verdict.CLEAN)})
    assert busy.stderr.getvalue() == ""


def test_that_no_worker_takes_anything_is_said_within_seconds() -> None:
    world = World()
    sweep = world.sweep("acme/a", "x")
    world.watch(sweep, acts={10: lambda: world.answer(sweep, "x", Verdict.CLEAN)})
    assert "no worker has taken a job yet, for 8 seconds" in world.stderr.getvalue()
    assert "`driftfleet worker`" in world.stderr.getvalue()


def test_a_pause_between_checks_is_given_more_time() -> None:
    world = World()
    sweep, other = world.sweep("acme/a", "x"), world.sweep("acme/b", "y")
    world.watch(
        sweep,
        other,
        acts={
            5: lambda: world.answer(sweep, "x", Verdict.CLEAN),
            40: lambda: world.answer(other, "y", Verdict.CLEAN),
        },
    )
    assert world.stderr.getvalue() == ""


def test_a_result_that_is_in_another_store_is_told_as_that_and_as_nobodys_fault() -> None:
    world = World()
    sweep = world.sweep("acme/a", "x")
    (job,) = sweep.follower.pending.values()

    def answer_elsewhere() -> None:
        answer = Answer(check=job.identity, verdict=Verdict.CLEAN, key="results/elsewhere.json")
        world.ledger.answer(job.sweep_id, answer)

    world.watch(sweep, acts={1: answer_elsewhere})
    (result,) = world.results
    assert result.error is not None
    assert (result.error.kind, result.error.transient) == ("worker_config", False)
    assert "same results.store (DRIFTFLEET_RESULTS__STORE)" in result.error.message
    assert "results/elsewhere.json" in result.error.message
