"""A check is unique while it waits or runs; caps hold back what shares an account or a bucket."""

import time

from driftfleet.cap_settings import AccountRule, CapSettings
from driftfleet.results import Verdict
from tests.faults.conftest import MakeFleet


def test_the_same_root_three_times_is_planned_once_and_answers_all(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    # It is to run still when it is asked for the third time.
    fleet.write_slow("root", 8)
    first = fleet.ask("root")
    second = fleet.ask("root")
    with fleet.counting_plans() as plans:
        fleet.start_worker()
        fleet.wait_for_plan()
        third = fleet.ask("root")
        records = [fleet.closed(sweep, 60) for sweep in (first, second, third)]
    assert len(plans) == 1
    for record in records:
        assert list(record.answered.values()) == [Verdict.UNAPPLIED]
    # And the next one is planned anew.
    fleet.write_slow("root", 3)
    with fleet.counting_plans() as plans:
        fleet.closed(fleet.ask("root"), 60)
    assert len(plans) == 1


def test_a_newer_commit_replaces_what_waits_and_not_what_runs(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(concurrency=1)
    for root in ("a", "b"):
        fleet.write_slow(root, 8)
    older = fleet.ask("a", "b", sha="1" * 40)
    fleet.start_worker()
    fleet.wait_for_plan()
    # What runs has a copy of its own.
    for root in ("a", "b"):
        fleet.write_slow(root, 3)
    with fleet.counting_plans() as plans:
        newer = fleet.ask("a", "b", sha="2" * 40)
        record = fleet.closed(newer, 60)
    closed = fleet.closed(older, 60)
    assert (len(record.answered), record.superseded, record.missing) == (2, (), ())
    assert (len(closed.answered), len(closed.superseded), closed.missing) == (1, 1, ())
    # One of the older commit ran already, two of the newer.
    assert len(plans) == 3


def test_a_cap_holds_back_and_lets_go_on(make_fleet: MakeFleet) -> None:
    caps = CapSettings(account=2, accounts=(AccountRule(root="prod/**", account="prod"),))
    fleet = make_fleet(concurrency=4, more={"caps": caps})
    for n in range(5):
        fleet.write_slow(f"prod/{n}", 2)
    fleet.write_slow("dev/a", 2)
    roots = [f"prod/{n}" for n in range(5)] + ["dev/a"]
    jobs = [
        fleet.job(root, sweep_id="caps", ref="main").model_copy(
            update={"caps": tuple(caps.names("local/repository", root, None))}
        )
        for root in roots
    ]
    sweep = fleet.ask_for(jobs)
    most = 0

    def look() -> None:
        nonlocal most
        running = [r.title for r in fleet.ledger.running(sweep).values() if "prod/" in r.title]
        most = max(most, len(running))

    began = time.monotonic()
    fleet.start_worker()
    record = fleet.closed(sweep, 90, look)
    print(f"5 of one account at 2 a time: {time.monotonic() - began:.0f} s, {most} at most")
    assert (len(record.answered), record.missing) == (6, ())
    assert most == 2


def test_what_a_dead_holder_held_back_goes_on(make_fleet: MakeFleet) -> None:
    caps = CapSettings(bucket=1)
    fleet = make_fleet(concurrency=2, more={"caps": caps})
    for root in ("a", "b"):
        fleet.write_slow(root, 60)
    jobs = [
        fleet.job(root, sweep_id="held", ref="main").model_copy(update={"caps": ("bucket:states",)})
        for root in ("a", "b")
    ]
    sweep = fleet.ask_for(jobs)
    worker = fleet.start_worker()
    fleet.wait_for_plan()
    # What runs has a copy of its own.
    for root in ("a", "b"):
        fleet.write_slow(root, 3)
    fleet.kill_holder()
    record = fleet.closed(sweep, 120)
    assert (len(record.answered), record.missing) == (2, ())
    assert worker.poll() is None
