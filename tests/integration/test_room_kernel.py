"""What a worker's room is worth against a real kernel: cgroups, pools and plans."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import billiard
import psutil
import pytest

from driftfleet.settings import WorkerSettings
from tests import providers
from worker.machine import _groups, available_memory_bytes
from worker.room import Refusal, Room, Ticket
from worker.runner import resident_bytes

MIB = 1 << 20
LIMIT = 200 * MIB


def in_child(function: Callable[[], Any]) -> Any:
    """What ``function`` returns in a process of its own."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException), os.fdopen(theirs, "w") as file:
            json.dump(function(), file)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as file:
        told = file.read()
    os.waitpid(pid, 0)
    return json.loads(told)


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup below our own that limits memory, with another in it that does not."""
    limit = None
    for own in reversed(list(_groups(Path("/proc")))):
        outer = own / f"driftfleet-test-{os.getpid()}"
        with contextlib.suppress(OSError):
            (outer / "inner").mkdir(parents=True)
            limits = [outer / "memory.limit_in_bytes", outer / "memory.max"]
            limit = next((path for path in limits if path.exists()), None)
            if limit is not None:
                limit.write_text(str(LIMIT))
                yield outer
        for folder in (outer / "inner", outer):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if limit is not None:
            return
    pytest.skip("no cgroup with a limit of memory can be made here")


def test_of_a_real_cgroup_what_is_not_used_is_available(group: Path, tmp_path: Path) -> None:
    def measure() -> list[int]:
        (group / "inner" / "cgroup.procs").write_text(str(os.getpid()))
        found = [available_memory_bytes()]
        held = os.urandom(50 * MIB)
        found.append(available_memory_bytes())
        with (tmp_path / "file").open("wb") as file:
            file.write(held)
            os.fsync(file.fileno())
        found.append(available_memory_bytes())
        return found

    empty, holding, with_a_file = in_child(measure)
    assert LIMIT - 20 * MIB < empty <= LIMIT
    assert 45 * MIB < empty - holding < 60 * MIB
    # The pages of a file are cache, which goes when memory is wanted.
    assert abs(holding - with_a_file) < 15 * MIB
    assert available_memory_bytes() > LIMIT


def test_a_plan_is_refused_for_a_limit_of_its_cgroup(group: Path, tmp_path: Path) -> None:
    settings = WorkerSettings(writable_root=tmp_path, memory_reserve_bytes=0, min_free_bytes=0)
    room = Room(settings)
    assert isinstance(room.admit(100 * MIB), Ticket)

    def admitted() -> list[bool]:
        (group / "inner" / "cgroup.procs").write_text(str(os.getpid()))
        return [isinstance(room.admit(wanted * MIB), Ticket) for wanted in (50, 250)]

    assert in_child(admitted) == [True, False]


def test_children_of_celerys_pool_see_each_others_reservations(tmp_path: Path) -> None:
    room = Room(WorkerSettings(writable_root=tmp_path, min_free_bytes=0))
    context = billiard.get_context("fork")
    more_than_there_is = available_memory_bytes() * 2
    ours, theirs = context.Pipe()
    go_on, asked = context.Pipe()

    def plan() -> None:
        with room.admit(more_than_there_is):
            theirs.send("planning")
            asked.recv()
        theirs.send("done")
        asked.recv()

    planning = context.Process(target=plan)
    planning.start()
    assert ours.recv() == "planning"
    assert in_child(lambda: isinstance(room.admit(more_than_there_is), Refusal)) is True
    go_on.send("go on")
    assert ours.recv() == "done"
    assert in_child(lambda: isinstance(room.admit(more_than_there_is), Ticket)) is True
    planning.terminate()
    planning.join()


def test_what_a_process_and_those_below_it_hold_is_seen(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "held = b'x' * (40 << 20)\n"
        'code = \'import time; held = "x" * (60 << 20); open("ready", "w"); time.sleep(60)\'\n'
        "subprocess.run([sys.executable, '-c', code])\n"
    )
    before = resident_bytes(os.getpid())
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as running:
        providers.eventually((tmp_path / "ready").exists)
        held = resident_bytes(os.getpid()) - before
        below = resident_bytes(running.pid)
        for one in psutil.Process(running.pid).children():
            one.kill()
        running.kill()
    assert 100 * MIB <= held < 180 * MIB
    assert 60 * MIB <= below < 100 * MIB
