"""A fleet whose Redis wants TLS, a password, and a user that may do only what a fleet has to."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from driftfleet.cap_settings import CapSettings
from driftfleet.configuration import environment_of, process_environment
from driftfleet.flower_settings import FlowerSettings
from driftfleet.results import Verdict
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.settings import GitHubSettings, LogSettings, RepositoryRule
from driftfleet.sweep_id import new_sweep_id
from tests.certificates import Certificate, make_certificate
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet, kill_group
from tests.faults.test_services import SELDOM as SELDOM_SWEPT
from tests.faults.test_services import Services
from tests.redis_on_a_port import Server, serving
from tests.standin import StandIn
from tests.standin.fixture import serving as serving_github
from tests.workers import wait_until

PASSWORD = "correct-horse-battery"
COMMAND = [sys.executable, "-c", "from producer.cli import main; main()"]
# What is asked for only now and then: with another database, in a race, for a message whose worker
# has died, for a check that somebody else works on.
SELDOM = {
    "auth", "select", "discard", "unwatch", "decr", "punsubscribe", "watch", "hget", "pttl",
}  # fmt: skip
ROOT = {"a/main.tf": 'resource "terraform_data" "this" {\n  input = "one"\n}\n'}


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def tls(tmp_path: Path, certificate: Certificate) -> Iterator[Server]:
    configuration = (
        f"tls-cert-file {certificate.path}",
        f"tls-key-file {certificate.key}",
        f"tls-ca-cert-file {certificate.path}",
        "tls-auth-clients no",
        f"requirepass {PASSWORD}",
    )
    folder = tmp_path / "tls"
    folder.mkdir()
    with serving(folder, *configuration, tls=True) as running:
        yield running


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The certificate of an authority that has signed nothing here."""
    folder = tmp_path / "other"
    folder.mkdir()
    return make_certificate(folder).path


@pytest.fixture
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving_github(tmp_path_factory.mktemp("ghe")) as standin:
        standin.add_repository("payments/infra", ROOT)
        yield standin


def more(ghe: StandIn | None = None) -> dict[str, Any]:
    named = {"github": GitHubSettings(url=ghe.url, token="env://THE_TOKEN")} if ghe else {}
    return {"logs": LogSettings(format="json"), **named}


