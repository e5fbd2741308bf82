"""Real workers on a real Redis: jobs, deaths, leftovers, a read-only world."""

import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from driftfleet.celery_app import build_app
from driftfleet.configuration import environment_of, process_environment
from driftfleet.jobs import CHECK_QUEUES, CHECK_TASK, Job
from driftfleet.results import Verdict
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from producer.embedded import embedded_redis
from tests import providers
from tests.conftest import require_program
from tests.workers import Fleet, short_folder, users_of, wait_until

_NO_EXPIRY = -1
BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'


@pytest.fixture
def fleet(tmp_path: Path, mirror: Path) -> Iterator[Fleet]:
    repository = tmp_path / "repository"
    repository.mkdir()
    with short_folder("r") as redis_folder, short_folder("w") as place:
        writable = place / "w"
        writable.mkdir()
        with embedded_redis(redis_folder) as redis:
            settings = Settings(
                broker=BrokerSettings(url=SecretStr(redis.url), visibility_timeout_seconds=10),
                results=ResultSettings(store=f"file://{place / 'results'}"),
                worker=WorkerSettings(
                    concurrency=4,
                    writable_root=writable,
                    mirror=mirror,
                    local_roots=(repository,),
                    stop_grace_seconds=1,
                    drain_seconds=5,
                    attempts=1,
                ),
            )
            fleet = Fleet(settings, repository, tmp_path / "worker.log", redis_folder)
            try:
                yield fleet
            finally:
                fleet.stop()
        assert list(writable.rglob("*")) == []


