"""The ephemeral directory of a check."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from driftfleet.errors import CheckFailed
from tests.conftest import require_program
from tests.workers import wait_until
from worker.workspace import Workspaces


def test_a_workspace_ends_with_its_block_whatever_ends_it(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Workspaces(tmp_path).use(1 << 20) as workspace:
            (workspace.source / "file").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_paths_are_short_enough_for_a_plugins_socket(tmp_path: Path) -> None:
    with Workspaces(tmp_path).use(1 << 20) as workspace:
        assert len(str(workspace.temporary.relative_to(tmp_path))) <= 12


def test_what_else_lies_in_the_writable_root_is_nobodys_leftover(tmp_path: Path) -> None:
    (tmp_path / "cache" / "blobs").mkdir(parents=True)
    (tmp_path / "w0123abcd").mkdir()
    assert Workspaces(tmp_path).sweep() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_the_quota_counts_bytes_on_disk_and_empty_files(tmp_path: Path) -> None:
    with Workspaces(tmp_path).use(1 << 20) as workspace:
        workspace.enforce_quota("plan")
        (workspace.temporary / "big").write_bytes(os.urandom(1 << 20))
        with pytest.raises(CheckFailed) as caught:
            workspace.enforce_quota("plan")
        assert (caught.value.phase, caught.value.kind) == ("plan", "disk_quota")
        assert workspace.peak_bytes >= 1 << 20
    with Workspaces(tmp_path).use(100_000) as workspace:
        for number in range(300):
            (workspace.temporary / str(number)).touch()
        with pytest.raises(CheckFailed):
            workspace.enforce_quota("plan")


def test_a_link_to_the_mirror_does_not_count_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "provider").write_bytes(os.urandom(1 << 20))
    with Workspaces(tmp_path / "w").use(1 << 20) as workspace:
        (workspace.path / "d").symlink_to(tmp_path / "provider")
        workspace.enforce_quota("init")


def test_what_still_runs_in_an_abandoned_workspace_is_ended(tmp_path: Path) -> None:
    abandoned = tmp_path / "wabandoned"
    abandoned.mkdir()
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    inside = subprocess.Popen(sleep, env={"TMPDIR": f"{abandoned}/t"})
    outside = subprocess.Popen(sleep, env={"TMPDIR": f"{abandoned}-not/t"})
    try:
        # Between fork and exec it has our environment still.
        while b"TMPDIR" not in Path(f"/proc/{inside.pid}/environ").read_bytes():
            os.sched_yield()
        # Nothing but the flock says whose it is: none holds this one.
        assert Workspaces(tmp_path).sweep() == 1
        assert inside.wait(60) == -9
        assert outside.poll() is None
        assert not abandoned.exists()
    finally:
        inside.kill()
        outside.kill()
        inside.wait()
        outside.wait()


def test_what_can_not_be_looked_into_may_hold_anything(tmp_path: Path) -> None:
    with Workspaces(tmp_path).use(1 << 20) as workspace:
        deep_tree(workspace.temporary, 10)
        workspace.enforce_quota("plan")
        # Longer than a path may be: it can only be got at step by step.
        deep_tree(workspace.temporary / "second", 30)
        with pytest.raises(CheckFailed) as caught:
            workspace.enforce_quota("plan")
        assert caught.value.kind == "disk_quota"
    assert list(tmp_path.iterdir()) == []


def test_an_isolated_program_is_known_by_what_is_mounted_for_it(tmp_path: Path) -> None:
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    with Workspaces(tmp_path / "with a blank").use(1 << 20) as workspace:
        own = str(workspace.path)
        view = ["--ro-bind", "/", "/", "--bind", own, own, "--unshare-pid"]
        # Its environment says nothing: it may have written over that.
        command = [str(bwrap), "--unshare-user", *view, "sleep", "1000"]
        with subprocess.Popen(command, env={"PATH": os.environ["PATH"]}) as program:
            try:
                assert wait_until(lambda: in_namespace(program.pid, own), 60)
                workspace.end_users()
                assert program.wait(60) != 0
            finally:
                program.kill()


def in_namespace(pid: int, path: str) -> bool:
    """Whether a descendant of a process has the path as a mount."""
    escaped = path.replace(" ", "\\040")
    for child in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(OSError, psutil.Error):
            mounts = Path(f"/proc/{child.pid}/mountinfo").read_text()
            if f" {escaped} " in mounts and child.name() == "sleep":
                return True
    return False


def deep_tree(top: Path, levels: int) -> None:
    top.mkdir(exist_ok=True)
    folder = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 200, dir_fd=folder)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
