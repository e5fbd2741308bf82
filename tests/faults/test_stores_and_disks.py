"""The store is away, the disk is full, memory ends, time ends."""

import contextlib
import dataclasses
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftfleet.jobs import Limits
from driftfleet.ledger.keys import LATER
from driftfleet.results import ErrorKind, Verdict
from driftfleet.store import open_store
from tests import providers
from tests.conftest import require_program
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet
from tests.s3 import have_keys, running_s3
from tests.s3_proxy import Fault, proxied
from tests.workers import celery_among, wait_until


def _store_folder(fleet: BrokenFleet) -> Path:
    return Path(fleet.settings.results.store.removeprefix("file://"))


def _link_store(fleet: BrokenFleet) -> None:
    """Let the store's folder be a link to one: it can be replaced at once, and nobody writes into
    what stands there for a moment.
    """
    folder = _store_folder(fleet)
    folder.with_name("aside").mkdir()
    folder.symlink_to("aside")


@contextlib.contextmanager
def _away(fleet: BrokenFleet) -> Iterator[None]:
    """A store that takes and gives nothing: a file stands where its folder was."""
    folder = _store_folder(fleet)
    link, file = folder.with_name("link"), folder.with_name("file")
    link.symlink_to("aside")
    file.write_text("")
    file.replace(folder)
    try:
        yield
    finally:
        link.replace(folder)


@pytest.mark.timeout(600)
def test_a_store_that_is_away_for_two_minutes_loses_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    _link_store(fleet)
    fleet.write_slow("slow", 3)
    fleet.write_quick("quick")
    sweep = fleet.ask("slow", "quick")
    fleet.start_worker()
    fleet.wait_for_plan()
    with fleet.counting_plans() as plans, fleet.ticking():
        with _away(fleet):
            time.sleep(120)
            while_away = len(plans)
        back = time.monotonic()
        record = fleet.closed(sweep, 200)
    print(
        f"closed {time.monotonic() - back:.0f} s after the store was back; {while_away} plans "
        f"while it was away, {len(plans)} in all"
    )
    assert (set(record.answered.values()), record.missing) == ({Verdict.UNAPPLIED}, ())
    # Tried again with doubling pauses, not in a circle.
    assert len(plans) <= 16


