"""What stands in Redis when jobs were sent: where, how urgent, how long; and when it takes none."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from pydantic import SecretStr

from driftfleet.celery_app import PRIORITY_STEPS, build_app, send
from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import CHECK_QUEUES, Job
from driftfleet.ledger import Ledger, RedisLedger
from driftfleet.metrics import Meter
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, Settings, WorkerSettings
from producer.broker import Broker, queue_keys
from producer.embedded import Embedded, embedded_redis
from producer.sending import Sender
from tests.ledgers import NO_CAPS, ask, job
from worker.pump import Pump
from worker.room import Room

SWEEP = "sweep-20260102T120000-abcdef"
TYPICAL = {
    "sweep": SWEEP,
    "repo": "acme/infrastructure",
    "caps": ("repository:acme/infrastructure", "bucket:acme-tf-states", "account:production"),
}


@pytest.fixture
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        yield embedded


@pytest.fixture
def client(embedded: Embedded) -> Iterator[redis.Redis]:
    with connect(embedded.url) as client:
        yield client


@pytest.fixture
def app(embedded: Embedded) -> Iterator[Celery]:
    with build_app(Settings(broker=BrokerSettings(url=SecretStr(embedded.url)))) as app:
        yield app


def lengths(client: redis.Redis) -> dict[int, int]:
    """By priority, how many messages wait."""
    found = dict.fromkeys(PRIORITY_STEPS, 0)
    for step, key in zip(
        itertools.chain.from_iterable([s] * len(CHECK_QUEUES) for s in PRIORITY_STEPS),
        queue_keys(),
        strict=True,
    ):
        found[step] += int(client.llen(key))  # type: ignore[arg-type]
    return found


def test_the_first_of_a_sweep_go_before_the_later_ones_of_all(
    client: redis.Redis, app: Celery
) -> None:
    jobs = [job(f"r{n}", sweep=SWEEP) for n in range(1203)]
    Sender(app).send(jobs, positions=range(1203))
    assert lengths(client) == {0: 10, 3: 90, 6: 400, 9: 703}


def test_what_has_no_position_is_urgent_and_a_repository_has_one_queue(
    client: redis.Redis, app: Celery
) -> None:
    jobs = [job(f"r{n}", repo=f"acme/r{n % 40}") for n in range(200)]
    send(app, jobs)
    assert lengths(client) == {0: 200, 3: 0, 6: 0, 9: 0}
    used = {one.queue for one in jobs}
    assert len(used) > 10
    assert {one.queue for one in jobs if one.source.repo == "acme/r7"} == {
        job("x", repo="ACME/R7").queue
    }
    for queue in used:
        count = sum(one.queue == queue for one in jobs)
        assert client.llen(queue) == count


def test_a_message_says_what_a_worker_and_flower_need_and_is_short(
    client: redis.Redis, app: Celery
) -> None:
    """A hundred thousand of them and all that the ledger knows are to fit into 200 MB."""
    one = job("envs/prod/eu-west-1/network", **TYPICAL)  # type: ignore[arg-type]
    send(app, [one])
    message = client.lindex(one.queue, 0)
    assert isinstance(message, bytes)
    assert len(message) < 1300
    read = json.loads(message)
    assert Job.model_validate(json.loads(read["body"])[0][0]) == one
    assert read["headers"]["argsrepr"] == one.title
    assert read["headers"]["task"] == "driftfleet.check"


def test_ten_thousand_waiting_jobs_take_a_tenth_of_200_mb(client: redis.Redis, app: Celery) -> None:
    jobs = [job(f"envs/prod/eu-west-1/network{n:05}", **TYPICAL) for n in range(10_000)]  # type: ignore[arg-type]
    before = client.info("memory")["used_memory"]  # type: ignore[index]
    ask(RedisLedger(client), *jobs)
    send(app, jobs, positions=range(10_000))
    taken = client.info("memory")["used_memory"] - before  # type: ignore[index]
    assert taken < 20_000_000, taken / 10_000


def test_no_key_is_left_when_all_was_taken(client: redis.Redis, app: Celery) -> None:
    one = job("a")
    send(app, [one])
    assert {key.decode() for key in client.scan_iter()} == {one.queue}
    client.rpop(one.queue)
    assert list(client.scan_iter()) == []


def test_the_broker_knows_what_waits_wherever_it_is(
    embedded: Embedded, client: redis.Redis, app: Celery
) -> None:
    broker, ledger = Broker(client), RedisLedger(client)
    assert not broker.holds_messages()
    assert broker.oldest_sent_at() is None
    waiting = [job(f"r{n}", sweep=SWEEP) for n in range(1203)]
    send(app, waiting, positions=range(1203))
    put_off, taken, runs, parked = (
        job(name, caps=("account:prod",)) for name in ("later", "taken", "runs", "parked")
    )
    ledger.put_off(put_off, 60)
    send(app, [taken])
    message = client.lpop(taken.queue)
    assert isinstance(message, bytes)
    client.hset("unacked", "tag", json.dumps([json.loads(message), "", taken.queue]))
    ask(ledger, runs, parked)
    assert ledger.begin(runs, "t1", {"account:prod": 1}).outcome == "start"
    assert ledger.begin(parked, "t2", {"account:prod": 1}).outcome == "full"
    client.lpush(CHECK_QUEUES[0], b"garbage", b"{}", b'{"id": "x-12ab"}')
    client.zadd("driftfleet:later", {"garbage": 1})
    expected = {one.identity for one in (*waiting, put_off, taken, parked)}
    assert expected <= broker.identities()
    assert runs.identity not in broker.identities()
    assert broker.length() == 1203 + 3
    assert broker.put_off() == 2
    assert broker.holds_messages()
    broker.forget_messages()
    assert not broker.holds_messages()


def test_the_broker_tells_since_when_the_oldest_waits(client: redis.Redis, app: Celery) -> None:
    send(app, [job("a"), job("b")])
    broker = Broker(client)
    now = RedisLedger(client).now()
    oldest = broker.oldest_sent_at()
    assert oldest is not None
    assert abs(now - oldest) < 60
    for odd in (b"5", b"[]", b"{}", b'{"headers": {"sent_at": "x"}}'):
        client.rpush(CHECK_QUEUES[0], odd)
        assert broker.oldest_sent_at() in (oldest, None)


# Redis takes nothing.


def refuse_writes(embedded: Embedded, client: redis.Redis, how: str) -> None:
    if how == "no memory":
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
    elif how == "a replica":
        client.replicaof("127.0.0.1", "1")
    else:
        embedded.server.kill()
        embedded.server.wait()


@pytest.mark.parametrize("how", ["no memory", "a replica", "dead"])
def test_a_redis_that_takes_no_jobs_is_an_error_of_ours(
    embedded: Embedded, client: redis.Redis, app: Celery, how: str
) -> None:
    refuse_writes(embedded, client, how)
    with pytest.raises(BrokerUnavailable, match="Redis did not take the jobs: "):
        Sender(app).send([job("a")])


def pump_of(app: Celery, ledger: Ledger, writable: Path, **of: Any) -> Pump:
    settings = WorkerSettings(writable_root=writable, concurrency=4, **of)
    return Pump(app, ledger, Meter(), settings, Room(settings))


def test_a_worker_whose_disk_is_too_full_for_a_plan_says_so(
    client: redis.Redis, app: Celery, tmp_path: Path
) -> None:
    ledger = RedisLedger(client)
    pump_of(app, ledger, tmp_path, min_free_bytes=1 << 60).beat("full@host/1")
    pump_of(app, ledger, tmp_path, min_free_bytes=0).beat("free@host/1")
    pump_of(app, ledger, tmp_path / "gone").beat("lost@host/1")
    said = {one.name: one.waits_for for one in ledger.workers()}
    assert "(worker.min_free_bytes)" in said["full@host/1"]
    assert said["free@host/1"] == ""
    assert "No such file" in said["lost@host/1"]


def test_what_the_pump_cannot_send_waits_on_and_is_sent_when_redis_takes_it(
    client: redis.Redis, app: Celery, tmp_path: Path
) -> None:
    ledger = RedisLedger(client)
    pump = pump_of(app, ledger, tmp_path)
    jobs = [job(f"r{n}") for n in range(3)]
    for one in jobs:
        ledger.put_off(one, 0)
    # Something that is no list stands where the queue's is.
    client.set(jobs[0].queue, "in the way")
    pump.beat("w1@host/1")
    assert Broker(client).put_off() == 3
    client.delete(jobs[0].queue)
    client.zadd("driftfleet:later", dict.fromkeys(client.zrange("driftfleet:later", 0, -1), 0))  # type: ignore[arg-type]
    pump.beat("w1@host/1")
    assert Broker(client).put_off() == 0
    assert lengths(client)[0] == 3
    assert [one.name for one in ledger.workers()] == ["w1@host/1"]


def test_a_pump_without_redis_ends_no_worker(
    embedded: Embedded, client: redis.Redis, app: Celery, tmp_path: Path
) -> None:
    pump = pump_of(app, RedisLedger(client), tmp_path)
    refuse_writes(embedded, client, "dead")
    pump.beat("w1@host/1")


def test_what_is_due_is_sent_no_more_often_than_once(
    client: redis.Redis, app: Celery, tmp_path: Path
) -> None:
    ledger = RedisLedger(client)
    one = job("a")
    ask(ledger, one)
    ledger.begin(one, "t1", NO_CAPS)
    ledger.put_off(one, 0)
    ledger.put_off(one, 0)
    for _ in range(3):
        pump_of(app, ledger, tmp_path).beat("w1@host/1")
    assert lengths(client)[0] == 1