def test_a_job_is_answered_stored_and_noted_with_the_time_it_waited(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", BUILTIN)
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    (answer,) = fleet.wait(1, 120)
    result = fleet.result(answer)
    assert (answer.verdict, result.verdict) == (Verdict.UNAPPLIED, Verdict.UNAPPLIED)
    assert result.timings_seconds.wait > 0
    assert fleet.ledger.pending("sweep") == set()
    assert wait_until(lambda: fleet.redis.hlen("unacked") == 0, 30)


def test_a_check_is_one_line_in_the_log_with_its_cost(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", BUILTIN)
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    (answer,) = fleet.wait(1, 120)
    cost = fleet.result(answer).cost
    assert cost.cpu_seconds > 0
    assert cost.peak_memory_bytes > 10 << 20
    assert wait_until(lambda: "check_answered" in fleet.log.read_text(), 30)
    (line,) = [one for one in fleet.log.read_text().splitlines() if "check_answered" in one]
    told = json.loads(line)
    assert (told["sweep"], told["root"], told["variant"]) == ("sweep", "root", "default")
    assert told["repo"] == fleet.job("root").source.slug
    assert told["verdict"] == "unapplied"
    assert told["cpu_seconds"] == cost.cpu_seconds
    assert told["peak_memory_bytes"] == cost.peak_memory_bytes


def test_every_key_in_redis_but_the_queues_own_has_an_expiry(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", BUILTIN)
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    fleet.wait(1, 120)
    ours = list(fleet.redis.scan_iter("driftfleet:*"))
    assert ours
    # Of one that is gone meanwhile it would be another negative number.
    assert [key for key in ours if fleet.redis.ttl(key) == _NO_EXPIRY] == []


def test_a_pool_childs_death_ends_its_plan_and_the_check_is_answered_by_another(
    fleet: Fleet,
) -> None:
    root = providers.write_root(fleet.repository / "root", providers.fault_root("slow", seconds=60))
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    assert wait_until(lambda: fleet.planning() != [], 60)
    (terraform,) = fleet.planning()
    # The next one sees another.
    providers.write_root(fleet.repository / "root", providers.fault_root("slow", seconds=3))
    fleet.kill_holder()
    assert wait_until(lambda: not terraform.is_running(), 30)
    assert root.exists()
    (answer,) = fleet.wait(1, 120)
    assert answer.verdict is not Verdict.ERROR
    assert users_of(fleet.settings.worker.writable_root) == []


def test_a_job_that_kills_its_worker_every_time_is_answered_in_the_end(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", providers.fault_root("hang"))
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    for _ in range(3):
        assert wait_until(lambda: fleet.planning() != [], 60)
        killed = fleet.planning()
        fleet.kill_holder()
        # The next one may be there by then.
        _, alive = psutil.wait_procs(killed, timeout=30)
        assert alive == []
    (answer,) = fleet.wait(1, 120)
    result = fleet.result(answer)
    assert result.error is not None
    assert result.error.kind.value == "worker_lost"


def test_a_plan_longer_than_the_visibility_time_out_runs_once(fleet: Fleet) -> None:
    # Three of the time-out: without the heartbeat the message would be given to a second slot.
    providers.write_root(fleet.repository / "root", providers.fault_root("slow", seconds=32))
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    (answer,) = fleet.wait(1, 120)
    assert answer.verdict is not Verdict.ERROR
    # Told of when it is noted; and whatever was delivered is acknowledged after all is told.
    assert wait_until(lambda: "check_answered" in fleet.log.read_text(), 60)
    assert wait_until(lambda: fleet.redis.hlen("unacked") == 0, 60)
    told = fleet.log.read_text()
    assert told.count("check_answered") == 1
    # Nor was it delivered a second time, and turned away by the lease.
    assert "check_runs_elsewhere" not in told
    assert "check_not_wanted" not in told


def test_a_message_that_is_no_job_is_refused_once_and_the_worker_goes_on(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", BUILTIN)
    fleet.start_worker()
    with build_app(fleet.settings) as app:
        for payload in ({"schema_version": 2}, "text", {"root": "../.."}):
            app.send_task(CHECK_TASK, args=[payload], queue=CHECK_QUEUES[0])
        app.send_task("os.system", args=["true"], queue=CHECK_QUEUES[0])
    fleet.send([fleet.job("root")])
    fleet.wait(1, 120)
    assert wait_until(lambda: fleet.log.read_text().count("job_refused") == 3, 30)


def test_a_plan_of_the_same_user_cannot_read_the_workers_environment(fleet: Fleet) -> None:
    # PR_GET_DUMPABLE, prctl(2): 0 means that /proc/PID/environ is root's alone.
    code = (
        "import ctypes, worker.app; worker.app.app; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**process_environment(), **environment_of(fleet.settings)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "0\n"


def test_a_hung_redis_does_not_lose_the_answer(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", providers.fault_root("slow", seconds=3))
    fleet.send([fleet.job("root")])
    fleet.start_worker()
    assert wait_until(lambda: fleet.planning() != [], 60)
    (server,) = [
        one for one in psutil.process_iter(["name", "cwd"])
        if one.info["name"] == "redis-server" and one.info["cwd"] == str(fleet.redis_folder)
    ]  # fmt: skip
    server.suspend()
    try:
        wait_until(lambda: False, 25)
    finally:
        server.resume()
    (answer,) = fleet.wait(1, 120)
    assert answer.verdict is not Verdict.ERROR


def test_term_lets_a_running_plan_finish(fleet: Fleet) -> None:
    providers.write_root(fleet.repository / "root", providers.fault_root("slow", seconds=3))
    fleet.send([fleet.job("root")])
    # Its three seconds, and what comes before and after them where others plan, too.
    fleet.environment = {
        "DRIFTFLEET_WORKER__DRAIN_SECONDS": "60",
        "DRIFTFLEET_BROKER__VISIBILITY_TIMEOUT_SECONDS": "90",
    }
    worker = fleet.start_worker()
    assert wait_until(lambda: fleet.planning() != [], 60)
    worker.terminate()
    assert worker.wait(90) == 0
    assert len(fleet.ledger.answers("sweep")) == 1


@pytest.mark.alone("what others make in the system's temporary folders is taken for its own")
def test_nothing_is_left_after_sixty_checks_a_third_of_them_killed(fleet: Fleet) -> None:
    """The leak test: SIGKILL to terraform, to pool children and to whole workers."""
    chance = random.Random(20)
    _write_mixed_roots(fleet.repository)
    elsewhere = set(_temporary_folders())
    roots = ["builtin", "file", "slow", "child", "write"]
    jobs = [fleet.job(roots[n % 5], sha=f"{n:040x}") for n in range(60)]
    fleet.send(jobs)
    fleet.start_worker()
    kills = {"terraform": 0, "pool child": 0, "worker": 0}
    while sum(kills.values()) < 20 and len(fleet.ledger.answers("sweep")) < 60:
        target = chance.choices(list(kills), weights=[10, 8, 2])[0]
        if _kill(fleet, target, chance):
            kills[target] += 1
        wait_until(lambda: False, chance.uniform(0.05, 0.8))
    print(f"killed: {kills}")
    answers = fleet.wait(60, 240)
    assert sum(kills.values()) >= 20, kills
    assert len({answer.check for answer in answers}) == 60
    killed = [a for a in answers if a.verdict is Verdict.ERROR]
    kinds = {fleet.result(answer).error.kind.value for answer in killed}
    assert kinds <= {"killed", "worker_lost", "provider_crashed"}
    fleet.stop()
    at = len(fleet.log.read_text())
    fleet.start_worker()
    assert wait_until(lambda: " ready." in fleet.log.read_text()[at:], 60)
    writable = fleet.settings.worker.writable_root
    assert wait_until(lambda: list(writable.iterdir()) == [], 60), list(writable.rglob("*"))
    assert users_of(writable) == []
    assert providers.processes_with("leak-test") == []
    assert set(_temporary_folders()) <= elsewhere


def _temporary_folders() -> Iterator[Path]:
    """What Python's and Celery's pools make in the system's temporary folders."""
    yield from Path(tempfile.gettempdir()).glob("pymp-*")
    yield from Path("/dev/shm").glob("*")


def _write_mixed_roots(repository: Path) -> None:
    world = repository.parent / "world"
    providers.write_root(repository / "builtin", BUILTIN)
    providers.write_root(repository / "file", providers.file_root(world, "one"))
    providers.write_root(repository / "slow", providers.fault_root("slow", seconds=1))
    providers.write_root(
        repository / "child", providers.fault_root("child", marker="leak-test", seconds=300)
    )
    providers.write_root(repository / "write", providers.fault_root("write", megabytes=20))


def _kill(fleet: Fleet, target: str, chance: random.Random) -> bool:
    if target == "worker":
        worker = fleet.workers[-1]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        fleet.start_worker()
        return True
    plans = fleet.planning()
    if not plans:
        return False
    plan = chance.choice(plans)
    victim = plan if target == "terraform" else fleet.holder(plan)
    with contextlib.suppress(psutil.Error):
        if victim is not None:
            victim.kill()
            return True
    return False


class TestReadOnlyWorld:
    """The worker where nothing but its writable root can be written to."""

    def test_a_check_needs_no_other_writable_folder(self, fleet: Fleet) -> None:
        bwrap = require_program("bwrap", "apt-get install bubblewrap")
        world = fleet.repository.parent / "world"
        root = providers.write_root(fleet.repository / "root", providers.file_root(world, "one"))
        providers.apply(root, fleet.settings.worker.mirror)
        world.write_text("two")
        writable = fleet.settings.worker.writable_root
        # The one writable place holds the results, too: they stand for S3. Redis' socket is reached
        # through the read-only mount.
        place = str(writable.parent)
        fleet.prefix = [
            bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
            "--bind", place, place, "--die-with-parent", "--",
        ]  # fmt: skip
        fleet.start_worker()
        fleet.send([fleet.job("root")])
        (answer,) = fleet.wait(1, 120)
        assert fleet.result(answer).verdict is Verdict.DRIFTED, fleet.result(answer)

    def test_a_full_disk_is_an_error_that_says_so_and_the_next_check_works(
        self, fleet: Fleet
    ) -> None:
        bwrap = require_program("bwrap", "apt-get install bubblewrap")
        providers.write_root(
            fleet.repository / "large", providers.fault_root("write", megabytes=20)
        )
        providers.write_root(fleet.repository / "small", BUILTIN)
        writable = fleet.settings.worker.writable_root
        place = str(writable.parent)
        fleet.prefix = [
            bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
            "--bind", place, place, "--size", str(4 << 20), "--tmpfs", str(writable),
            "--die-with-parent", "--",
        ]  # fmt: skip
        fleet.start_worker()
        fleet.send([fleet.job("large")])
        (answer,) = fleet.wait(1, 120)
        error = fleet.result(answer).error
        assert error is not None
        assert (error.kind.value, error.transient) == ("disk_full", True)
        fleet.send([fleet.job("small", sweep_id="second")])
        (answer,) = fleet.wait(1, 120, "second")
        assert answer.verdict is Verdict.UNAPPLIED


def test_a_job_names_nothing_secret(fleet: Fleet) -> None:
    job: Job = fleet.job("root")
    url = fleet.settings.broker.url
    assert url is not None
    assert url.get_secret_value() not in job.model_dump_json()
