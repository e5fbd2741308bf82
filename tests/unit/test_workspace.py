"""The ephemeral directory of a check."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftfleet.errors import CheckFailed
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
        assert inside.wait(5) == -9
        assert outside.poll() is None
        assert not abandoned.exists()
    finally:
        inside.kill()
        outside.kill()
        inside.wait()
        outside.wait()
