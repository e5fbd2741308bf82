"""Jobs of another version: answered where they ask for a check, and never kept for ever."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet.jobs import CHECK_QUEUES
from driftfleet.ledger import Ask, keys
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from producer.embedded import embedded_redis
from tests.envelopes import message
from tests.workers import Fleet, short_folder, wait_until


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    repository = tmp_path / "repository"
    repository.mkdir()
    with (
        short_folder("r") as redis_folder,
        short_folder("w") as place,
        embedded_redis(redis_folder) as redis,
    ):
        settings = Settings(
            broker=BrokerSettings(url=SecretStr(redis.url), visibility_timeout_seconds=10),
            results=ResultSettings(store=f"file://{place / 'results'}"),
            worker=WorkerSettings(
                concurrency=2,
                writable_root=place / "w",
                local_roots=(repository,),
                drain_seconds=5,
            ),
        )
        fleet = Fleet(settings, repository, tmp_path / "worker.log", redis_folder)
        try:
            yield fleet
        finally:
            fleet.stop()


def test_a_job_of_another_version_is_answered_and_one_among_those_put_off_is_dropped(
    fleet: Fleet,
) -> None:
    asked = fleet.job("root")
    newer = {**asked.wire(), "schema_version": 2, "colour": "red"}
    fleet.redis.zadd(keys.LATER, {json.dumps(newer): 1, "nonsense": 2, b"\xff": 3})
    body = json.dumps([[newer], {}, {}])
    sent = message(
        body=body,
        properties__body_encoding="utf-8",
        properties__delivery_info__routing_key=CHECK_QUEUES[0],
    )
    fleet.redis.lpush(CHECK_QUEUES[0], json.dumps(sent))
    fleet.ledger.open("sweep", [Ask.of(asked)])
    worker = fleet.start_worker()
    (answer,) = fleet.wait(1, 120)
    error = fleet.result(answer).error
    assert error is not None
    assert error.kind == "job_refused"
    assert "colour" in error.message
    assert "same version" in error.message
    assert wait_until(lambda: fleet.redis.zcard(keys.LATER) == 0, 60)
    assert worker.poll() is None
