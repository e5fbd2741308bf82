"""What the fleet itself sends is a message: whoever sends it, and the second time, too."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import Scheduler
from pydantic import SecretStr

from driftfleet.celery_app import build_app, send
from driftfleet.configuration import process_environment
from driftfleet.envelope import open_envelope
from driftfleet.jobs import Job, Source, Variant
from driftfleet.metrics import Meter
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, Settings
from producer.app import create
from producer.broker import Broker
from producer.embedded import embedded_redis
from producer.headquarters import (
    LISTING_TASK,
    MIRROR_TASK,
    PRODUCER_QUEUE,
    REPORT_TASK,
    SWEEP_TASK,
    TICK_QUEUE,
    Headquarters,
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with embedded_redis(tmp_path) as embedded:
        yield Settings(broker=BrokerSettings(url=SecretStr(embedded.url)))


def messages(settings: Settings) -> list[tuple[str, str]]:
    """The queue and task of each that waits, once it was looked at."""
    assert settings.broker.url is not None
    client = connect(settings.broker.url.get_secret_value())
    found = []
    for key in client.scan_iter("driftfleet.*"):
        queue = key.decode().partition("\x06\x16")[0]
        for item in client.lrange(key, 0, -1):
            open_envelope(json.loads(item), queue)
            found.append((queue, json.loads(item)["headers"]["task"]))
    return sorted(found)


def job(n: int) -> Job:
    source = Source(kind="github", repo="o/r", ref="main", sha="1" * 40)
    return Job(sweep_id="s", source=source, root=f"näme {n}", variant=Variant(env={"A": "é\n"}))


def test_checks_of_every_priority(settings: Settings) -> None:
    with build_app(settings) as app:
        send(app, [job(n) for n in range(600)], positions=range(600))
        assert len(messages(settings)) == 600


def test_one_that_is_given_back(settings: Settings) -> None:
    with build_app(settings) as app:
        send(app, [job(1)])
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            taken = channel.basic_get(job(1).queue)
            assert messages(settings) == []
            taken.reject(requeue=True)
        assert len(messages(settings)) == 1


def test_what_beat_and_the_producer_send(settings: Settings) -> None:
    app: Celery = create(settings)
    with app:
        scheduler = Scheduler(app, lazy=True)
        scheduler.setup_schedule()
        for entry in scheduler.schedule.values():
            scheduler.apply_async(entry, advance=False)
        headquarters = Headquarters(app, settings, process_environment(), Meter())
        headquarters._start(SWEEP_TASK, "o/r", "main")
        headquarters._start(LISTING_TASK)
        headquarters._start(REPORT_TASK)
        headquarters._start(MIRROR_TASK, expires=86_400)
        found = messages(settings)
    assert [task for queue, task in found if queue == PRODUCER_QUEUE] == [
        LISTING_TASK, MIRROR_TASK, REPORT_TASK, SWEEP_TASK,
    ]  # fmt: skip
    assert [task for queue, task in found if queue == TICK_QUEUE] == ["driftfleet.tick"]
    assert ("driftfleet.checks.00", "driftfleet.heartbeat") in found
    assert Broker(connect(settings.broker.url.get_secret_value())).length() == 1
