"""Beats, a producer and workers as they run: nothing twice, nothing missed, nothing silent."""

import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftfleet import process
from driftfleet.configuration import environment_of, process_environment
from driftfleet.heartbeat import HEARTBEAT_KEY, Heartbeat
from driftfleet.metrics_settings import MetricsSettings, PrometheusSettings
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.settings import GitHubSettings, LogSettings, RepositoryRule
from driftfleet.swept import Swept
from driftfleet.worker_command import beat_arguments, producer_arguments
from tests import providers
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet
from tests.log_lines import events
from tests.standin import Fault, StandIn
from tests.standin.fixture import serving
from tests.workers import wait_until

# Each repository has slots on the clock, and is swept once more where one comes in the middle of a
# test: so there are hardly any.
SELDOM = "366d"
ROOT = {"a/main.tf": 'resource "terraform_data" "this" {\n  input = "one"\n}\n'}


@pytest.fixture
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        yield standin


class Services:
    """The services of a fleet beside its workers."""

    def __init__(self, fleet: BrokenFleet, token: str, folder: Path) -> None:
        self._fleet = fleet
        self._environment = {
            **process_environment(), **environment_of(fleet.settings),
            "THE_TOKEN": token, "XDG_CACHE_HOME": str(folder / "cache"),
        }  # fmt: skip
        fleet.environment = {"THE_TOKEN": token}
        self.log = folder / "services.log"
        self.running: list[process.Process] = []

    def start(self, arguments: list[str]) -> process.Process:
        with self.log.open("ab") as log:
            one = process.start(
                arguments, self._environment, death_signal=signal.SIGKILL, stdout=log, stderr=log
            )
        self.running.append(one)
        return one

    def beat(self) -> process.Process:
        return self.start(beat_arguments(self._fleet.settings))

    def producer(self) -> process.Process:
        return self.start(producer_arguments(self._fleet.settings))

    def events(self, event: str) -> list[dict[str, Any]]:
        return events(self.log, event)

    def stop(self) -> None:
        for one in self.running:
            one.terminate()
        for one in self.running:
            one.wait(60)


def _settings(ghe: StandIn, **schedule: Any) -> dict[str, Any]:
    return {
        "github": GitHubSettings(url=ghe.url, token="env://THE_TOKEN"),
        "repositories": (RepositoryRule(org="platform"), RepositoryRule(repo="payments/infra")),
        "schedule": ScheduleSettings(**schedule),
        "logs": LogSettings(format="json"),
        "metrics": MetricsSettings(prometheus=PrometheusSettings(port=0)),
    }


def _overdue(fleet: BrokenFleet, repo: str) -> None:
    """As if its slot had come since it was swept, whenever that is."""
    then = datetime.now(UTC) - timedelta(days=2 * 366)
    swept = Swept(repo=repo, swept_at=then, first_seen=then)
    fleet.store.keep(swept.key, swept)


@pytest.mark.timeout(700)
def test_two_beats_do_no_harm_and_one_that_is_killed_misses_nothing(
    make_fleet: MakeFleet, ghe: StandIn, tmp_path: Path
) -> None:
    ghe.add_repository("payments/infra", ROOT)
    ghe.add_repository("platform/one", ROOT)
    fleet = make_fleet(more=_settings(ghe, every=SELDOM))
    for repo in ("payments/infra", "platform/one"):
        _overdue(fleet, repo)
    services = Services(fleet, ghe.token, tmp_path)
    try:
        first, _second = services.beat(), services.beat()
        services.producer()
        fleet.start_worker()
        # A minute to the first tick, which lists the repositories, another to the one that sweeps.
        assert wait_until(lambda: len(services.events("ticked")) >= 2, 200), (
            services.log.read_text()
        )
        first.kill()
        first.wait()
        killed = time.time()
        assert wait_until(lambda: len(_closed(fleet)) == 2, 200), services.log.read_text()
        # A sweep may be closed before its producer has said that it asked for it.
        assert wait_until(lambda: len(services.events("repository_swept")) >= 2, 60)
        swept = services.events("repository_swept")
        assert sorted(one["repo"] for one in swept) == ["payments/infra", "platform/one"]
        # Once each, although two beats ticked.
        assert all(record.missing == () for record in _closed(fleet))

        def beaten() -> bool:
            beat = fleet.store.record(Heartbeat, HEARTBEAT_KEY)
            return beat is not None and beat.stored_at > killed

        # The way from a beat through a worker to the store.
        assert wait_until(beaten, 150)
        assert len(services.events("repository_swept")) == 2
        assert ghe.token not in services.log.read_text() + fleet.log.read_text()
    finally:
        services.stop()


