"""Whatever anybody writes into a queue's list: the worker's main process lives, and goes on."""

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from driftfleet.jobs import CHECK_QUEUES, CHECK_TASK
from driftfleet.ledger import Ask, keys
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from producer.embedded import embedded_redis
from tests.workers import Fleet, short_folder, wait_until

CALL = [[{"sweep_id": "s1"}], {}, {"callbacks": None}]


def message(
    body: Any = None,
    *,
    tag: str = "",
    headers: dict[str, Any] | None = None,
    properties: dict[str, Any] | None = None,
    **more: Any,
) -> bytes:
    """A message as a producer sends it, but for what is said here."""
    written = body if isinstance(body, str) else json.dumps(CALL if body is None else body)
    whole = {
        "body": written,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": CHECK_TASK, "id": "s1-1-abc", **(headers or {})},
        "properties": {
            "body_encoding": "utf-8",
            "delivery_tag": tag or "tag",
            "delivery_info": {"exchange": "", "routing_key": CHECK_QUEUES[0]},
            **(properties or {}),
        },
        **more,
    }
    return json.dumps(whole).encode()


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


GARBAGE = [
    b"",
    b"\xff\xfe",
    b"no JSON",
    b"5",
    b"null",
    b"[]",
    b"{}",
    b"[" * 200_000,
    b"9" * 10_000,
    b'{"body": "", "headers": {}, "properties": {}}',
    message("{"),
    message(5),
    message({}),
    message([[], {}]),
    message([[], {}, {}, {}]),
    message([{}, [], []]),
    message("[" * 100_000),
    message("no base64", properties={"body_encoding": "base64"}),
    message(properties={"body_encoding": "rot13"}),
    message(properties={"delivery_info": {"exchange": [], "routing_key": {}}}),
    message(headers={"id": None}),
    message(headers={"id": ["x"]}),
    message(headers={"task": {"x": 1}}),
    message(headers={"task": "no.such.task"}, tag="unknown"),
    message(headers={"timelimit": 5}),
    message(headers={"timelimit": ["x", "y"]}),
    message(headers={"expires": True}),
    message(headers={"expires": "no time"}, tag="expires"),
    message(headers={"eta": True}),
    message(headers={"eta": "no time"}, tag="eta"),
    message(headers={"compression": "application/x-gzip"}),
    message(**{"content-encoding": "zlib"}),
    message(
        encoded(pickle.dumps(CALL)),
        properties={"body_encoding": "base64"},
        tag="pickle",
        **{"content-type": "application/x-python-serialize", "content-encoding": "binary"},
    ),
    message([[], {}, {}], tag="no argument"),
    message([[1, 2, 3], {}, {}], tag="too many"),
    message([["no job"], {}, {}], tag="no job"),
    message([[{"schema_version": 2}], {"x": 1}, {}], tag="named"),
    message([[{"\ud800": 1}], {}, {}], tag="half a character"),
    message(headers={"retries": "x", "sent_at": 10**400, "root_id": 5}, tag="numbers"),
]


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


def test_a_worker_outlives_whatever_is_in_its_queue_and_nothing_of_it_comes_back(
    fleet: Fleet,
) -> None:
    fleet.redis.lpush(CHECK_QUEUES[0], *GARBAGE)
    worker = fleet.start_worker()
    drained = wait_until(lambda: fleet.redis.llen(CHECK_QUEUES[0]) == 0, 60)
    assert drained, fleet.log.read_text()[-5000:]
    # There is no such root, which is an answer.
    fleet.send([fleet.job("none")])
    fleet.wait(1, 30)
    assert wait_until(lambda: fleet.redis.hlen("unacked") == 0, 30), fleet.redis.hgetall("unacked")
    assert worker.poll() is None
    log = fleet.log.read_text()
    assert "Unrecoverable error" not in log
    assert "message_refused" in log
    assert "job_refused" in log


def test_a_job_of_another_version_is_answered_and_one_among_those_put_off_is_dropped(
    fleet: Fleet,
) -> None:
    asked = fleet.job("root")
    newer = {**asked.wire(), "schema_version": 2, "colour": "red"}
    fleet.redis.zadd(keys.LATER, {json.dumps(newer): 1, "nonsense": 2, b"\xff": 3})
    fleet.redis.lpush(CHECK_QUEUES[0], message([[newer], {}, {}]))
    fleet.ledger.open("sweep", [Ask.of(asked)])
    worker = fleet.start_worker()
    (answer,) = fleet.wait(1, 30)
    error = fleet.result(answer).error
    assert error is not None
    assert error.kind == "job_refused"
    assert "colour" in error.message
    assert "same version" in error.message
    assert wait_until(lambda: fleet.redis.zcard(keys.LATER) == 0, 10)
    assert worker.poll() is None
