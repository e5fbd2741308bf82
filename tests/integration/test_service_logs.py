"""What the services write: lines of JSON and nothing else, none that nobody needs."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.configuration import environment_of, process_environment
from driftfleet.errors import BrokerUnavailable
from driftfleet.ledger import RedisLedger
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from driftfleet.worker_command import beat_arguments, producer_arguments, worker_arguments
from producer.beat import TickScheduler
from producer.embedded import embedded_redis
from tests.redis_on_a_port import serving
from tests.workers import short_folder, start_service, wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with short_folder("logs") as folder, embedded_redis(folder) as redis:
        yield Settings(
            broker=BrokerSettings(url=SecretStr(redis.url)),
            results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
            worker=WorkerSettings(writable_root=folder / "w", concurrency=1),
        )


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_a_log_on_a_terminal_is_text_and_coloured_where_nobody_minds(
    settings: Settings, variables: dict[str, str]
) -> None:
    ours, theirs = os.openpty()
    quiet = {k: v for k, v in process_environment().items() if k != "NO_COLOR"}
    service = process.start(
        beat_arguments(settings),
        {**quiet, **environment_of(settings), **variables},
        death_signal=signal.SIGKILL,
        stdout=theirs,
        stderr=theirs,
        new_session=True,
    )
    try:
        told = _read_until(ours, "Starting")
    finally:
        service.kill()
        service.wait()
        os.close(ours)
        os.close(theirs)
    assert "Starting" in told
    assert ("\x1b[" in told) is not bool(variables)


def _read_until(terminal: int, text: str) -> str:
    """What is printed there until the line of ``text`` has ended."""
    told = ""
    while "\n" not in told.partition(text)[2]:
        assert select.select([terminal], [], [], 60)[0], told
        told += os.read(terminal, 4096).decode()
    return told


def _lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if line]


def test_a_service_that_starts_writes_a_few_lines_of_json(
    settings: Settings, tmp_path: Path
) -> None:
    ready = {
        "worker": (worker_arguments(settings), " ready."),
        "producer": (producer_arguments(settings), " ready."),
        "beat": (beat_arguments(settings), "Starting"),
    }
    for name, (arguments, said) in ready.items():
        log = tmp_path / f"{name}.log"
        service = start_service(arguments, settings, log)
        try:
            assert wait_until(lambda log=log, said=said: said in log.read_text(), 60)  # type: ignore[misc]
            lines = _lines(log)
        finally:
            service.kill()
            service.wait()
        told = [json.loads(line) for line in lines]
        assert 1 <= len(told) <= 4, lines
        if name != "beat":
            assert f"{name}@" in told[-1]["event"]


def test_a_task_that_comes_and_ends_is_no_line_of_the_log(
    settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "producer.log"
    with build_app(settings) as app:
        app.send_task("driftfleet.tick", queue="driftfleet.ticks")
    service = start_service(producer_arguments(settings), settings, log)
    try:
        assert wait_until(lambda: "ticked" in log.read_text(), 60), log.read_text()
        service.terminate()
        service.wait(90)
    finally:
        service.kill()
        service.wait()
    assert "received" not in log.read_text()
    assert "succeeded" not in log.read_text()


def test_beat_tells_in_one_line_what_it_could_not_send(tmp_path: Path) -> None:
    with serving(tmp_path, "requirepass geheim") as server:
        url = SecretStr(server.url(user=":falsch"))
        with build_app(Settings(broker=BrokerSettings(url=url))) as app:
            app.conf.beat_schedule = {"tick": {"task": "driftfleet.tick", "schedule": 60.0}}
            scheduler = TickScheduler(app)
            with capture_logs() as told:
                scheduler.apply_entry(scheduler.schedule["tick"])
    (line,) = told
    assert (line["event"], line["task"], line["log_level"]) == (
        "not_sent", "driftfleet.tick", "error",
    )  # fmt: skip
    assert "password" in line["reason"]
    assert "Traceback" not in line["reason"]


def test_a_password_that_redis_refuses_is_said_to_be_that(tmp_path: Path) -> None:
    with serving(tmp_path, "requirepass geheim") as server:
        for user in (":falsch", ""):
            ledger = RedisLedger(connect(server.url(user=user)))
            with pytest.raises(BrokerUnavailable, match=r"refuses the password in broker\.url"):
                ledger.now()


def test_a_lost_redis_is_told_in_lines_that_somebody_can_use(tmp_path: Path) -> None:
    log = tmp_path / "producer.log"
    with serving(tmp_path) as server:
        settings = Settings(
            broker=BrokerSettings(url=SecretStr(server.url())),
            results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
        )
        service = start_service(producer_arguments(settings), settings, log)
        try:
            assert wait_until(lambda: " ready." in log.read_text(), 60), log.read_text()
            server.process.kill()
            assert wait_until(lambda: "Cannot connect to redis" in log.read_text(), 60)
        finally:
            service.kill()
            service.wait()
    told = [json.loads(line) for line in _lines(log)]
    assert "Celery 5.1" not in log.read_text()
    assert [one for one in told if "Traceback" in json.dumps(one)] == []
