"""Ticks of a producer over what is broken or half done: nothing of it may keep the rest waiting."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from driftfleet.celery_app import build_app
from driftfleet.closing import close_sweep
from driftfleet.errors import StoreUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, RedisLedger
from driftfleet.redis_client import connect
from driftfleet.repository_rule import RepositoryRule
from driftfleet.results import Result, SweepManifest, Verdict
from driftfleet.settings import BrokerSettings, GitHubSettings, ResultSettings, Settings
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from driftfleet.sweep_id import new_sweep_id
from driftfleet.swept import Swept, swept_key
from producer.embedded import embedded_redis
from producer.headquarters import PRODUCER_QUEUE, Headquarters
from producer.notebook import Notebook
from producer.repositories import Wanted
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests.ledgers import job

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        yield embedded.url


@pytest.fixture
def client(url: str) -> redis.Redis:
    """A Redis that holds nothing."""
    client = connect(url)
    client.flushall()
    return client


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Settings:
    return Settings(
        broker=BrokerSettings(url=SecretStr(url)),
        results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
        github=GitHubSettings(url="https://ghe.invalid"),
    )


class Producer:
    """A producer's ticks, whose store and Redis a test may spoil."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self.settings = settings
        self.redis = client
        self.folder = Path(settings.results.store.removeprefix("file://"))
        self.store = ResultStore(FileObjects(self.folder))
        self.ledger = RedisLedger(client)
        self.app = build_app(settings)

    def tick(self) -> Any:
        return Headquarters(self.app, self.settings, {}).tick()

    def ask(self, *roots: str, repo: str = "acme/infra", deadline: timedelta = HOUR) -> list[Job]:
        sweep = new_sweep_id("test", self.now)
        jobs = [job(root, sweep=sweep, repo=repo) for root in roots]
        SweepQueue(self.settings, self.ledger, self.store, Sender(self.app)).ask(jobs, deadline)
        return jobs

    def answer(self, of: Job) -> None:
        """As a worker does that dies before it looks who waits for nothing more."""
        key = self.store.add(self.result(of))
        self.ledger.answer(of, Answer(check=of.identity, verdict=Verdict.CLEAN, key=key))

    def result(self, of: Job) -> Result:
        return Result(job=of, verdict=Verdict.CLEAN, started_at=self.now, finished_at=self.now)

    def closed(self, sweep_id: str) -> bool:
        record = self.store.sweep(sweep_id)
        return record is not None and record.closed_at is not None

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ledger.now(), UTC)

    @property
    def open(self) -> list[str]:
        return list(self.store.open_sweeps())


@pytest.fixture
def producer(settings: Settings, client: redis.Redis) -> Iterator[Producer]:
    made = Producer(settings, client)
    with made.app:
        yield made


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


def _watched(producer: Producer, *names: str) -> None:
    rules = tuple(RepositoryRule(repo=name) for name in names)
    schedule = producer.settings.schedule.model_copy(update={"every": HOUR})
    producer.settings = producer.settings.model_copy(
        update={"repositories": rules, "schedule": schedule}
    )
    wanted = [Wanted(name=name, rule=rule) for name, rule in zip(names, rules, strict=True)]
    Notebook(producer.redis).note_roster(rules, wanted)


def _overdue(repo: str) -> Swept:
    then = datetime.now(UTC) - timedelta(days=1)
    return Swept(repo=repo, swept_at=then, first_seen=then)


def _sweeps_asked(producer: Producer) -> list[str]:
    messages: Any = producer.redis.lrange(PRODUCER_QUEUE, 0, -1)
    told = [json.loads(message)["headers"] for message in messages]
    return sorted(one["argsrepr"].strip() for one in told if one["task"] == "driftfleet.sweep")


@pytest.mark.parametrize("where", ["store", "redis"])
@pytest.mark.parametrize(
    "text",
    [
        _overdue("acme/other").model_dump_json(),
        '{"repo": "acme/bad", "first_seen": "2026-01-01T00:00:00"}',
        '{"half',
    ],
    ids=["of another repository", "without a time zone", "no JSON"],
)
def test_a_record_of_a_repository_that_makes_no_sense_keeps_no_other_from_being_swept(
    producer: Producer, where: str, text: str
) -> None:
    _watched(producer, "acme/bad", "acme/good")
    producer.store.keep(swept_key("acme/good"), _overdue("acme/good"))
    if where == "store":
        path = producer.folder / swept_key("acme/bad")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    else:
        producer.redis.hset("driftfleet:swept", swept_key("acme/bad"), text)
    producer.tick()
    assert "acme/good" in _sweeps_asked(producer)


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
    _watched(producer, "acme/good")
    producer.store.keep(swept_key("acme/good"), _overdue("acme/good"))
    spoil(producer.redis)
    producer.tick()
    assert _sweeps_asked(producer) == ["acme/good"]
