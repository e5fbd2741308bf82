"""Folders that end with their owner."""

import os
import signal
from pathlib import Path

import pytest

from driftfleet.ephemeral import EphemeralFolders
from driftfleet.errors import ConfigurationError


def child_with_folder(parent: Path) -> tuple[int, Path]:
    """A process that makes a folder and waits; its id and the folder."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        folder = EphemeralFolders(parent).create()
        (folder.path / "file").write_text("x")
        os.write(write_end, str(folder.path).encode())
        signal.pause()
    os.close(write_end)
    path = Path(os.read(read_end, 4096).decode())
    os.close(read_end)
    return pid, path


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_folder_is_private_and_removed_with_all_in_it(tmp_path):
    folder = EphemeralFolders(tmp_path / "root").create()
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "a" / "b").mkdir(parents=True)
    (folder.path / "a").chmod(0o500)
    folder.remove()
    folder.remove()
    assert list((tmp_path / "root").iterdir()) == []


def test_a_living_owners_folder_is_left_alone(tmp_path):
    pid, path = child_with_folder(tmp_path)
    try:
        assert EphemeralFolders(tmp_path).sweep() == 0
        assert (path / "file").exists()
    finally:
        end(pid)


def test_a_dead_owners_folder_is_removed(tmp_path):
    pid, path = child_with_folder(tmp_path)
    end(pid)
    assert EphemeralFolders(tmp_path).sweep() == 1
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_our_own_folder_is_not_swept_by_another_holder_in_this_process(tmp_path):
    mine = EphemeralFolders(tmp_path).create()
    assert EphemeralFolders(tmp_path).sweep() == 0
    mine.remove()


def test_only_folders_with_the_prefix_are_swept(tmp_path):
    (tmp_path / "somebody-elses").mkdir()
    assert EphemeralFolders(tmp_path, prefix="driftfleet-").sweep() == 0
    assert (tmp_path / "somebody-elses").exists()


def test_a_symbolic_link_in_the_root_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    EphemeralFolders(root).sweep()
    assert (outside / "file").exists()


def test_sweeping_what_was_never_made_is_no_error(tmp_path):
    assert EphemeralFolders(tmp_path / "none").sweep() == 0


def test_a_parent_that_cannot_be_made_is_said_with_the_setting(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"worker\.writable_root"):
        EphemeralFolders(tmp_path / "file").create()


@pytest.mark.parametrize("depth", [3000])
def test_a_tree_of_any_depth_is_removed(tmp_path, depth):
    folder = EphemeralFolders(tmp_path / "root").create()
    below = os.open(folder.path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=below)
        deeper = os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = deeper
    os.close(os.open("file", os.O_CREAT, dir_fd=below))
    os.fchmod(below, 0)
    os.close(below)
    folder.remove()
    assert list((tmp_path / "root").iterdir()) == []


def test_names_that_are_no_text_are_removed(tmp_path):
    folder = EphemeralFolders(tmp_path / "root").create()
    os.mkdir(os.fsencode(folder.path) + b"/\xff\n")
    Path(os.fsdecode(os.fsencode(folder.path) + b"/\xff\n/\xfe")).touch()
    folder.remove()
    assert list((tmp_path / "root").iterdir()) == []


def test_a_parent_that_is_no_folder_has_nothing_to_sweep(tmp_path):
    (tmp_path / "file").touch()
    assert EphemeralFolders(tmp_path / "file" / "below").sweep() == 0
