"""Folders in which somebody is still at work are removed, and nothing else is."""

import os
import signal
from pathlib import Path

from driftfleet.removal import remove_tree
from tests.unit.test_workspace import deep_tree


def test_depth_and_modes_are_no_obstacle(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    deep_tree(top, 1500)
    for name, mode in (("closed", 0), ("unreadable", 0o300), ("unwritable", 0o500)):
        (top / name / "below").mkdir(parents=True)
        (top / name / "below" / "file").touch()
        (top / name).chmod(mode)
    top.chmod(0)
    remove_tree(top)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_is_put_in_the_place_of_a_folder_leads_nowhere(tmp_path: Path) -> None:
    """A program of another check may hold a descriptor of this one's folder."""
    victim, top = tmp_path / "victim", tmp_path / "top"
    (victim / "folder").mkdir(parents=True)
    (victim / "folder" / "file").touch()
    victim.chmod(0o755)
    remover = os.getpid()
    top.mkdir()
    attacker = os.fork()
    if attacker == 0:
        # Where folders are moved to, as fast as it can.
        number = 0
        while True:
            for name in range(400):
                try:
                    os.rename(top / f".{remover}-{name}", top / f"taken-{number}")
                    number += 1
                    os.symlink(victim, top / f".{remover}-{name}")
                except OSError:
                    continue
    try:
        for _ in range(5):
            top.mkdir(exist_ok=True)
            for name in range(200):
                (top / str(name) / "below").mkdir(parents=True, exist_ok=True)
            # It makes more than can be removed: that ends, too.
            remove_tree(top, seconds=1)
    finally:
        os.kill(attacker, signal.SIGKILL)
        os.waitpid(attacker, 0)
    assert (victim / "folder" / "file").exists()
    assert victim.stat().st_mode & 0o777 == 0o755
    remove_tree(top)
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
