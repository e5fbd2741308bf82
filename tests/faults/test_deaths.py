"""Workers die: nothing is lost, what ran twice is said, and after how long it is back."""

import signal
import time

import psutil
import pytest

from driftfleet.results import ErrorKind, Verdict
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import kill_group
from tests.workers import hand_to_standing_children, users_of, wait_until


@pytest.mark.parametrize("victim", ["pool child", "main", "group"])
def test_a_killed_workers_check_runs_again(make_fleet: MakeFleet, victim: str) -> None:
    fleet = make_fleet()
    fleet.write_slow("root", 60)
    sweep = fleet.ask("root")
    worker = fleet.start_worker()
    with fleet.counting_plans() as plans:
        fleet.wait_for_plan()
        # What runs has a copy of its own.
        fleet.write_slow("root", 4)
        killed = time.monotonic()
        if victim == "pool child":
            fleet.kill_holder()
        elif victim == "main":
            worker.kill()
            worker.wait()
            fleet.start_worker()
        else:
            kill_group(worker)
            fleet.start_worker()
        record = fleet.closed(sweep, 90)
    print(f"{victim} killed: back after {time.monotonic() - killed:.1f} s, {len(plans)} plans")
    assert (list(record.answered.values()), record.missing) == ([Verdict.UNAPPLIED], ())
    # The one that was killed, and the one that answered.
    assert len(plans) == 2


@pytest.mark.timeout(400)
def test_with_the_settings_as_they_are_a_dead_hosts_check_is_back_within_two_and_a_half_minutes(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(visibility_timeout_seconds=120)
    fleet.write_slow("root", 60)
    sweep = fleet.ask("root")
    worker = fleet.start_worker()
    fleet.wait_for_plan()
    fleet.write_slow("root", 3)
    # Another host: nobody sees that the holder of the lease is dead.
    (key,) = fleet.redis.keys("driftfleet:run:*")
    token = fleet.redis.get(key).split(b"|")
    fleet.redis.set(key, b"|".join([b"elsewhere", *token[1:]]), keepttl=True)
    kill_group(worker)
    killed = time.monotonic()
    fleet.start_worker()
    record = fleet.closed(sweep, 200)
    back = time.monotonic() - killed - 3
    print(f"begun again after {back:.0f} s")
    assert list(record.answered.values()) == [Verdict.UNAPPLIED]
    assert back < 150


class TestEnding:
    def test_term_lets_a_short_plan_finish(self, make_fleet: MakeFleet) -> None:
        fleet = make_fleet(drain_seconds=40, visibility_timeout_seconds=120)
        fleet.write_slow("root", 5)
        sweep = fleet.ask("root")
        worker = fleet.start_worker()
        with fleet.counting_plans() as plans:
            fleet.wait_for_plan()
            worker.terminate()
            assert worker.wait(60) == 0
        assert len(plans) == 1
        assert fleet.closed(sweep, 60).missing == ()

    def test_term_ends_a_long_plan_after_the_grace_and_it_is_back_at_once(
        self, make_fleet: MakeFleet
    ) -> None:
        fleet = make_fleet(drain_seconds=3, visibility_timeout_seconds=120)
        fleet.write_slow("root", 90)
        sweep = fleet.ask("root")
        worker = fleet.start_worker()
        fleet.wait_for_plan()
        told = time.monotonic()
        worker.terminate()
        worker.wait(60)
        ended = time.monotonic() - told
        assert 2.5 < ended < 30
        assert users_of(fleet.settings.worker.writable_root) == []
        fleet.write_slow("root", 5)
        fleet.start_worker()
        fleet.wait_for_plan()
        print(
            f"ended after {ended:.1f} s, begun again {time.monotonic() - told - ended:.1f} s later"
        )
        assert fleet.closed(sweep, 90).missing == ()
        # It was innocent: its tries are not used up.
        assert fleet.log.read_text().count("check_given_back") == 1

    def test_a_job_that_its_child_has_not_taken_yet_is_answered_and_nobody_waits_for_it(
        self, make_fleet: MakeFleet
    ) -> None:
        """Celery forgets it then, and never reads how it ended."""
        fleet = make_fleet(drain_seconds=3)
        fleet.write_quick("root")
        worker = fleet.start_worker()
        fleet.wait_ready()
        sweeps: list[str] = []
        children = hand_to_standing_children(
            worker, fleet.redis, lambda: sweeps.append(fleet.ask("root"))
        )
        worker.terminate()
        assert wait_until(lambda: "worker_drains" in fleet.log.read_text(), 60)
        time.sleep(1)
        for child in children:
            child.resume()
        assert worker.wait(25) == 0
        fleet.start_worker()
        assert fleet.closed(sweeps[0], 60).missing == ()

    def test_quit_ends_it_at_once_and_a_second_changes_nothing(self, make_fleet: MakeFleet) -> None:
        fleet = make_fleet(visibility_timeout_seconds=120)
        fleet.write_slow("root", 8)
        sweep = fleet.ask("root")
        worker = fleet.start_worker()
        other = fleet.start_worker()
        fleet.wait_for_plan()
        victim = worker if fleet.planning()[0].pid in {
            one.pid for one in fleet.processes_of(worker)
        } else other  # fmt: skip
        victim.send_signal(signal.SIGQUIT)
        time.sleep(0.3)
        victim.send_signal(signal.SIGQUIT)
        victim.wait(60)
        assert wait_until(lambda: len(fleet.planning()) == 1, 60)
        assert fleet.closed(sweep, 90).missing == ()


class TestPoison:
    def test_a_job_that_kills_its_pool_child_is_answered_after_three_deaths(
        self, make_fleet: MakeFleet
    ) -> None:
        fleet = make_fleet(concurrency=1)
        fleet.write_slow("root", 60)
        sweep = fleet.ask("root")
        worker = fleet.start_worker()
        killed: list[psutil.Process] = []

        def kill() -> None:
            child = fleet.holder()
            if child is not None and child not in killed:
                child.kill()
                killed.append(child)

        record = fleet.closed(sweep, 120, kill)
        assert list(record.answered.values()) == [Verdict.ERROR]
        (answer,) = fleet.ledger.answers(sweep)
        error = fleet.result(answer).error
        assert error is not None
        assert error.kind is ErrorKind.WORKER_LOST
        assert len(killed) == 3
        assert worker.poll() is None

    @pytest.mark.timeout(400)
    def test_a_job_that_kills_its_whole_worker_is_answered_after_three_deaths(
        self, make_fleet: MakeFleet
    ) -> None:
        fleet = make_fleet(concurrency=1)
        fleet.write_slow("root", 60)
        fleet.write_quick("other")
        sweep = fleet.ask("root")
        fleet.start_worker()
        deaths = 0

        def kill() -> None:
            nonlocal deaths
            if fleet.planning():
                kill_group(fleet.workers[-1])
                deaths += 1
                fleet.start_worker()

        record = fleet.closed(sweep, 200, kill)
        assert list(record.answered.values()) == [Verdict.ERROR]
        assert deaths == 3
        # And it stands in nobody's way.
        other = fleet.ask("other")
        assert list(fleet.closed(other, 90).answered.values()) == [Verdict.UNAPPLIED]