def command(
    fleet: BrokenFleet, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`driftfleet` with the fleet's settings; it says no password and has no traceback."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env={
            **process_environment(), **environment_of(fleet.settings), **fleet.environment,
            **(environment or {}),
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done


class TestTls:
    def test_a_fleet_works(
        self, make_fleet: MakeFleet, tls: Server, certificate: Certificate, ghe: StandIn,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        broker = {"url": tls.url(user=f":{PASSWORD}", tls=True), "ca_file": certificate.path}
        fleet = make_fleet(broker=broker, more=more(ghe))
        fleet.environment = {"THE_TOKEN": ghe.token, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        fleet.write_quick("root")
        fleet.start_worker()
        # By a sweep of our own, which a tick closes or the worker, and by the command.
        record = fleet.closed(fleet.ask("root"), 60)
        assert list(record.answered.values()) == [Verdict.UNAPPLIED]
        enqueued = command(fleet, "enqueue", "payments/infra", "--wait")
        assert enqueued.returncode == 3, enqueued.stderr
        shown = command(fleet, "top", "--json")
        assert json.loads(shown.stdout)["workers"][0]["slots"] == 2
        text = fleet.log.read_text()
        assert "Traceback" not in text
        assert PASSWORD not in text

    def test_another_authoritys_certificate_is_refused(
        self, make_fleet: MakeFleet, tls: Server, other: Path, ghe: StandIn, tmp_path: Path
    ) -> None:
        broker = {"url": tls.url(user=f":{PASSWORD}", tls=True), "ca_file": other}
        self._is_refused(make_fleet(broker=broker, more=more(ghe)), ghe, tmp_path)

    def test_a_certificate_of_another_host_is_refused(
        self, make_fleet: MakeFleet, tls: Server, certificate: Certificate, ghe: StandIn,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        # It is of 127.0.0.1.
        url = tls.url(user=f":{PASSWORD}", host="localhost", tls=True)
        broker = {"url": url, "ca_file": certificate.path}
        self._is_refused(make_fleet(broker=broker, more=more(ghe)), ghe, tmp_path)

    def test_without_a_ca_file_the_systems_authorities_count(
        self, make_fleet: MakeFleet, tls: Server, certificate: Certificate, ghe: StandIn,
        tmp_path: Path,
    ) -> None:  # fmt: skip
        fleet = make_fleet(broker={"url": tls.url(user=f":{PASSWORD}", tls=True)}, more=more(ghe))
        self._is_refused(fleet, ghe, tmp_path)
        # As if the system had it among its own.
        system = {"SSL_CERT_FILE": str(certificate.path)}
        assert command(fleet, "top", "--once", environment=system).returncode == 0
        fleet.environment = {**fleet.environment, **system}
        at = len(fleet.log.read_text())
        fleet.start_worker()
        assert wait_until(lambda: " ready." in fleet.log.read_text()[at:], 60)

    def _is_refused(self, fleet: BrokenFleet, ghe: StandIn, tmp_path: Path) -> None:
        fleet.environment = {"THE_TOKEN": ghe.token, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        for arguments in (("top", "--once"), ("enqueue", "payments/infra")):
            done = command(fleet, *arguments)
            assert (done.returncode, done.stdout) == (1, "")
            (line,) = done.stderr.splitlines()
            assert "certificate" in line
            assert "broker.ca_file" in line
        worker = fleet.start_worker()
        assert wait_until(lambda: "Cannot connect to" in fleet.log.read_text(), 60)
        text = fleet.log.read_text()
        assert "certificate" in text
        assert "Traceback" not in text
        assert PASSWORD not in text
        assert worker.poll() is None
        worker.terminate()
        worker.wait(60)


class TestUser:
    """The rule in docs/redis.md is all that a fleet needs."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        folder = tmp_path / "acl"
        folder.mkdir()
        with serving(folder, "requirepass operator", "appendonly yes") as running:
            yield running

    @pytest.mark.timeout(400)
    def test_a_fleet_works_and_is_refused_nothing(
        self, make_fleet: MakeFleet, server: Server, ghe: StandIn, tmp_path: Path
    ) -> None:
        operator = server.client("operator")
        for user in ("driftfleet", "driftfleet-top"):
            rule = _rule(user)
            operator.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", *rule)
        broker = {"url": server.url(user=f"driftfleet:{PASSWORD}")}
        settings = {
            **more(ghe),
            "repositories": (RepositoryRule(repo="payments/infra"),),
            "schedule": ScheduleSettings(every=SELDOM_SWEPT),
            "caps": CapSettings(repository=1),
            "flower": FlowerSettings(port=0),
        }
        fleet = make_fleet(broker=broker, more=settings)
        fleet.environment = {"THE_TOKEN": ghe.token, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        operator.config_resetstat()
        operator.acl_log_reset()
        services = Services(fleet, ghe.token, tmp_path)
        try:
            services.producer()
            services.beat()
            services.start([*COMMAND, "flower"])
            self._work(fleet, operator)
            assert command(fleet, "enqueue", "payments/infra", "--wait").returncode == 3
            used = _used(operator)
            self._look(fleet, server)
            assert _refused(operator) == set()
            # What needs INFO and CONFIG is said not to be seen.
            examined = command(fleet, "doctor", "--json").stdout.splitlines()
            found = {one["what"]: one for one in map(json.loads, examined)}
            assert found["writes"]["level"] == "ok"
            assert found["workers"]["level"] == "ok"
            assert {one["level"] for one in found.values() if one["level"] == "fail"} == set()
            assert wait_until(lambda: services.events("ticked") != [], 150)
        finally:
            services.stop()
        assert {what for _, what in _refused(operator)} <= {"info", "config|get"}
        allowed = {word[1:] for word in _rule("driftfleet") if word.startswith("+")}
        needless = allowed - used - _used(operator) - SELDOM
        assert needless == set()
        self._may_not(server)

    def _look(self, fleet: BrokenFleet, server: Server) -> None:
        """`driftfleet top`, as the user of the fleet and as one who only looks."""
        fleet.workers[-1].terminate()
        fleet.workers[-1].wait(60)
        fleet.ask("slow", sha="looked at")
        for user in ("driftfleet", "driftfleet-top"):
            url = server.url(user=f"{user}:{PASSWORD}")
            shown = command(fleet, "top", "--json", environment={"DRIFTFLEET_BROKER__URL": url})
            assert [one["waiting"] for one in json.loads(shown.stdout)["sweeps"]] == [1]
        fleet.start_worker()

    def _may_not(self, server: Server) -> None:
        for user, commands in {
            "driftfleet": [
                "FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "CONFIG SET save x", "SHUTDOWN",
                "MONITOR", "ACL LIST", "CLIENT LIST", "SCRIPT FLUSH", "GET other",
                "SET other x", "DEL other", "PUBLISH other x", "PSUBSCRIBE *", "REPLICAOF a 1",
                "SUBSCRIBE /0.celery.pidbox", "PUBLISH /0.celery.pidbox x", "MODULE LIST",
            ],
            "driftfleet-top": [
                "SET driftfleet:open x", "DEL driftfleet:open", "LPUSH driftfleet.checks.00 x",
                "ZADD driftfleet:later 1 x", "PUBLISH /0.celeryev/x x", "SCAN 0",
                "LRANGE other 0 1", "LRANGE unacked 0 1",
            ],
        }.items():  # fmt: skip
            with redis.Redis.from_url(server.url(user=f"{user}:{PASSWORD}")) as client:
                for refused in commands:
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.execute_command(*refused.split())

    def _work(self, fleet: BrokenFleet, operator: Any) -> None:
        """Caps, deaths, losses, retries and forgetting: what a fleet does besides."""
        fleet.write_slow("slow", 4)
        for n in range(4):
            fleet.write_quick(f"quick{n}")
        caps = (f"repository:{fleet.job('slow').source.slug}",)
        sweep_id = new_sweep_id("test", datetime.fromtimestamp(fleet.ledger.now(), UTC))
        jobs = [
            fleet.job(root, sweep_id=sweep_id, ref="main").model_copy(update={"caps": caps})
            for root in ("slow", *(f"quick{n}" for n in range(4)), "gone")
        ]
        sweep = fleet.ask_for(jobs)
        worker = fleet.start_worker()
        fleet.wait_for_plan()
        kill_group(worker)
        fleet.start_worker()
        record = fleet.closed(sweep, 90)
        assert (len(record.answered), record.missing) == (6, ())
        # A message that vanishes, the last one, and one that is given back.
        fleet.write_slow("slow", 60)
        lost = fleet.ask("slow", "quick0", "quick1", sha="2")
        for key in operator.scan_iter("driftfleet.checks*"):
            operator.lpop(key)
        fleet.wait_for_plan()
        fleet.workers[-1].terminate()
        fleet.workers[-1].wait(60)
        fleet.write_slow("slow", 4)
        fleet.start_worker()
        assert fleet.closed(lost, 90).missing == ()
        # Newer commits replace what waits.
        fleet.ask("slow", "quick1", sha="3")
        assert fleet.closed(fleet.ask("slow", "quick1", sha="4"), 90).missing == ()


def _used(operator: Any) -> set[str]:
    return {name.removeprefix("cmdstat_") for name in operator.info("commandstats")}


def _refused(operator: Any) -> set[tuple[str, str]]:
    return {(one["reason"], one["object"]) for one in operator.acl_log(128)}


def _rule(user: str) -> list[str]:
    """What docs/redis.md says that a user may do."""
    text = (Path(__file__).parents[2] / "docs" / "redis.md").read_text()
    block = text.partition(f"ACL SETUSER {user} on >PASSWORD ")[2].partition("```")[0]
    assert block
    return block.split()
