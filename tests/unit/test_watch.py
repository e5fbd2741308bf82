"""Watching sweeps that others answer: to the last answer, through a Redis that goes away."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from driftfleet.closing import close_sweep
from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job, Source
from driftfleet.ledger import LEASE_SECONDS, Answer, Ask, MemoryLedger, OpenSweep
from driftfleet.results import Result, Verdict
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.records import ResultStore
from driftfleet.sweeps import SweepManifest, SweepRecord
from producer.display import choose_display
from producer.follow import Follower
from producer.sweep import open_record
from producer.sweep_queue import Sweep
from producer.watch import Watch

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
START = NOON.timestamp()


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
        self.now = 0.0
        self.ledger = Away(lambda: START + self.now)
        self.stderr = io.StringIO()
        self.results: list[Result] = []

    @property
    def time(self) -> datetime:
        return NOON + timedelta(seconds=self.now)

    def sweep(self, name: str, *roots: str, of: str = "", sha: str = "a" * 40) -> Sweep:
        source = Source(kind="github", repo=of or name, sha=sha)
        jobs = [Job(sweep_id=name.replace("/", "-"), source=source, root=root) for root in roots]
        record = open_record(jobs, jobs[0].sweep_id, self.time)
        manifest = SweepManifest(
            sweep_id=record.sweep_id,
            jobs=tuple(jobs),
            asked_at=self.time,
            deadline=self.time + timedelta(hours=1),
        )
        self.store.open_sweep(record, manifest)
        self.ledger.open(record.sweep_id, [Ask.of(job) for job in jobs])
        self.ledger.seal(OpenSweep(sweep_id=record.sweep_id, deadline=START + 3600))
        return Sweep(record, Follower(jobs, self.ledger, self.store))

    def begin(self, sweep: Sweep, root: str) -> None:
        (job,) = (job for job in sweep.follower.pending.values() if job.root == root)
        assert self.ledger.begin(job, "t1", {}).outcome == "start"

    def answer(self, sweep: Sweep, root: str, verdict: Verdict, *, token: str = "") -> None:
        """As a worker does; the last answer closes the sweep."""
        (job,) = (job for job in sweep.follower.pending.values() if job.root == root)
        result = Result(job=job, verdict=verdict, started_at=self.time, finished_at=self.time)
        key = self.store.add(result)
        answer = Answer(check=job.identity, verdict=verdict, key=key)
        for done in self.ledger.answer(job, answer, token).done:
            close_sweep(done, self.ledger, self.store)

    def record(self, sweep: Sweep) -> SweepRecord:
        record = self.store.sweep(sweep.record.sweep_id)
        assert record is not None
        return record

    def watch(self, *sweeps: Sweep, acts: dict[float, object] | None = None) -> None:
        pending = sorted((acts or {}).items())

        def sleep(seconds: float) -> None:
            self.now += seconds
            assert self.now < 10_000, "it watches for ever"
            while pending and pending[0][0] <= self.now:
                pending.pop(0)[1]()  # type: ignore[operator]

        display = choose_display(as_json=True, plain=True, stdout=io.StringIO(), stderr=self.stderr)
        followers = [sweep.follower for sweep in sweeps]
        Watch(followers, display, self.results.append, clock=lambda: self.now, sleep=sleep).run()


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
        record = world.record(sweep)
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

    def renew() -> None:
        (job,) = sweep.follower.pending.values()
        assert busy.ledger.renew(job, "t1")

    acts: dict[float, object] = dict.fromkeys(range(40, 500, LEASE_SECONDS - 20), renew)
    busy.begin(sweep, "x")
    busy.watch(sweep, acts={**acts, 500: lambda: busy.answer(sweep, "x", Verdict.CLEAN)})
    assert busy.stderr.getvalue() == ""


def test_what_runs_for_another_sweep_is_worked_on_too() -> None:
    world = World()
    first = world.sweep("acme/a", "x")
    world.begin(first, "x")
    joined = world.sweep("acme/b", "x", of="acme/a")
    world.watch(joined, acts={50: lambda: world.answer(first, "x", Verdict.DRIFTED)})
    assert [result.verdict for result in world.results] == [Verdict.DRIFTED]
    assert world.stderr.getvalue() == ""


def test_a_check_that_a_newer_commit_replaced_ends_as_that() -> None:
    world = World()
    old = world.sweep("acme/a", "x")
    world.watch(old, acts={1: lambda: world.sweep("acme/b", "x", of="acme/a", sha="b" * 40)})
    (result,) = world.results
    assert result.error is not None
    assert (result.error.kind, result.error.transient) == ("cancelled", True)
    assert "see the sweep acme-b" in result.error.message


def test_a_sweep_that_was_closed_without_a_word_is_read_from_the_store() -> None:
    """Its deadline came, or Redis lost its memory and with it the answers."""
    world = World()
    sweep = world.sweep("acme/a", "x", "y")

    def forget_and_close() -> None:
        job = next(job for job in sweep.follower.pending.values() if job.root == "x")
        found = Result(
            job=job, verdict=Verdict.CLEAN, started_at=world.time, finished_at=world.time
        )
        world.store.add(found)
        close_sweep(sweep.record.sweep_id, world.ledger, world.store)

    world.watch(sweep, acts={1: forget_and_close})
    assert world.now < 60
    kinds = {one.job.root: one.error.kind if one.error else None for one in world.results}
    assert kinds == {"x": None, "y": "worker_lost"}


def test_answers_that_come_after_redis_forgot_those_before_are_seen() -> None:
    world = World()
    sweep = world.sweep("acme/a", "x", "y", "z")

    def flush() -> None:
        emptied = MemoryLedger(world.ledger.now)
        vars(world.ledger).update(vars(emptied))
        left = [Ask.of(job) for job in sweep.follower.pending.values()]
        world.ledger.open(sweep.record.sweep_id, left)

    world.watch(
        sweep,
        acts={
            1: lambda: world.answer(sweep, "x", Verdict.CLEAN),
            2: flush,
            3: lambda: world.answer(sweep, "y", Verdict.DRIFTED),
            4: lambda: world.answer(sweep, "z", Verdict.CLEAN),
        },
    )
    assert [result.job.root for result in world.results] == ["x", "y", "z"]
    assert world.now < 10


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
        world.ledger.answer(job, answer)

    world.watch(sweep, acts={1: answer_elsewhere})
    (result,) = world.results
    assert result.error is not None
    assert (result.error.kind, result.error.transient) == ("worker_config", False)
    assert "same results.store (DRIFTFLEET_RESULTS__STORE)" in result.error.message
    assert "results/elsewhere.json" in result.error.message
