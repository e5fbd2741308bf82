"""What a producer does each minute so that every sweep comes to its end, on a real Redis."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from celery import Celery
from pydantic import SecretStr

from driftfleet.cap_settings import CapSettings
from driftfleet.celery_app import build_app
from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import LEASE_SECONDS, Answer, OpenSweep, RedisLedger
from driftfleet.redis_client import connect
from driftfleet.results import ErrorKind, Result, Verdict
from driftfleet.settings import BrokerSettings, Settings
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects
from driftfleet.sweep_id import new_sweep_id
from driftfleet.sweeps import SweepManifest, SweepRecord
from producer.broker import Broker, queue_keys
from producer.embedded import embedded_redis
from producer.mending import MOST_PUT_BACK, Mended, Mending
from producer.sending import Sender
from producer.sweep import open_record
from tests.ledgers import NO_CAPS, RedisMoments, ask, job

AGO = timedelta(minutes=5)
HOUR = timedelta(hours=1)
OLD, NEW = "1" * 40, "2" * 40
PROD = "account:prod"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        yield embedded.url


class World:
    """A fleet's Redis and store, and a producer that mends them."""

    def __init__(self, client: redis.Redis, app: Celery) -> None:
        self.redis = client
        self.moments = RedisMoments(client)
        self.ledger = RedisLedger(client)
        self.store = ResultStore(MemoryObjects())
        self.sender = Sender(app)
        self.caps = CapSettings(account=1)

    def mend(self) -> Mended:
        return Mending(
            self.ledger, self.store, Broker(self.redis), self.caps, self.sender.send
        ).run()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ledger.now(), UTC)

    def store_sweep(self, *roots: str, ago: timedelta = AGO, deadline: timedelta = HOUR,
                    **of: object) -> list[Job]:  # fmt: skip
        """A sweep whose producer died after it had stored what it was about to ask for."""
        asked_at = self.now - ago
        sweep = new_sweep_id("sweep", asked_at)
        jobs = [job(root, sweep=sweep, **of) for root in roots]  # type: ignore[arg-type]
        manifest = SweepManifest(
            sweep_id=sweep, jobs=tuple(jobs), asked_at=asked_at, deadline=asked_at + deadline
        )
        self.store.open_sweep(open_record(jobs, sweep, asked_at), manifest)
        return jobs

    def sweep(self, *roots: str, ago: timedelta = AGO, deadline: timedelta = HOUR,
              **of: object) -> list[Job]:  # fmt: skip
        """One that was asked for in order."""
        jobs = self.store_sweep(*roots, ago=ago, deadline=deadline, **of)
        sent = ask(self.ledger, *jobs)
        self.sender.send([one for one, send in zip(jobs, sent, strict=True) if send])
        at = (self.now - ago + deadline).timestamp()
        self.ledger.seal(OpenSweep(sweep_id=jobs[0].sweep_id, deadline=at))
        return jobs

    def waiting(self) -> list[Job]:
        """What the queue holds."""
        found: list[Job] = []
        for key in queue_keys():
            items = self.redis.lrange(key, 0, -1)
            found += [
                Job.model_validate(json.loads(json.loads(one)["body"])[0][0]) for one in items
            ]  # type: ignore[union-attr]
        return sorted(found, key=lambda one: one.root)

    def roots_waiting(self) -> list[str]:
        return [one.root for one in self.waiting()]

    def take(self, root: str) -> bytes:
        """Take a message from the queue, as a worker that dies at once."""
        for key in queue_keys():
            for message in self.redis.lrange(key, 0, -1):  # type: ignore[union-attr]
                if json.loads(json.loads(message)["body"])[0][0]["root"] == root:
                    self.redis.lrem(key, 1, message)
                    return bytes(message)
        raise AssertionError(root)

    def answer(self, one: Job, token: str = "", verdict: Verdict = Verdict.CLEAN) -> None:
        """As a worker that dies before it closes the sweep."""
        answer = Answer(check=one.identity, verdict=verdict, key=self.store_result(one, verdict))
        self.ledger.answer(one, answer, token)

    def store_result(self, one: Job, verdict: Verdict = Verdict.CLEAN) -> str:
        now = self.now
        return self.store.add(Result(job=one, verdict=verdict, started_at=now, finished_at=now))

    def forget(self) -> None:
        self.redis.flushall()

    def record(self, one: Job) -> SweepRecord:
        record = self.store.sweep(one.sweep_id)
        assert record is not None
        return record


