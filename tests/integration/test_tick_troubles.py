"""Ticks of a producer over what is broken or half done: nothing of it may keep the rest waiting."""

from datetime import timedelta
from typing import Any

import pytest

from driftfleet.closing import close_sweep
from driftfleet.errors import StoreUnavailable
from driftfleet.results import Verdict
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from driftfleet.sweep_id import new_sweep_id
from driftfleet.sweeps import SweepManifest
from driftfleet.swept import swept_key
from producer.headquarters import SWEEP_TASK
from tests.ledgers import job
from tests.producing import HOUR, Producer, overdue


class HalfDelete(FileObjects):
    """Objects of which nothing can be removed."""

    def delete(self, key: str) -> None:
        raise StoreUnavailable(f"{key}: no answer")


def test_a_sweep_whose_manifest_was_left_behind_is_not_asked_for_for_ever(
    producer: Producer,
) -> None:
    """Whoever closed it died, or lost the store, before the manifest was removed."""
    jobs = producer.ask("a")
    sweep = jobs[0].sweep_id
    producer.answer(jobs[0])
    broken = ResultStore(HalfDelete(producer.folder))
    with pytest.raises(StoreUnavailable):
        close_sweep(sweep, producer.ledger, broken)
    assert producer.closed(sweep)
    assert producer.open == [sweep]
    producer.tick()
    assert producer.open == []
    assert producer.ledger.open_sweeps() == []


def test_a_sweep_whose_record_was_never_written_comes_to_its_end(producer: Producer) -> None:
    """Whoever asked for it died between the two writes."""
    then = producer.now - timedelta(minutes=5)
    asked = job("a", sweep=new_sweep_id("test", then))
    manifest = SweepManifest(
        sweep_id=asked.sweep_id, jobs=(asked,), asked_at=then, deadline=then + HOUR
    )
    path = producer.folder / "open" / f"{asked.sweep_id}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest.encode())
    assert producer.tick().mended.rebuilt == 1
    producer.answer(asked)
    producer.tick()
    assert producer.closed(asked.sweep_id)
    record = producer.store.sweep(asked.sweep_id)
    assert record is not None
    assert record.asked == (asked.title,)
    assert record.answered == {asked.title: Verdict.CLEAN}
    assert record.started_at == then
    assert producer.open == []


@pytest.mark.parametrize("spoilt", ["open", "sweeps"])
def test_a_record_that_cant_be_read_keeps_no_other_sweep_from_its_end(
    producer: Producer, spoilt: str
) -> None:
    bad = producer.ask("a", deadline=timedelta(seconds=-2))
    good = producer.ask("b", deadline=timedelta(seconds=-1))
    (producer.folder / spoilt / f"{bad[0].sweep_id}.json").write_text('{"half')
    producer.tick()
    producer.tick()
    assert producer.closed(good[0].sweep_id)


@pytest.mark.parametrize("where", ["store", "redis"])
@pytest.mark.parametrize(
    "text",
    [
        overdue("acme/other").model_dump_json(),
        '{"repo": "acme/bad", "first_seen": "2026-01-01T00:00:00"}',
        '{"half',
    ],
    ids=["of another repository", "without a time zone", "no JSON"],
)
def test_a_record_of_a_repository_that_makes_no_sense_keeps_no_other_from_being_swept(
    producer: Producer, where: str, text: str
) -> None:
    producer.watch("acme/bad", "acme/good")
    producer.store.keep(swept_key("acme/good"), overdue("acme/good"))
    if where == "store":
        path = producer.folder / swept_key("acme/bad")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    else:
        producer.redis.hset("driftfleet:swept", swept_key("acme/bad"), text)
    producer.tick()
    assert "acme/good" in producer.sent(SWEEP_TASK)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            lambda r: r.hset("driftfleet:roots:acme/good", "a default", "sideways 12"),
            id="a verdict of another version",
        ),
        pytest.param(
            lambda r: r.rpush("driftfleet:parked:colour:blue", "{}"), id="a cap of another kind"
        ),
    ],
)
def test_what_another_version_left_in_redis_is_passed_over(producer: Producer, spoil: Any) -> None:
    producer.watch("acme/good")
    producer.store.keep(swept_key("acme/good"), overdue("acme/good"))
    spoil(producer.redis)
    producer.tick()
    assert producer.sent(SWEEP_TASK) == ["acme/good"]
