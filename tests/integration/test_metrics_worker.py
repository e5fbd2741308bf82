"""What `driftfleet worker` tells of itself and of its checks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet.metrics_settings import MetricsSettings, PrometheusSettings
from driftfleet.settings import (
    BrokerSettings,
    LogSettings,
    ResultSettings,
    Settings,
    WorkerSettings,
)
from producer.embedded import embedded_redis
from tests import providers
from tests.log_lines import events
from tests.scrape import scrape, served_at
from tests.workers import Fleet, short_folder, wait_until

BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    providers.require_terraform()
    repository = tmp_path / "repository"
    providers.write_root(repository / "one", BUILTIN)
    providers.write_root(repository / "two", BUILTIN)
    providers.write_root(repository / "broken", 'resource "terraform_data" {\n')
    with (
        short_folder("wr") as redis_folder,
        short_folder("ww") as place,
        embedded_redis(redis_folder) as redis,
    ):
        settings = Settings(
            broker=BrokerSettings(url=SecretStr(redis.url)),
            results=ResultSettings(store=f"file://{place / 'results'}"),
            worker=WorkerSettings(
                concurrency=3, writable_root=place / "w", local_roots=(repository,)
            ),
            metrics=MetricsSettings(prometheus=PrometheusSettings(port=0)),
            logs=LogSettings(format="json"),
        )
        fleet = Fleet(settings, repository, tmp_path / "worker.log", redis_folder)
        try:
            yield fleet
        finally:
            fleet.stop()


def test_a_workers_checks_slots_and_disk_are_in_its_metrics(fleet: Fleet) -> None:
    fleet.start_worker()
    assert wait_until(lambda: events(fleet.log, "metrics_served") != [], 60)
    url = served_at(events(fleet.log, "metrics_served"))
    fleet.send([fleet.job(root) for root in ("one", "two", "broken")])
    fleet.wait(3, 120)
    unapplied = "driftfleet_checks_total{error_kind=}{verdict=unapplied}"
    assert wait_until(lambda: scrape(url).get("driftfleet_check_seconds_count") == 3, 60)
    shown = scrape(url)
    assert shown[unapplied] == 2
    assert sum(v for k, v in shown.items() if "checks_total" in k and "verdict=error" in k) == 1
    assert shown["driftfleet_plan_seconds_count"] == 2
    assert 0 < shown["driftfleet_plan_seconds_sum"] < shown["driftfleet_check_seconds_sum"]
    assert shown["driftfleet_check_wait_seconds_count"] == 3
    assert shown["driftfleet_check_cpu_seconds_sum"] > 0
    assert shown["driftfleet_check_peak_memory_bytes_sum"] > 1 << 20
    # Told each ten seconds, at first maybe while the checks still run.
    names = ("driftfleet_slots", "driftfleet_slots_busy")
    assert wait_until(lambda: [scrape(url).get(name) for name in names] == [3, 0], 60)
    shown = scrape(url)
    assert shown["driftfleet_disk_free_bytes"] > 0
    assert not any(value for name, value in shown.items() if "metrics_lost" in name)