@pytest.fixture
def world(url: str) -> Iterator[World]:
    settings = Settings(broker=BrokerSettings(url=SecretStr(url)))
    with connect(url) as client, build_app(settings) as app:
        client.flushall()
        yield World(client, app)


def test_where_all_is_in_order_nothing_is_done(world: World) -> None:
    world.sweep("a", "b")
    assert world.mend() == Mended()
    assert world.roots_waiting() == ["a", "b"]


# What the queue has lost.


def test_a_message_that_is_gone_is_sent_again_and_the_others_are_left_alone(world: World) -> None:
    jobs = world.sweep("a", "b", "c")
    world.take("b")
    assert world.mend().put_back == 1
    assert world.roots_waiting() == ["a", "b", "c"]
    again = world.waiting()[1]
    assert again == jobs[1].model_copy(update={"attempt": again.attempt})
    assert again.attempt > 1
    assert world.mend() == Mended()


def test_what_is_with_a_worker_put_off_or_waits_for_a_cap_is_not_lost(world: World) -> None:
    taken, put_off, parked, runs = world.sweep("a", "b", "c", "d", caps=(PROD,))
    message = world.take("a")
    world.redis.hset("unacked", "t", json.dumps([json.loads(message), "", taken.queue]))
    for one in (put_off, parked, runs):
        world.take(one.root)
    world.ledger.put_off(put_off, 60)
    assert world.ledger.begin(runs, "t1", {PROD: 1}).outcome == "start"
    assert world.ledger.begin(parked, "t2", {PROD: 1}).outcome == "full"
    assert world.mend() == Mended()
    assert world.waiting() == []


def test_what_ran_on_a_worker_that_died_with_its_message_is_sent_again(world: World) -> None:
    (a,) = world.sweep("a")
    world.take("a")
    world.ledger.begin(a, "t1", NO_CAPS)
    assert world.mend().put_back == 0
    world.moments.pass_by(LEASE_SECONDS + 1)
    assert world.mend().put_back == 1
    assert world.roots_waiting() == ["a"]


def test_what_two_sweeps_wait_for_is_sent_and_counted_once(world: World) -> None:
    first = world.sweep("a")
    world.sweep("a")
    world.take("a")
    assert world.mend().put_back == 1
    assert len(world.waiting()) == 1
    assert world.redis.get(f"driftfleet:lost:{first[0].identity}") == b"1"


def test_what_a_closed_sweep_asked_for_first_is_sent_for_the_one_that_waits(world: World) -> None:
    (a,) = world.sweep("a", deadline=timedelta(minutes=1))
    (joined,) = world.sweep("a")
    world.take("a")
    mended = world.mend()
    assert (mended.overdue, mended.put_back) == (1, 1)
    assert world.record(a).missing == (a.title,)
    assert [one.sweep_id for one in world.waiting()] == [joined.sweep_id]


def test_what_the_queue_loses_every_time_is_given_up_and_its_sweep_closed(world: World) -> None:
    a, b = world.sweep("a", "b")
    world.take("b")
    world.answer(b)
    for _ in range(MOST_PUT_BACK):
        world.take("a")
        assert world.mend().put_back == 1
    world.take("a")
    world.mend()
    assert world.waiting() == []
    record = world.record(a)
    assert record.answered == {a.title: Verdict.ERROR, b.title: Verdict.CLEAN}
    assert record.closed_at is not None
    known = world.store.latest_of(a)
    assert known is not None
    assert known.result.error is not None
    assert known.result.error.kind is ErrorKind.WORKER_LOST
    assert f"{MOST_PUT_BACK} times" in known.result.error.message


