"""Thirty SIGKILLs over five thousand cheap jobs, two beats, and what is left afterwards."""

import contextlib
import random
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from driftfleet.jobs import CHECK_TASK
from driftfleet.results import Verdict
from driftfleet.settings import LogSettings
from driftfleet.sweep_id import new_sweep_id
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import BrokenFleet, kill_group
from tests.workers import wait_until

_NO_EXPIRY = -1


def _memory_bytes(fleet: BrokenFleet) -> int:
    """What the worker takes: its main process and what it shares with its pool, once.

    Not of programs and libraries: the part of those that is ours grows as others end.
    """
    shares: list[str] = []

    def read() -> bool:
        children = fleet.pool_children(fleet.workers[0])
        pids = [fleet.workers[0].pid, *(one.pid for one in children)]
        # A child that has had its tasks ends, and another one begins.
        with contextlib.suppress(OSError):
            told = "\n".join(Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
            shares[:] = re.findall(r"^Pss_Anon: +(\d+) kB$", told, re.MULTILINE)
        return len(shares) == len(pids) == 1 + fleet.settings.worker.concurrency

    assert wait_until(read, 60), shares
    return sum(map(int, shares)) << 10


def _cheap_jobs(fleet: BrokenFleet, count: int) -> list:  # type: ignore[type-arg]
    """Jobs for folders that aren't there: answered in some milliseconds, with an error."""
    sweep_id = new_sweep_id("storm", datetime.fromtimestamp(fleet.ledger.now(), UTC))
    return [fleet.job(f"gone/{n}", sweep_id=sweep_id) for n in range(count)]


@pytest.mark.timeout(900)
def test_a_storm_of_kills_loses_none_of_five_thousand_jobs(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(concurrency=2)
    chance = random.Random(7)
    jobs = _cheap_jobs(fleet, 5000)
    sweep = fleet.ask_for(jobs)
    for _ in range(2):
        fleet.start_worker()
    fleet.wait_ready(2)
    kills = 0

    def kill() -> None:
        nonlocal kills
        if kills >= 30 or not fleet.ledger.pending(sweep):
            return
        time.sleep(chance.uniform(0.2, 0.9))
        victim = chance.randrange(len(fleet.workers))
        worker = fleet.workers[victim]
        if chance.random() < 0.5:
            with contextlib.suppress(psutil.Error, IndexError):
                chance.choice(fleet.pool_children(worker)).kill()
        else:
            kill_group(worker)
            del fleet.workers[victim]
            fleet.start_worker()
        kills += 1

    record = fleet.closed(sweep, 600, kill)
    took = (record.closed_at - record.started_at).total_seconds()
    print(f"{kills} kills, {len(record.answered)} answered, {took:.0f} s")
    assert kills == 30
    assert (len(record.answered), record.missing, record.superseded) == (5000, (), ())
    answers = fleet.ledger.answers(sweep)
    assert len({answer.check for answer in answers}) == len(answers) == 5000


@pytest.mark.timeout(900)
def test_a_thousand_checks_leave_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(concurrency=2)
    chance = random.Random(11)
    for n in range(8):
        fleet.write_quick(f"quick{n}")
    fleet.write_file("file")
    for kind in ("crash", "child"):
        fleet.write_fault(kind)
    roots = [f"quick{n}" for n in range(8)] * 11 + ["file"] * 2 + ["crash"] * 5 + ["child"] * 5
    sweep_id = new_sweep_id("leak", datetime.fromtimestamp(fleet.ledger.now(), UTC))
    # The hundred in turn, ten times: each at a commit and ref of its own.
    jobs = [
        fleet.job(root, sweep_id=sweep_id, sha=f"{number}-{n}")
        for number in range(10)
        for n, root in enumerate(roots)
    ]
    fleet.start_worker()
    fleet.wait_ready()
    warm = [fleet.job(root, sweep_id="warm-up", sha=f"w{n}") for n, root in enumerate(roots[-30:])]
    fleet.closed(fleet.ask_for(warm), 120)
    before = _memory_bytes(fleet)
    sweep = fleet.ask_for(jobs)
    killed = 0

    def fault() -> None:
        nonlocal killed
        if chance.random() < 0.2 and fleet.planning():
            with contextlib.suppress(psutil.Error, IndexError):
                chance.choice(fleet.planning()).kill()
                killed += 1

    record = fleet.closed(sweep, 800, fault)
    assert (len(record.answered), record.missing) == (len({job.title for job in jobs}), ())
    assert len(fleet.ledger.answers(sweep)) == 1000
    after = _memory_bytes(fleet)
    print(f"{len(jobs)} checks, {killed} plans killed; worker {before >> 20} -> {after >> 20} MB")
    assert after < before * 1.1
    # The idle pool is all that is left of it, once the last message is acknowledged.
    assert wait_until(lambda: not fleet.redis.exists("unacked"), 60)
    assert fleet.planning() == []
    writable = fleet.settings.worker.writable_root
    assert [p for p in writable.rglob("*") if p.name != "cache"] == []
    allowed = (
        "driftfleet:sweep:", "driftfleet:recent", "driftfleet:cost:", "driftfleet:workers",
        "driftfleet:roots:", "driftfleet:report:wanted", "driftfleet:once:", "_kombu.binding",
    )  # fmt: skip
    # No producer runs here: what a tick has asked of it is still there.
    fleet.redis.delete("driftfleet.producer")
    names: list[str] = []

    def only_the_allowed() -> bool:
        # A job that was taken for lost waits a minute for whom it is a second one of.
        names[:] = [key.decode() for key in fleet.redis.scan_iter()]
        return all(name.startswith(allowed) for name in names)

    assert wait_until(only_the_allowed, 120), names
    assert [
        n for n in names if not n.startswith("_kombu") and fleet.redis.ttl(n) == _NO_EXPIRY
    ] == []


@pytest.mark.timeout(300)
def test_a_small_sweep_behind_a_large_one_has_its_fair_share(make_fleet: MakeFleet) -> None:
    # So Celery says in which order it takes them. When each is answered is another matter: a child
    # may have to wait for a processor.
    fleet = make_fleet(concurrency=4, more={"logs": LogSettings(level="debug", format="json")})
    large = new_sweep_id("large", datetime.fromtimestamp(fleet.ledger.now(), UTC))
    small = new_sweep_id("small", datetime.fromtimestamp(fleet.ledger.now(), UTC))
    source = fleet.job("x").source
    # Another repository, whose queue is another.
    other = source.model_copy(update={"repo": f"{source.repo}-small", "ref": ""})
    names = [f"gone/{n}" for n in range(2000)]
    fleet.ask_for([fleet.job(name, sweep_id=large) for name in names])
    fleet.ask_for([fleet.job(name, sweep_id=small, source=other) for name in names[:20]])
    assert fleet.job("x").queue != fleet.job("x", source=other).queue
    fleet.start_worker()
    fleet.closed(small, 120)
    taken = re.findall(
        rf"Task {re.escape(CHECK_TASK)}\[(large|small)-[^]]+\] received", fleet.log.read_text()
    )
    last = [n for n, name in enumerate(taken) if name == "small"][19]
    before = taken[:last].count("large")
    print(f"{before} checks of the large sweep were taken before the small one's twentieth")
    # Of two repositories each has a half: 20 of its own beside 20 of the other; twice that is 80.
    assert before + 20 <= 80
    assert Verdict.ERROR in fleet.store.sweep(small).answered.values()