@pytest.mark.parametrize(
    "fault",
    [Fault("reset"), Fault("reset after", method="PUT")],
    ids=["nothing goes through", "writes are done and not answered"],
)
def test_an_s3_that_is_away_loses_nothing(
    make_fleet: MakeFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    have_keys(monkeypatch)
    with running_s3(tmp_path) as s3, proxied(s3.endpoint) as proxy:
        settings = s3.settings()
        through = settings.s3.model_copy(update={"endpoint": proxy.endpoint})
        fleet = make_fleet(results=settings.model_copy(update={"s3": through}))
        # Whoever asks and looks isn't cut off.
        fleet.store = open_store(settings)
        fleet.write_quick("one")
        fleet.write_quick("two")
        sweep = fleet.ask("one", "two")
        proxy.faults = [dataclasses.replace(fault, times=1 << 20)]
        fleet.start_worker()
        assert wait_until(lambda: "check_tried_again" in fleet.log.read_text(), 60)
        assert fleet.store.sweep(sweep).closed_at is None
        told = next(line for line in fleet.log.read_text().splitlines() if "tried_again" in line)
        assert settings.store in told
        proxy.reset()
        record = fleet.closed(sweep, 60)
    assert (set(record.answered.values()), record.missing) == ({Verdict.UNAPPLIED}, ())
    assert "Traceback" not in fleet.log.read_text()


def test_a_disk_below_the_bound_starts_nothing_says_so_and_goes_on_when_there_is_room(
    make_fleet: MakeFleet,
) -> None:
    bwrap = str(require_program("bwrap", "apt-get install bubblewrap"))
    fleet = make_fleet(min_free_bytes=12 << 20)
    writable = fleet.settings.worker.writable_root
    place = str(writable.parent)
    fleet.prefix = [
        bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
        "--bind", place, place, "--size", str(16 << 20), "--tmpfs", str(writable),
        "--die-with-parent", "--",
    ]  # fmt: skip
    fleet.write_quick("root")
    fleet.start_worker()
    fleet.wait_ready()
    main = celery_among(fleet.processes())[0]
    full = f"/proc/{main.pid}/root{writable}/full"
    subprocess.run(["dd", "if=/dev/zero", f"of={full}", "bs=1M", "count=8"], check=True)
    sweep = fleet.ask("root")
    assert wait_until(lambda: "check_waits_for_room" in fleet.log.read_text(), 60)
    assert fleet.planning() == []
    told = next(line for line in fleet.log.read_text().splitlines() if "waits_for_room" in line)
    assert "worker.min_free_bytes" in told
    Path(full).unlink()
    assert list(fleet.closed(sweep, 60).answered.values()) == [Verdict.UNAPPLIED]


def test_a_full_disk_is_one_checks_error_and_its_neighbour_goes_on(make_fleet: MakeFleet) -> None:
    bwrap = str(require_program("bwrap", "apt-get install bubblewrap"))
    fleet = make_fleet(min_free_bytes=0)
    writable = fleet.settings.worker.writable_root
    place = str(writable.parent)
    fleet.prefix = [
        bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
        "--bind", place, place, "--size", str(8 << 20), "--tmpfs", str(writable),
        "--die-with-parent", "--",
    ]  # fmt: skip
    providers.write_root(fleet.repository / "large", providers.fault_root("write", megabytes=20))
    for root in ("a", "b", "c"):
        fleet.write_quick(root)
    sweep = fleet.ask("large")
    fleet.start_worker()
    fleet.closed(sweep, 60)
    (answer,) = fleet.ledger.answers(sweep)
    error = fleet.result(answer).error
    assert error is not None
    assert (error.kind, error.transient) == (ErrorKind.DISK_FULL, True)
    after = fleet.ask("a", "b", "c")
    assert set(fleet.closed(after, 60).answered.values()) == {Verdict.UNAPPLIED}


def test_a_passing_error_is_tried_again_without_a_slot_and_then_answered(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(concurrency=1, attempts=2)
    root = fleet.repository / "unreachable"
    backend = 'terraform {\n  backend "http" {\n    address = "http://127.0.0.1:9/state"\n'
    backend += "    retry_max = 0\n  }\n}\n"
    providers.write_root(root, backend)
    fleet.write_quick("other")
    sweep = fleet.ask("unreachable")
    fleet.start_worker()
    assert wait_until(lambda: fleet.redis.zcard(LATER) == 1, 60), fleet.log.read_text()
    assert "check_tried_again" in fleet.log.read_text()
    # Its slot is free meanwhile, however long that is: it comes back when we say so.
    (waiting,) = fleet.redis.zrange(LATER, 0, -1)
    fleet.redis.zadd(LATER, {waiting: float("inf")}, xx=True)
    other = fleet.ask("other")
    assert list(fleet.closed(other, 60).answered.values()) == [Verdict.UNAPPLIED]
    assert fleet.store.sweep(sweep).closed_at is None
    fleet.redis.zadd(LATER, {waiting: 0}, xx=True)
    record = fleet.closed(sweep, 60)
    assert list(record.answered.values()) == [Verdict.ERROR]
    (answer,) = fleet.ledger.answers(sweep)
    error = fleet.result(answer).error
    assert error is not None
    assert error.kind is ErrorKind.BACKEND_UNREACHABLE
    assert fleet.result(answer).job.attempt == 2


def _with_margins(*, soft: int, hard: int) -> Callable[[list[str]], list[str]]:
    """Celery's own limits come so soon after the worker's usual one."""
    code = (
        "import sys, driftfleet.celery_app as app; "
        f"app._SOFT_MARGIN_SECONDS, app._HARD_MARGIN_SECONDS = {soft}, {hard}; "
        "from celery.__main__ import main; sys.exit(main())"
    )

    def rewrite(arguments: list[str]) -> list[str]:
        place = arguments.index("-m")
        return [*arguments[:place], "-c", code, *arguments[place + 2 :]]

    return rewrite


class TestLimits:
    def test_a_check_past_its_own_limit_is_answered_and_leaves_nothing(
        self, make_fleet: MakeFleet
    ) -> None:
        fleet = make_fleet()
        fleet.write_slow("root", 60)
        fleet.start_worker()
        job = fleet.job("root", sweep_id="limit", timeout_seconds=2)
        sweep = fleet.ask_for([job])
        fleet.closed(sweep, 60)
        (answer,) = fleet.ledger.answers(sweep)
        error = fleet.result(answer).error
        assert error is not None
        assert error.kind is ErrorKind.TIMEOUT

    def test_celerys_soft_limit_is_answered_as_the_checks_own(self, make_fleet: MakeFleet) -> None:
        fleet = make_fleet(concurrency=1, more={"limits": Limits(timeout_seconds=2)})
        fleet.write_slow("root", 60)
        sweep = fleet.ask_for([fleet.job("root", sweep_id="soft", timeout_seconds=600)])
        fleet.rewrite = _with_margins(soft=3, hard=60)
        fleet.start_worker()
        fleet.closed(sweep, 60)
        (answer,) = fleet.ledger.answers(sweep)
        error = fleet.result(answer).error
        assert error is not None
        assert error.kind is ErrorKind.TIMEOUT

    def test_celerys_hard_limit_loses_nothing(self, make_fleet: MakeFleet) -> None:
        """It kills the pool child and acknowledges the message: only the ledger knows of it."""
        fleet = make_fleet(concurrency=1, more={"limits": Limits(timeout_seconds=2)})
        fleet.write_slow("root", 60)
        fleet.write_quick("other")
        sweep = fleet.ask_for([fleet.job("root", sweep_id="hard", timeout_seconds=600)])
        # Time for a plan to begin, and for us to see it, before the soft one comes.
        fleet.rewrite = _with_margins(soft=15, hard=18)
        worker = fleet.start_worker()
        fleet.wait_for_plan()
        # It can't follow its soft limit.
        (child,) = fleet.pool_children(worker)
        child.suspend()
        assert wait_until(lambda: "Hard time limit" in fleet.log.read_text(), 60)
        record = fleet.closed(sweep, 150)
        assert list(record.answered.values()) == [Verdict.ERROR]
        (answer,) = fleet.ledger.answers(sweep)
        error = fleet.result(answer).error
        assert error is not None
        assert error.kind is ErrorKind.TIMEOUT
        assert worker.poll() is None
        other = fleet.ask("other")
        assert list(fleet.closed(other, 60).answered.values()) == [Verdict.UNAPPLIED]
