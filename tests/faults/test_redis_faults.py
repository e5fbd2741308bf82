"""Redis goes away, loses its memory, hangs, cuts connections: plans go on, and nothing is lost."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from driftfleet.configuration import environment_of, process_environment
from driftfleet.results import Verdict
from driftfleet.settings import GitHubSettings, RepositoryRule
from tests.conftest import require_faketime
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet
from tests.standin import StandIn
from tests.standin.fixture import serving
from tests.workers import wait_until


@pytest.fixture
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        yield standin


def _run_through(
    make_fleet: MakeFleet,
    fault: Callable[[BrokenFleet], None],
    *,
    append_only: bool,
    seconds: float,
) -> tuple[int, float]:
    """Two plans run and six wait when it happens; how many plans began, and how long all took."""
    fleet = make_fleet(append_only=append_only, visibility_timeout_seconds=20)
    roots = [f"slow{n}" for n in range(2)] + [f"quick{n}" for n in range(6)]
    for root in roots[:2]:
        fleet.write_slow(root, 6)
    for root in roots[2:]:
        fleet.write_quick(root)
    sweep = fleet.ask(*roots)
    worker = fleet.start_worker()
    with fleet.counting_plans() as plans:
        fleet.wait_for_plan(2)
        began = time.monotonic()
        fault(fleet)
        record = fleet.closed(sweep, seconds)
    took = time.monotonic() - began
    assert record.missing == ()
    assert set(record.answered.values()) == {Verdict.UNAPPLIED}
    assert len(record.answered) == 8
    # The connection came back by itself.
    assert worker.poll() is None
    assert fleet.log.read_text().count("sweep_closed") <= 1
    return len(plans), took


@pytest.mark.parametrize(
    ("setting", "spoilt", "healthy"),
    [
        pytest.param("maxmemory", "1", "0", id="full"),
        pytest.param("min-replicas-to-write", "3", "0", id="without its replicas"),
        pytest.param("replicaof", "127.0.0.1 9", "no one", id="a replica"),
    ],
)
def test_a_redis_that_takes_no_writes(
    make_fleet: MakeFleet, setting: str, spoilt: str, healthy: str
) -> None:
    """To kombu it is an error like any other, which would end the worker and its plans."""

    def set_to(fleet: BrokenFleet, value: str) -> None:
        if setting == "replicaof":
            fleet.redis.execute_command("REPLICAOF", *value.split())
        else:
            fleet.redis.config_set(setting, value)

    def fault(fleet: BrokenFleet) -> None:
        set_to(fleet, spoilt)
        time.sleep(12)
        set_to(fleet, healthy)

    plans, took = _run_through(make_fleet, fault, append_only=True, seconds=120)
    print(f"Redis took no writes for 12 s: {plans} plans of 8, closed after {took:.0f} s")
    # One that takes a tenth of a second may not have been seen.
    assert plans <= 8
    # A check whose answer could not be noted waits for the end of its own lease.
    assert took < 100


@pytest.mark.parametrize("away_seconds", [3, 30])
def test_a_redis_that_is_killed_and_has_a_memory(make_fleet: MakeFleet, away_seconds: int) -> None:
    def fault(fleet: BrokenFleet) -> None:
        fleet.server.kill()
        time.sleep(away_seconds)
        fleet.server.start()

    plans, took = _run_through(make_fleet, fault, append_only=True, seconds=120)
    print(f"Redis away for {away_seconds} s: {plans} plans of 8, closed after {took:.0f} s")
    # The plans that ran were not thrown away.
    assert plans <= 8


@pytest.mark.timeout(400)
def test_a_redis_that_comes_back_without_its_memory_is_given_it_again(
    make_fleet: MakeFleet,
) -> None:
    def fault(fleet: BrokenFleet) -> None:
        fleet.server.kill()
        time.sleep(3)
        fleet.server.start()

    plans, took = _run_through(make_fleet, fault, append_only=False, seconds=240)
    print(f"without its memory: {plans} plans of 8, closed after {took:.0f} s")
    assert plans <= 8


@pytest.mark.timeout(400)
def test_a_redis_that_is_emptied_is_given_its_memory_again(make_fleet: MakeFleet) -> None:
    plans, took = _run_through(
        make_fleet, lambda fleet: fleet.redis.flushall(), append_only=True, seconds=240
    )
    print(f"FLUSHALL: {plans} plans of 8, closed after {took:.0f} s")
    assert plans <= 8


def test_a_redis_that_hangs_for_forty_seconds(make_fleet: MakeFleet) -> None:
    def fault(fleet: BrokenFleet) -> None:
        fleet.server.signal(signal.SIGSTOP)
        time.sleep(40)
        fleet.server.signal(signal.SIGCONT)

    plans, took = _run_through(make_fleet, fault, append_only=True, seconds=120)
    print(f"Redis hung for 40 s: {plans} plans of 8, closed after {took:.0f} s")
    assert plans <= 8


def test_all_connections_are_cut_again_and_again(make_fleet: MakeFleet) -> None:
    def fault(fleet: BrokenFleet) -> None:
        for _ in range(5):
            fleet.redis.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.7)

    plans, took = _run_through(make_fleet, fault, append_only=True, seconds=120)
    print(f"connections cut five times: {plans} plans of 8, closed after {took:.0f} s")
    # The lease keeps what comes back from running beside itself.
    assert plans <= 8


def test_a_message_that_vanishes_from_the_queue_is_put_back(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.write_quick("a")
    fleet.write_quick("b")
    sweep = fleet.ask("a", "b")
    (queue,) = fleet.redis.keys("driftfleet.checks.*")
    assert fleet.redis.lpop(queue) is not None
    fleet.start_worker()
    record = fleet.closed(sweep, 60)
    assert (len(record.answered), record.missing) == (2, ())


@pytest.mark.alone("of ten seconds it waits for most")
def test_a_redis_that_hangs_under_a_producer_is_told_of_within_ten_seconds(
    make_fleet: MakeFleet, ghe: StandIn
) -> None:
    more = {
        "github": GitHubSettings(url=ghe.url, token="env://THE_TOKEN"),
        "repositories": (RepositoryRule(repo="payments/infra"),),
    }
    fleet = make_fleet(more=more)
    fleet.server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", "from producer.cli import main; main()", "enqueue"],
            env={**process_environment(), **environment_of(fleet.settings), "THE_TOKEN": "x" * 20},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        took = time.monotonic() - began
    finally:
        fleet.server.signal(signal.SIGCONT)
    print(f"{took:.1f} s: {done.stderr}")
    assert "Redis did not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode not in (0, 3)
    assert took < 10


def test_a_worker_whose_clock_is_an_hour_off_takes_nothing_from_others(
    make_fleet: MakeFleet,
) -> None:
    library = require_faketime()
    fleet = make_fleet(concurrency=1)
    roots = [f"root{n}" for n in range(4)]
    for root in roots:
        fleet.write_slow(root, 5)
    for ahead in ("+1h", "-1h"):
        sweep = fleet.ask(*roots, sha=ahead)
        fleet.environment = {}
        fleet.start_worker()
        fleet.environment = {
            "LD_PRELOAD": library, "FAKETIME": ahead, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        fleet.start_worker()
        with fleet.counting_plans() as plans:
            record = fleet.closed(sweep, 120)
        assert (set(record.answered.values()), record.missing) == ({Verdict.UNAPPLIED}, ())
        print(f"a clock {ahead}: {len(plans)} plans of 4")
        assert len(plans) == 4
        now = fleet.ledger.now()
        for answer in fleet.ledger.answers(sweep):
            # Whose clock is wrong doesn't decide which answer is the newer.
            assert abs(fleet.result(answer).finished_at.timestamp() - now) < 120
        fleet.stop()
        fleet.workers.clear()


def test_a_worker_that_was_frozen_past_its_lease_overwrites_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(concurrency=1, visibility_timeout_seconds=10)
    fleet.write_slow("root", 20)
    sweep = fleet.ask("root")
    worker = fleet.start_worker()
    fleet.wait_for_plan()
    frozen = [worker.pid, *(one.pid for one in fleet.processes_of(worker))]
    _signal_all(frozen, signal.SIGSTOP)
    # A second worker, elsewhere: it can't see that the holder is only frozen.
    (key,) = fleet.redis.keys("driftfleet:run:*")
    assert wait_until(lambda: fleet.redis.get(key) is None, 70)
    fleet.write_quick("root")
    fleet.start_worker()
    record = fleet.closed(sweep, 60)
    (answer,) = fleet.ledger.answers(sweep)
    _signal_all(frozen, signal.SIGCONT)
    time.sleep(15)
    assert fleet.ledger.answers(sweep) == [answer]
    latest = fleet.store.latest_of(fleet.result(answer).job)
    assert latest is not None
    assert latest.result == fleet.result(answer)
    assert list(record.answered.values()) == [Verdict.UNAPPLIED]
    assert fleet.store.sweep(sweep) == record


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        # A provider may end while terraform still plans.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
