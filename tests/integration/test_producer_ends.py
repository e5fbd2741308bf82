"""A producer that is told to end ends, whatever its pool was just given.

Celery forgets a task that its pool child has not yet accepted, and nobody hears of its end.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from driftfleet.worker_command import producer_arguments
from producer.embedded import embedded_redis
from producer.headquarters import TICK_QUEUE, TICK_TASK
from tests.workers import (
    hand_to_standing_children,
    short_folder,
    start_service,
    wait_until,
)


@pytest.fixture
def drain_seconds() -> int:
    return 3


@pytest.fixture
def settings(tmp_path: Path, drain_seconds: int) -> Iterator[Settings]:
    with short_folder("ends") as folder, embedded_redis(folder) as redis:
        yield Settings(
            broker=BrokerSettings(url=SecretStr(redis.url)),
            results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
            worker=WorkerSettings(writable_root=folder / "w", drain_seconds=drain_seconds),
        )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "producer.log"


@pytest.fixture
def service(settings: Settings, log: Path) -> Iterator[process.Process]:
    service = start_service(producer_arguments(settings), settings, log)
    children = []
    try:
        assert wait_until(lambda: " ready." in log.read_text(), 60), log.read_text()
        children = psutil.Process(service.pid).children(recursive=True)
        yield service
    finally:
        service.kill()
        service.wait()
        # They would see the end of their parent only once they run on.
        for child in children:
            if child.is_running():
                child.kill()


def _give_to_children_that_stand(
    settings: Settings, service: process.Process
) -> list[psutil.Process]:
    assert settings.broker.url is not None
    redis = connect(settings.broker.url.get_secret_value())
    with build_app(settings) as app:
        tick = partial(app.send_task, TICK_TASK, queue=TICK_QUEUE)
        return hand_to_standing_children(service, redis, tick)


# So long that nothing but its own end ends the child, however late it goes on.
@pytest.mark.parametrize("drain_seconds", [60])
def test_it_waits_for_no_child_whose_task_celery_has_forgotten(
    settings: Settings, service: process.Process, log: Path
) -> None:
    children = _give_to_children_that_stand(settings, service)
    service.terminate()
    assert wait_until(lambda: "producer_drains" in log.read_text(), 60)
    time.sleep(1)
    for child in children:
        child.resume()
    service.wait(25)
    assert "ticked" in log.read_text()


def test_a_child_that_goes_on_with_such_a_task_is_ended_too(
    settings: Settings, service: process.Process
) -> None:
    _give_to_children_that_stand(settings, service)
    service.terminate()
    service.wait(60)
