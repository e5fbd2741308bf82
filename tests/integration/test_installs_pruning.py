"""Old versions go when there is too much, the least recently used first, and none that is used."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from driftfleet.installs.folder import Installs
from tests.installers import Clock, Program, says, soon, staged, start


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def three(tmp_path: Path, clock: Clock) -> Installs:
    """1.1.0, 1.2.0 and 1.3.0, installed at an hour's distance in this order."""
    installs = Installs(tmp_path / "installs", Program(tmp_path / "bin").tfenv(), clock=clock)
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        installs.ensure("terraform", version, soon())
        clock.now += 3600
    return installs


def versions(installs: Installs) -> list[str]:
    return [one.version for one in installs.installed()]


def test_the_least_recently_used_go_first_and_only_as_many_as_must(
    three: Installs, clock: Clock
) -> None:
    with three.use("terraform", "1.1.0", soon()):
        clock.now += 60
    size = three.installed()[0].size_bytes
    clock.now += 7200
    assert [one.version for one in three.prune(2 * size, 3600)] == ["1.2.0"]
    assert versions(three) == ["1.3.0", "1.1.0"]
    assert three.prune(2 * size, 3600) == []
    assert staged(three.folder) == []


def test_what_somebody_removes_while_it_is_looked_at_is_not_there(
    three: Installs, tmp_path: Path
) -> None:
    place, looked = three.folder / "terraform" / "1.2.0", threading.Event()

    def remove_and_put_back() -> None:
        while not looked.is_set():
            os.rename(place, tmp_path / "away")
            os.rename(tmp_path / "away", place)

    thread = threading.Thread(target=remove_and_put_back)
    thread.start()
    try:
        seen = [tuple(versions(three)) for _ in range(2_000)]
    finally:
        looked.set()
        thread.join()
    assert {len(one) for one in seen} == {2, 3}


def test_what_was_used_a_moment_ago_stays_whatever_the_bound(three: Installs, clock: Clock) -> None:
    assert three.prune(0, 86400) == []
    clock.now += 86400 - 3 * 3600
    assert [one.version for one in three.prune(0, 86400)] == ["1.1.0"]


def test_what_a_check_uses_is_never_removed(three: Installs, clock: Clock) -> None:
    with three.use("terraform", "1.1.0", soon()) as binary:
        clock.now += 10 * 86400
        assert [one.version for one in three.prune(0, 3600)] == ["1.2.0", "1.3.0"]
        assert says(binary) == "1.1.0"
    # It was used until now.
    assert three.prune(0, 3600) == []
    clock.now += 3600
    assert [one.version for one in three.prune(0, 3600)] == ["1.1.0"]
    assert says(three.ensure("terraform", "1.1.0", soon())) == "1.1.0"


def test_a_process_that_died_uses_nothing(three: Installs, clock: Clock) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tests.installers import open_folder, soon\n"
        "from driftfleet.installs.installer import NoInstaller\n"
        "with open_folder(Path(sys.argv[1]), NoInstaller('')).use('terraform', '1.1.0', soon()):\n"
        "    print('used', flush=True)\n"
        "    time.sleep(600)\n"
    )
    user = start(code, three.folder)
    assert user.stdout is not None
    assert user.stdout.readline() == "used\n"
    # Its clock is the real one.
    clock.now = time.time() + 86400
    assert "1.1.0" not in [one.version for one in three.prune(0, 3600)]
    user.send_signal(signal.SIGKILL)
    user.communicate()
    assert [one.version for one in three.prune(0, 3600)] == ["1.1.0"]
