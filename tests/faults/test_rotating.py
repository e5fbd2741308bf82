"""GitHub's token is replaced in its file while a worker and a producer run: nobody is restarted."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driftfleet.results import Verdict
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.settings import GitHubSettings, LogSettings, RepositoryRule
from producer.headquarters import PRODUCER_QUEUE, TICK_QUEUE
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet
from tests.faults.test_services import SELDOM, Services, _overdue
from tests.standin import StandIn
from tests.standin.fixture import serving
from tests.workers import wait_until

REPO = "payments/infra"
OLD, NEW = "ghp_old00000000000000000000000000000001", "ghp_new00000000000000000000000000000002"


def _root(value: str) -> dict[str, str]:
    return {"a/main.tf": f'resource "terraform_data" "this" {{\n  input = "{value}"\n}}\n'}


@pytest.fixture
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        standin.rotate(OLD)
        yield standin


class Mounted:
    """A secret as Kubernetes mounts it: the folder behind a link is another one at once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._written = folder, 0
        self.path = folder / "now" / "token"

    def write(self, token: str) -> None:
        self._written += 1
        version = self._folder / f"v{self._written}"
        version.mkdir(parents=True)
        (version / "token").write_text(f"{token}\n")
        link = self._folder / "next"
        link.symlink_to(version.name)
        os.replace(link, self._folder / "now")


class Running:
    """A worker and a producer that read the token from a file."""

    def __init__(self, make_fleet: MakeFleet, ghe: StandIn, folder: Path) -> None:
        self.ghe, self.secret = ghe, Mounted(folder / "secret")
        self.secret.write(OLD)
        ghe.add_repository(REPO, _root("one"))
        self.fleet: BrokenFleet = make_fleet(
            more={
                "github": GitHubSettings(url=ghe.url, token=f"file://{self.secret.path}"),
                "repositories": (RepositoryRule(repo=REPO),),
                "schedule": ScheduleSettings(every=SELDOM),  # type: ignore[arg-type]
                "logs": LogSettings(format="json"),
            }
        )
        self.services = Services(self.fleet, "", folder)
        self.services.producer()
        self.fleet.start_worker()

    def sweep(self) -> None:
        """Have the repository swept, as if it were long after the last time."""
        # Else the producer might still note of the last sweep when that was, and over this.
        assert wait_until(self._rests, 60), self.log
        _overdue(self.fleet, REPO)
        # A tick that is in the middle of it has read the store's before.
        self.fleet.redis.delete("driftfleet:swept", f"driftfleet:once:sweep:{REPO}@")

    def _rests(self) -> bool:
        """Whether nothing is in a queue or worked on."""
        return self.fleet.redis.exists(TICK_QUEUE, PRODUCER_QUEUE, "unacked") == 0

    def told(self, event: str, count: int) -> list[dict[str, Any]]:
        """Wait until a service has said it so often."""
        assert wait_until(lambda: len(self.services.events(event)) >= count, 90), self.log
        return self.services.events(event)

    def answered(self, count: int) -> None:
        """Wait until so many sweeps were closed; each of them has judged the root."""
        folder = Path(self.fleet.store.describe("sweeps"))

        def closed() -> list[Any]:
            records = [self.fleet.store.sweep(path.stem) for path in folder.glob("*.json")]
            return [one for one in records if one and one.closed_at and one.asked]

        assert wait_until(lambda: len(closed()) >= count, 90), self.log
        verdicts = [verdict for one in closed() for verdict in one.answered.values()]
        assert verdicts == [Verdict.UNAPPLIED] * count, self.log

    @property
    def log(self) -> str:
        return self.services.log.read_text() + self.fleet.log.read_text()

    def stop(self) -> None:
        self.services.stop()


@pytest.fixture
def running(make_fleet: MakeFleet, ghe: StandIn, tmp_path: Path) -> Iterator[Running]:
    running = Running(make_fleet, ghe, tmp_path)
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.timeout(300)
def test_a_token_that_is_replaced_and_then_revoked_costs_no_check(running: Running) -> None:
    with running.fleet.ticking():
        running.sweep()
        running.answered(1)
        running.secret.write(NEW)
        running.ghe.rotate(NEW)
        running.ghe.commit(REPO, _root("two"))
        running.sweep()
        running.answered(2)
    assert running.services.events("repository_not_swept") == []
    # Each process that held the old one sent it once more, and read the file then.
    assert 0 < running.ghe.refused_credentials <= 6
    assert OLD not in running.log
    assert NEW not in running.log


@pytest.mark.timeout(300)
def test_a_token_that_was_revoked_first_costs_until_the_new_one_is_there(running: Running) -> None:
    with running.fleet.ticking():
        running.sweep()
        running.answered(1)
        running.ghe.rotate(NEW)
        running.ghe.commit(REPO, _root("two"))
        running.sweep()
        (told,) = running.told("repository_not_swept", 1)
        assert "token" in told["reason"]
        refused = running.ghe.refused_credentials
        running.sweep()
        running.told("repository_not_swept", 2)
        # An account that keeps coming with bad credentials is locked out.
        assert running.ghe.refused_credentials == refused
        running.secret.write(NEW)
        running.sweep()
        running.answered(2)
