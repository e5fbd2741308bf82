"""Asking for sweeps: kept before it is sent, sent once, and closed where it can't be sent."""

from datetime import timedelta
from typing import Any

import pytest

from driftfleet.errors import BrokerUnavailable, StoreUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, Ask, Opened
from driftfleet.results import Verdict
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from driftfleet.sweep_id import new_sweep_id
from producer.broker import Broker
from producer.found import Trouble
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests.ledgers import NO_CAPS, job
from tests.producing import HOUR, Producer

OLD, NEW = "1" * 40, "2" * 40


@pytest.fixture
def queue(producer: Producer) -> SweepQueue:
    return queue_of(producer)


def queue_of(producer: Producer, **options: Any) -> SweepQueue:
    return SweepQueue(
        producer.settings, producer.ledger, producer.store, Sender(producer.app), **options
    )


def jobs_at(producer: Producer, *roots: str, sha: str = OLD) -> list[Job]:
    sweep = new_sweep_id("enqueue", producer.now)
    return [job(root, sweep=sweep, sha=sha) for root in roots]


def waiting(producer: Producer) -> int:
    return Broker(producer.redis).length()


def lengths(producer: Producer, one: Job) -> list[int]:
    """By priority, how many messages wait in the queue of a job."""
    names = [one.queue, *(f"{one.queue}\x06\x16{step}" for step in (3, 6, 9))]
    return [int(producer.redis.llen(name)) for name in names]  # type: ignore[arg-type]


def test_what_is_asked_for_is_in_the_store_in_redis_and_in_the_queue(
    producer: Producer, queue: SweepQueue
) -> None:
    jobs = jobs_at(producer, "a", "b", "c")
    sweep = queue.ask(jobs, HOUR)
    name = jobs[0].sweep_id
    record = producer.store.sweep(name)
    assert record == sweep.record
    assert record is not None
    assert record.asked == tuple(one.title for one in jobs)
    assert record.closed_at is None
    manifest = producer.store.manifest(name)
    assert manifest is not None
    assert manifest.jobs == tuple(jobs)
    assert manifest.deadline - manifest.asked_at == HOUR
    (known,) = producer.ledger.open_sweeps()
    assert (known.sweep_id, known.asked, known.source) == (name, 3, "acme/infra")
    assert known.deadline == pytest.approx(manifest.deadline.timestamp())
    assert producer.ledger.pending(name) == {one.identity for one in jobs}
    assert waiting(producer) == 3
    assert set(sweep.follower.pending) == {one.identity for one in jobs}


def test_the_deadline_is_by_default_that_of_the_schedule(
    producer: Producer, queue: SweepQueue
) -> None:
    sweep = queue.ask(jobs_at(producer, "a"))
    assert sweep.record.deadline is not None
    assert sweep.record.deadline - sweep.record.started_at == producer.settings.schedule.deadline


def test_what_waits_already_is_joined_and_sent_no_second_time(
    producer: Producer, queue: SweepQueue
) -> None:
    queue.ask(jobs_at(producer, "a", "b"))
    later = queue.ask(jobs_at(producer, "b", "c"))
    assert waiting(producer) == 3
    assert len(producer.ledger.pending(later.record.sweep_id)) == 2


def test_what_is_urgent_goes_before_all_that_waits_also_where_it_waits_itself(
    producer: Producer, queue: SweepQueue
) -> None:
    roots = [f"r{n}" for n in range(200)]
    jobs = jobs_at(producer, *roots)
    queue.ask(jobs)
    assert lengths(producer, jobs[0]) == [10, 90, 100, 0]
    queue_of(producer, urgent=True).ask(jobs_at(producer, "r199", "new"))
    assert lengths(producer, jobs[0]) == [12, 90, 100, 0]


def test_a_sweep_that_joins_what_runs_is_answered_with_it(
    producer: Producer, queue: SweepQueue
) -> None:
    (first,) = jobs_at(producer, "a")
    queue.ask([first])
    producer.ledger.begin(first, "t1", NO_CAPS)
    second = queue.ask(jobs_at(producer, "a"))
    producer.answer(first)
    (result,) = second.follower.poll()
    assert result.verdict is Verdict.CLEAN


