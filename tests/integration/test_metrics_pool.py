"""Metrics of a real pool, whose children are killed and replaced, over HTTP."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.jobs import CHECK_QUEUES
from driftfleet.metrics_settings import MetricsSettings, PrometheusSettings
from driftfleet.settings import BrokerSettings, LogSettings, Settings
from producer.embedded import embedded_redis
from tests.log_lines import events
from tests.metrics_service import COUNT, DIE, TASKS_PER_CHILD
from tests.scrape import scrape, served_at
from tests.workers import short_folder, start_service, wait_until

CLEAN = "driftfleet_checks_total{error_kind=}{verdict=clean}"
KILLED = "driftfleet_checks_total{error_kind=killed}{verdict=error}"


@pytest.fixture
def settings() -> Iterator[Settings]:
    with short_folder("mr") as folder, embedded_redis(folder) as redis:
        yield Settings(
            broker=BrokerSettings(url=SecretStr(redis.url)),
            metrics=MetricsSettings(prometheus=PrometheusSettings(port=0)),
            logs=LogSettings(format="json"),
        )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def main(settings: Settings, log: Path) -> Iterator[process.Process]:
    """A worker with four children; it is to end in order."""
    worker = start_service(
        [
            sys.executable, "-m", "celery", "-A", "tests.metrics_service", "worker",
            "--pool", "prefork", "--concurrency", "4", "--without-gossip", "--without-mingle",
        ],
        settings,
        log,
    )  # fmt: skip
    try:
        assert wait_until(lambda: events(log, "metrics_served") != [], 60), log.read_text()
        yield worker
        worker.terminate()
        assert worker.wait(60) == 0, log.read_text()[-3000:]
    finally:
        worker.kill()
        worker.wait()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A byte for each run of the task that dies."""
    return tmp_path / "runs"


def url_of(log: Path) -> str:
    return served_at(events(log, "metrics_served"))


def test_sums_are_right_though_children_are_killed_and_replaced(
    settings: Settings, main: process.Process, log: Path, runs: Path
) -> None:
    url, checks, deaths = url_of(log), 30 * TASKS_PER_CHILD, 5
    with build_app(settings) as app:
        for number in range(checks):
            app.send_task(COUNT, args=[float(number)], queue=CHECK_QUEUES[0])
            if number % (checks // deaths) == 0:
                app.send_task(DIE, args=[str(runs)], queue=CHECK_QUEUES[0])
    shown: dict[str, float] = {}
    ran = 0

    def settled() -> bool:
        nonlocal shown, ran
        shown, ran = scrape(url), runs.stat().st_size if runs.exists() else 0
        return shown.get(CLEAN) == checks and shown.get(KILLED) == ran >= deaths

    wait_until(settled, 120)
    # More than were sent, where a child was gone before the pool had read that it had taken one:
    # while the pool clears up after another child it gives such a task to a third.
    assert shown.get(KILLED) == ran >= deaths, log.read_text()[-3000:]
    assert shown.get(CLEAN) == checks, log.read_text()[-3000:]
    assert shown["driftfleet_plan_seconds_count"] == checks
    assert shown["driftfleet_plan_seconds_sum"] == sum(range(checks))
    assert shown["driftfleet_plan_seconds_bucket{le=120.0}"] == 121
    assert not any(value for name, value in shown.items() if "metrics_lost" in name)


def test_only_the_main_process_listens(main: process.Process, log: Path) -> None:
    port = httpx.URL(url_of(log)).port
    listeners = [
        one.pid for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr == ("127.0.0.1", port)
    ]  # fmt: skip
    assert listeners == [main.pid]
    assert len(psutil.Process(main.pid).children()) == 4
