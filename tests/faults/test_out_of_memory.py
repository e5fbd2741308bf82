"""Memory: plans start where there is room for them, and a check that has none left is answered."""

import psutil
import pytest

from driftfleet.results import ErrorKind, Verdict
from tests import providers
from tests.faults.conftest import MakeFleet


def test_plans_that_would_not_fit_beside_each_other_run_one_after_the_other(
    make_fleet: MakeFleet,
) -> None:
    # Of each nobody knows what it takes. It is more than there ever is, whatever others on this
    # machine take and give back: only the one plan of a worker may start all the same.
    expected = psutil.virtual_memory().total * 2
    fleet = make_fleet(concurrency=2, plan_memory_bytes=expected)
    # Longer than the other one waits for its end, however late that has come.
    for root in ("a", "b"):
        fleet.write_slow(root, 10)
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, len(fleet.planning()))

    sweep = fleet.ask("a", "b")
    fleet.start_worker()
    assert set(fleet.closed(sweep, 120, look).answered.values()) == {Verdict.UNAPPLIED}
    assert most == 1
    assert "check_waits_for_room" in fleet.log.read_text()
    # Now it is known, and it is little.
    assert set(fleet.closed(fleet.ask("a", "b"), 60, look).answered.values()) == {Verdict.UNAPPLIED}
    assert most == 2


@pytest.mark.timeout(300)
def test_a_check_whose_worker_has_no_memory_left_is_answered_and_its_worker_lives(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(concurrency=1)
    fleet.write_quick("quick")
    # Some 60 MB of JSON, of which Python makes several times as much.
    big = 'join("", [for i in range(30) : format("%01000000d", i)])'
    providers.write_root(
        fleet.repository / "big", f'resource "terraform_data" "this" {{\n  input = {big}\n}}\n'
    )
    worker = fleet.start_worker()
    fleet.closed(fleet.ask("quick"), 60)
    (child,) = fleet.pool_children(worker)
    # Its runner started without a limit, and so do the programs.
    child.rlimit(psutil.RLIMIT_DATA, (160 << 20, -1))
    sweep = fleet.ask("big")
    record = fleet.closed(sweep, 200)
    assert list(record.answered.values()) == [Verdict.ERROR]
    (answer,) = fleet.ledger.answers(sweep)
    error = fleet.result(answer).error
    assert error is not None
    assert error.kind is ErrorKind.OUT_OF_MEMORY
    assert worker.poll() is None
    child.rlimit(psutil.RLIMIT_DATA, (-1, -1))
    assert list(fleet.closed(fleet.ask("quick"), 60).answered.values()) == [Verdict.UNAPPLIED]