def test_an_answer_ends_the_counting_of_losses(world: World) -> None:
    (a,) = world.sweep("a")
    for _ in range(MOST_PUT_BACK):
        world.take("a")
        world.mend()
    world.answer(a)
    (again,) = world.sweep("a")
    while world.waiting():
        world.take("a")
    assert world.mend().put_back == 1
    assert again.identity == a.identity


def test_an_older_commit_that_ran_when_a_newer_came_is_not_sent_again(world: World) -> None:
    (old,) = world.sweep("a", sha=OLD)
    world.take("a")
    world.ledger.begin(old, "t1", NO_CAPS)
    (new,) = world.sweep("a", sha=NEW, ago=timedelta(minutes=4))
    world.moments.pass_by(LEASE_SECONDS + 1)
    assert world.mend().put_back == 0
    assert world.mend().closed == 1
    assert world.record(old).superseded == (old.title,)
    assert [one.source.sha for one in world.waiting()] == [new.source.sha]


# Closing.


def test_a_sweep_that_nobody_closed_after_its_last_answer_is_closed(world: World) -> None:
    (a,) = world.sweep("a")
    world.answer(a)
    assert world.mend().closed == 1
    assert world.record(a).closed_at is not None
    assert world.mend() == Mended()


def test_at_its_deadline_a_sweep_is_closed_with_the_names_of_what_is_missing(world: World) -> None:
    a, b, c = world.sweep("a", "b", "c", deadline=timedelta(minutes=1))
    world.answer(a)
    world.ledger.begin(b, "t1", NO_CAPS)
    assert world.mend().overdue == 1
    record = world.record(a)
    assert record.missing == (b.title, c.title)
    assert record.answered == {a.title: Verdict.CLEAN}
    assert world.mend() == Mended()
    # What comes late is kept, and changes nothing of it.
    world.answer(b, "t1")
    assert world.mend() == Mended()
    assert world.record(a) == record


# Redis has forgotten.


def test_after_redis_was_emptied_what_is_not_answered_is_asked_again(world: World) -> None:
    a, b, c = world.sweep("a", "b", "c")
    world.answer(a)
    world.forget()
    assert world.mend().rebuilt == 1
    assert world.roots_waiting() == ["b", "c"]
    assert world.mend() == Mended()
    (sweep,) = world.ledger.open_sweeps()
    assert sweep.sweep_id == a.sweep_id
    manifest = world.store.manifest(a.sweep_id)
    assert manifest is not None
    assert sweep.deadline == pytest.approx(manifest.deadline.timestamp())
    for one in (b, c):
        world.answer(one)
    assert world.mend().closed == 1
    record = world.record(a)
    assert record.missing == ()
    assert set(record.answered) == {one.title for one in (a, b, c)}


def test_what_was_answered_whole_when_redis_forgot_it_is_closed_at_once(world: World) -> None:
    (a,) = world.sweep("a")
    world.store_result(a, Verdict.DRIFTED)
    world.forget()
    world.mend()
    assert world.waiting() == []
    assert world.record(a).answered == {a.title: Verdict.DRIFTED}
    assert world.ledger.open_sweeps() == []
    assert world.mend() == Mended()


def test_a_sweep_that_is_just_being_asked_for_is_left_alone(world: World) -> None:
    world.store_sweep("a", ago=timedelta(seconds=30))
    assert world.mend() == Mended()
    assert world.waiting() == []


def test_whoever_died_before_anything_was_asked_for_is_made_up_for(world: World) -> None:
    (a,) = world.store_sweep("a")
    assert world.mend().rebuilt == 1
    assert world.roots_waiting() == ["a"]
    world.answer(a)
    assert world.mend().closed == 1


def test_whoever_died_before_anything_was_sent_is_made_up_for_in_the_next_minute(
    world: World,
) -> None:
    jobs = world.store_sweep("a", "b")
    ask(world.ledger, *jobs)
    assert world.mend().rebuilt == 1
    world.mend()
    assert world.roots_waiting() == ["a", "b"]


