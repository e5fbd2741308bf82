"""Folders that end with their owner, however it ends.

A folder belongs to whoever holds the lock (flock(2)) on it. The kernel drops the lock when the
owner dies, so a dead owner's folder is known without its process id: ids are used again, and mean
nothing in another container that shares the disk. The folder itself is locked, so no lock file is
left over.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.removal import remove_tree


class Ephemeral:
    """A folder of one's own; ``remove`` gives it back."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    def remove(self) -> None:
        """Remove the folder with all that is in it; again is harmless."""
        if self.lock < 0:
            return
        try:
            remove_tree(self.path)
        finally:
            lock, self.lock = self.lock, -1
            os.close(lock)


class EphemeralFolders:
    """Makes ephemeral folders under ``parent`` and removes those of dead owners."""

    def __init__(self, parent: Path, prefix: str = "") -> None:
        self.parent = parent
        self._prefix = prefix

    def create(self) -> Ephemeral:
        """Make a folder (mode 0700) that is ours until we remove it or die.

        Raises
        ------
        ConfigurationError
            The parent can't be made or written to.
        """
        try:
            self.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self.parent):
                # Short: unix sockets below it may not exceed 107 bytes.
                path = self.parent / f"{self._prefix}{secrets.token_hex(4)}"
                path.mkdir(mode=0o700)
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise ConfigurationError(
                f"no folder can be made in {self.parent}: {error.strerror}; "
                "name a writable one with worker.writable_root (DRIFTFLEET_WORKER__WRITABLE_ROOT)"
            ) from error
        return Ephemeral(path, lock)

    def abandoned(self) -> list[Ephemeral]:
        """The folders whose owner is dead, now owned by the caller, who is to remove them."""
        found: list[Ephemeral] = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _locked(self.parent):
            for entry in os.scandir(self.parent):
                if entry.name.startswith(self._prefix) and entry.is_dir(follow_symlinks=False):
                    folder = _take(Path(entry.path))
                    if folder is not None:
                        found.append(folder)
        return found

    def sweep(self) -> int:
        """Remove what dead owners left; return how many folders that were."""
        folders = self.abandoned()
        for folder in folders:
            folder.remove()
        return len(folders)


def _take(path: Path) -> Ephemeral | None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return Ephemeral(path, lock)


@contextlib.contextmanager
def _locked(parent: Path) -> Iterator[None]:
    """Hold the parent's lock: between a folder's making and its locking nobody may sweep."""
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