def _closed(fleet: BrokenFleet) -> list[Any]:
    names = sorted((Path(fleet.store.describe("sweeps"))).glob("*.json"))
    records = [fleet.store.sweep(name.stem) for name in names]
    return [record for record in records if record and record.closed_at is not None]


@pytest.mark.timeout(300)
def test_a_repository_that_is_new_in_an_organisation_is_found_by_itself(
    make_fleet: MakeFleet, ghe: StandIn, tmp_path: Path
) -> None:
    ghe.add_repository("payments/infra", ROOT)
    ghe.add_repository("platform/one", ROOT)
    fleet = make_fleet(more=_settings(ghe, every=SELDOM))
    services = Services(fleet, ghe.token, tmp_path)
    try:
        services.producer()
        with fleet.ticking():
            assert wait_until(lambda: services.events("repositories_listed") != [], 60)
            known = lambda: {one.repo for one in _swept(fleet)}  # noqa: E731
            assert wait_until(lambda: known() == {"payments/infra", "platform/one"}, 60)
            ghe.add_repository("platform/two", ROOT)
            # It is listed again every ten minutes: as if these had passed.
            fleet.redis.delete("driftfleet:once:roster-age", "driftfleet:once:listing")
            assert wait_until(lambda: "platform/two" in known(), 60)
    finally:
        services.stop()


def _swept(fleet: BrokenFleet) -> list[Swept]:
    found = Path(fleet.store.describe("swept")).rglob("*.json")
    return [Swept.model_validate_json(path.read_text()) for path in found]


def test_enqueue_waits_tells_and_ends_with_the_scans_codes(
    make_fleet: MakeFleet, ghe: StandIn, tmp_path: Path
) -> None:
    ghe.add_repository(
        "payments/infra", {**ROOT, "b/main.tf": providers.fault_root("slow", seconds=4)}
    )
    fleet = make_fleet(more=_settings(ghe))
    services = Services(fleet, ghe.token, tmp_path)
    command = [sys.executable, "-c", "from producer.cli import main; main()", "enqueue"]
    fleet.start_worker()
    waiting = services.start([*command, "payments/infra", "--wait"])
    assert waiting.wait(60) == 3
    stopped = services.start([*command, "payments/infra", "--wait", "--priority", "high"])
    assert wait_until(lambda: len(fleet.planning()) >= 1, 60)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(60) == 130
    # Ctrl-C only stops the watching.
    assert wait_until(lambda: len(_closed(fleet)) == 2, 60)
    assert all(len(record.answered) == 2 for record in _closed(fleet))


@pytest.mark.timeout(200)
def test_a_producer_that_is_told_to_end_waits_for_nobody(
    make_fleet: MakeFleet, ghe: StandIn, tmp_path: Path
) -> None:
    """Whatever it does is begun again by a later tick; a sync of the mirror may take hours."""
    ghe.add_repository("payments/infra", ROOT)
    settings = _settings(ghe, every=SELDOM)
    settings["repositories"] = (RepositoryRule(repo="payments/infra"),)
    fleet = make_fleet(more=settings, drain_seconds=3)
    _overdue(fleet, "payments/infra")
    ghe.fault(r"/repos/payments/infra.*", Fault.slow_body(10, piece_bytes=1), times=None)
    services = Services(fleet, ghe.token, tmp_path)
    try:
        producer = services.producer()
        with fleet.ticking():
            assert wait_until(lambda: bool(ghe.requests), 60), services.log.read_text()
        told = time.monotonic()
        producer.terminate()
        assert producer.wait(60) == 0
        # What stops was in the middle of something.
        assert 2 < time.monotonic() - told < 15
        assert "repository_not_swept" in services.log.read_text()
    finally:
        services.stop()
