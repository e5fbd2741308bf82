"""Removes folders in which somebody else may still be at work."""

import contextlib
import itertools
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

# More than a tree of a million files takes.
_SECONDS = 120.0
_LOOKED_AFTER = 1000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Refers to a folder whatever its mode is.
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path, seconds: float = _SECONDS) -> None:
    """Remove a folder whatever depth and modes it has; raises nothing, keeps what can't go.

    A provider that still dies may write while we remove, hence the second and third try. One that
    means harm may put links in the place of folders: none is followed, all goes by descriptors. Or
    it may write for ever: after ``seconds`` the rest is left to the next who sweeps.
    """
    deadline = time.monotonic() + seconds
    for _ in range(3):
        _remove(os.fspath(path), deadline)
        if not os.path.lexists(path):
            return


def _remove(top: str, deadline: float) -> None:
    """Empty and remove folders one by one, without recursion.

    `shutil.rmtree` recurses and holds a descriptor a level: a tree of a thousand levels would stay
    for ever. Folders below are moved up beside the first level, so that no path grows long either.
    """
    with contextlib.suppress(OSError), _opened(top) as place:
        numbers = itertools.count()
        waiting, emptied = _emptied(place, place, numbers, deadline), []
        while waiting and time.monotonic() < deadline:
            name = waiting.pop()
            emptied.append(name)
            with contextlib.suppress(OSError), _opened(name, place) as folder:
                waiting += _emptied(folder, place, numbers, deadline)
        for name in reversed(emptied):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=place)
    with contextlib.suppress(OSError):
        os.rmdir(top)


def _emptied(folder: int, place: int, numbers: Iterator[int], deadline: float) -> list[str]:
    """Empty a folder; return the names in ``place`` to which the folders in it were moved."""
    moved = []
    for entry in _entries(folder, deadline):
        with contextlib.suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=folder)
                continue
            # One that can't be written to can't be moved, for its own `..` changes.
            with _opened(entry.name, folder):
                pass
            name = f".{os.getpid()}-{next(numbers)}"
            os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=place)
            moved.append(name)
    return moved


def _entries(folder: int, deadline: float) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, as it was at one moment: what is moved within it is not met again."""
    found = []
    for entry in os.scandir(folder):
        found.append(entry)
        if not len(found) % _LOOKED_AFTER and time.monotonic() > deadline:
            break
    for number, entry in enumerate(found):
        if not number % _LOOKED_AFTER and time.monotonic() > deadline:
            return
        yield entry


@contextlib.contextmanager
def _opened(name: str, parent: int | None = None) -> Iterator[int]:
    """A descriptor of a folder, which is made readable and writable for us."""
    handle = os.open(name, _HANDLE, dir_fd=parent)
    try:
        with contextlib.suppress(OSError):
            os.chmod(f"/proc/self/fd/{handle}", stat.S_IRWXU)
        folder = os.open(".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)
    try:
        yield folder
    finally:
        os.close(folder)