def test_a_newer_commit_closes_the_sweep_of_which_it_replaced_the_rest(
    producer: Producer, queue: SweepQueue
) -> None:
    old = queue.ask(jobs_at(producer, "a"))
    queue.ask(jobs_at(producer, "a", "b", sha=NEW))
    record = producer.store.sweep(old.record.sweep_id)
    assert record is not None
    assert record.closed_at is not None
    assert record.superseded == record.asked
    assert producer.open == [producer.ledger.open_sweeps()[0].sweep_id]


def test_what_is_answered_before_all_was_asked_for_closes_the_sweep(
    producer: Producer, queue: SweepQueue
) -> None:
    """A worker was quicker than we."""
    (one,) = jobs_at(producer, "a")

    class Quick(Sender):
        def send(self, jobs: Any, positions: Any = ()) -> None:
            producer.answer(one)

    quick = SweepQueue(producer.settings, producer.ledger, producer.store, Quick(producer.app))
    quick.ask([one])
    assert producer.closed(one.sweep_id)
    assert producer.ledger.open_sweeps() == []


def test_where_redis_takes_nothing_the_sweep_is_closed_and_nothing_is_asked_later(
    producer: Producer,
) -> None:
    class Away(Sender):
        def send(self, jobs: Any, positions: Any = ()) -> None:
            raise BrokerUnavailable("Redis did not take the jobs: no memory")

    away = SweepQueue(producer.settings, producer.ledger, producer.store, Away(producer.app))
    (one,) = jobs_at(producer, "a")
    with pytest.raises(BrokerUnavailable):
        away.ask([one])
    record = producer.store.sweep(one.sweep_id)
    assert record is not None
    assert (record.missing, record.closed_at is not None) == ((one.title,), True)
    assert producer.open == []
    # What is left of it in Redis keeps no later sweep from its end.
    later = queue_of(producer).ask(jobs_at(producer, "a"))
    producer.tick()
    assert waiting(producer) == 1
    assert producer.ledger.begin(one, "t1", NO_CAPS).outcome == "start"
    producer.answer(one)
    assert len(later.follower.poll()) == 1


def test_without_the_store_nothing_is_sent(producer: Producer, queue: SweepQueue) -> None:
    producer.folder.mkdir(parents=True)
    (producer.folder / "open").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        queue.ask(jobs_at(producer, "a"))
    assert list(producer.redis.scan_iter()) == []


class Gaps(FileObjects):
    """A store that doesn't give what belongs to one sweep."""

    lost = ""

    def get(self, key: str) -> bytes | None:
        if self.lost in key:
            raise StoreUnavailable(f"{key}: no answer")
        return super().get(key)


def test_another_sweep_that_cannot_be_closed_does_not_undo_what_was_asked_for(
    producer: Producer, queue: SweepQueue
) -> None:
    old = queue.ask(jobs_at(producer, "a"))
    objects = Gaps(producer.folder)
    objects.lost = old.record.sweep_id
    store = ResultStore(objects)
    other = SweepQueue(producer.settings, producer.ledger, store, Sender(producer.app))
    sweep = other.ask(jobs_at(producer, "a", sha=NEW))
    assert waiting(producer) == 2
    assert not producer.closed(old.record.sweep_id)
    producer.tick()
    assert producer.closed(old.record.sweep_id)
    assert not producer.closed(sweep.record.sweep_id)
    assert producer.open == [sweep.record.sweep_id]


def test_a_repository_that_could_not_be_looked_at_has_a_record_of_that(
    producer: Producer, queue: SweepQueue
) -> None:
    record = queue.note(Trouble("acme/gone", "acme/gone: there is no such repository"))
    kept = producer.store.sweep(record.sweep_id)
    assert kept == record
    assert record.problems == ("acme/gone: there is no such repository",)
    assert record.closed_at is not None
    assert producer.open == []
    assert record.closed_at - producer.now < timedelta(minutes=1)


def test_the_ledger_says_of_each_whether_it_is_sent(producer: Producer) -> None:
    jobs = jobs_at(producer, "a", "b")
    asks = [Ask.of(one) for one in jobs]
    assert producer.ledger.open(jobs[0].sweep_id, asks) == Opened((True, True), ())
    answer = Answer(check=jobs[0].identity, verdict=Verdict.CLEAN, key="k")
    producer.ledger.answer(jobs[0], answer)
    again = [Ask.of(one) for one in jobs_at(producer, "a", "b")]
    assert producer.ledger.open("s2", again).send == (True, False)