def test_what_still_runs_when_redis_has_forgotten_it_is_not_sent(world: World) -> None:
    (a,) = world.sweep("a")
    world.take("a")
    world.ledger.begin(a, "t1", NO_CAPS)
    world.forget()
    assert world.ledger.renew(a, "t1")
    assert world.mend().rebuilt == 1
    assert world.waiting() == []
    assert world.mend() == Mended()
    world.answer(a, "t1")
    assert world.mend().closed == 1


@pytest.mark.parametrize("asked_after", [False, True])
def test_of_two_commits_that_redis_forgot_the_newer_one_waits(
    world: World, asked_after: bool
) -> None:
    (old,) = world.sweep("a", sha=OLD, ago=timedelta(minutes=20))
    if asked_after:
        # Somebody asks before the producer's tick finds out.
        world.forget()
    (new,) = world.sweep("a", sha=NEW)
    if not asked_after:
        # Old waited; now it doesn't know any more that it was replaced.
        world.forget()
    world.mend()
    begun = world.ledger.begin(old, "t1", NO_CAPS)
    assert begun.outcome == "unwanted"
    world.mend()
    assert world.record(old).superseded == (old.title,)
    assert world.ledger.begin(new, "t2", NO_CAPS).outcome == "start"


def test_an_older_commit_is_not_asked_for_after_a_newer_was_answered(world: World) -> None:
    """It was replaced while it waited, and Redis, which alone knew that, has forgotten it."""
    old, other = world.sweep("a", "b", sha=OLD, ago=timedelta(minutes=20))
    (new,) = world.sweep("a", sha=NEW)
    world.answer(new, verdict=Verdict.DRIFTED)
    world.forget()
    world.mend()
    assert world.roots_waiting() == ["b"]
    world.answer(other)
    world.mend()
    assert world.record(old).superseded == (old.title,)
    assert world.record(old).missing == ()


def test_an_older_commit_is_not_asked_for_while_a_newer_is_just_being_asked_for(
    world: World,
) -> None:
    """That one's sweep is too young to be one that Redis has forgotten."""
    (old,) = world.sweep("a", sha=OLD)
    world.sweep("a", sha=NEW, ago=timedelta(seconds=30))
    world.forget()
    assert world.mend().rebuilt == 1
    assert world.waiting() == []
    assert world.record(old).superseded == (old.title,)


def test_another_branch_of_the_repository_replaces_nothing(world: World) -> None:
    (old,) = world.sweep("a", sha=OLD, ago=timedelta(minutes=20))
    branch = job("a", sha=NEW, sweep=new_sweep_id("sweep", world.now))
    branch = branch.model_copy(update={"source": branch.source.model_copy(update={"ref": "next"})})
    world.store_result(branch)
    world.forget()
    world.mend()
    assert [one.identity for one in world.waiting()] == [old.identity]


def test_two_producers_do_it_once(world: World) -> None:
    world.sweep("a", "b")
    world.forget()
    assert world.mend().rebuilt == 1
    assert world.mend() == Mended()
    assert world.roots_waiting() == ["a", "b"]


# Caps.


def test_what_waits_for_the_place_of_a_dead_holder_goes_on(world: World) -> None:
    a, b = world.sweep("a", "b", caps=(PROD,))
    world.take("a")
    world.take("b")
    world.ledger.begin(a, "dead", {PROD: 1})
    world.ledger.begin(b, "t2", {PROD: 1})
    world.mend()
    assert world.ledger.due(10) == []
    world.moments.pass_by(LEASE_SECONDS + 1)
    world.mend()
    assert world.ledger.due(10) == [b]


def test_where_the_limit_was_lifted_all_go_on(world: World) -> None:
    jobs = world.sweep("a", "b", "c", caps=(PROD,))
    for one in jobs:
        world.take(one.root)
        world.ledger.begin(one, one.root, {PROD: 1})
    world.caps = CapSettings()
    world.mend()
    assert [one.root for one in world.ledger.due(10)] == ["b", "c"]


def test_a_redis_that_goes_away_is_an_error_of_ours(world: World, tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as embedded:
        gone = connect(embedded.url)
        gone.ping()
    world.ledger = RedisLedger(gone)
    with pytest.raises(BrokerUnavailable):
        world.mend()
    gone.close()
