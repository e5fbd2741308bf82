"""Who fetches what others want as well: one at a time, and a failure is one for all who wait."""

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from driftfleet.errors import GitHubUnavailable
from driftfleet.locks import acquire, turn

SOON = 60.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


class Waiting:
    """Threads that take a turn; what became of each."""

    def __init__(self, path: str, work: Callable[[], None], count: int) -> None:
        self.worked = 0
        self.errors: list[GitHubUnavailable] = []
        self._path, self._work = path, work
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        while users(path) < count + 1:  # ours is one of them
            os.sched_yield()

    def _run(self) -> None:
        try:
            with turn(self._path, time.monotonic() + SOON):
                self.worked += 1
                self._work()
        except GitHubUnavailable as error:
            self.errors.append(error)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def users(path: str) -> int:
    """How often a file is open in this process."""
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{descriptor}") == path
        except OSError:
            continue
    return found


def nothing() -> None:
    pass


def fail_while_others_wait(
    path: str, count: int, error: Exception, deadline: float = math.inf
) -> Waiting:
    with pytest.raises(type(error)), turn(path, deadline):  # noqa: PT012
        waiting = Waiting(path, nothing, count)
        raise error
    waiting.join()
    return waiting


def test_those_who_wait_fail_with_whom_they_waited_for(path: str) -> None:
    error = GitHubUnavailable("GET /x: no answer, 5 times in a row", retry_after_seconds=90)
    waiting = fail_while_others_wait(path, 4, error)
    assert waiting.worked == 0
    assert {(e.message, e.retry_after_seconds) for e in waiting.errors} == {
        ("GET /x: no answer, 5 times in a row", 90)
    }
    assert len(waiting.errors) == 4


def test_who_comes_afterwards_tries_by_itself(path: str) -> None:
    with pytest.raises(GitHubUnavailable), turn(path, math.inf):
        raise GitHubUnavailable
    with turn(path, math.inf):
        assert os.stat(path).st_size == 0
    assert not os.path.exists(path)


def test_any_other_end_lets_the_next_one_try(path: str) -> None:
    waiting = fail_while_others_wait(path, 3, KeyError())
    assert (waiting.worked, waiting.errors) == (3, [])


def test_who_ran_out_of_its_own_time_fails_alone(path: str) -> None:
    waiting = fail_while_others_wait(path, 3, GitHubUnavailable("no time left"), deadline=0)
    assert (waiting.worked, waiting.errors) == (3, [])


def test_waiting_ends_with_the_deadline(path: str) -> None:
    started = time.monotonic()
    with (
        turn(path, math.inf),
        pytest.raises(GitHubUnavailable, match="another check"),
        turn(path, started + 0.1),
    ):
        raise AssertionError("two hold it")
    assert time.monotonic() - started >= 0.1
    assert not os.path.exists(path)


def test_the_word_of_a_holder_that_was_killed_is_not_believed(path: str) -> None:
    program = (
        "import os, sys, fcntl\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX)\n"
        "os.write(fd, b'[\"down\", 1e9]')\n"
        "print(flush=True)\n"
        "input()\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with turn(path, math.inf):
        assert os.stat(path).st_size == 0


def test_a_link_in_its_place_is_not_followed(path: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    os.symlink(tmp_path / "precious", path)
    with turn(path, math.inf):
        pass
    assert (tmp_path / "precious").read_text() == "x"


def test_shared_ones_exclude_only_the_other_kind(path: str) -> None:
    descriptors = [os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(3)]
    try:
        assert acquire(descriptors[0], 0, shared=True)
        assert acquire(descriptors[1], 0, shared=True)
        assert not acquire(descriptors[2], 0)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
