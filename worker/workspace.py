"""The ephemeral directory of a check: one writable tree, bounded in bytes, given back always."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from driftfleet.ephemeral import Ephemeral, EphemeralFolders
from driftfleet.errors import CheckFailed, Phase

# A tree of empty files costs inodes and no bytes: each entry counts for something.
_ENTRY_BYTES = 512
_KILL_SECONDS = 5.0


class Workspace:
    """A check's folders. The names are short because unix sockets lie below them."""

    def __init__(self, folder: Ephemeral, limit_bytes: int) -> None:
        self._folder = folder
        self.limit_bytes = limit_bytes
        self.peak_bytes = 0
        self._unseen: list[str] = []
        self.path = folder.path
        self.source = folder.path / "s"
        self.home = folder.path / "h"
        self.temporary = folder.path / "t"
        self.cli_config = folder.path / "c"
        self.plan = folder.path / "p"
        for path in (self.source, self.home, self.temporary):
            path.mkdir(mode=0o700)

    def measure(self) -> int:
        """The bytes on disk now; the highest is kept as the peak."""
        used = sum(_used_bytes(self.path, self._unseen.append))
        self.peak_bytes = max(self.peak_bytes, used)
        return used

    def enforce_quota(self, phase: Phase) -> None:
        """Raise `CheckFailed` (``disk_quota``) where the workspace holds more than it may.

        So does a folder that can't be looked into, for anything might be in it. Nobody needs one
        that is closed to its owner, or that has a longer path than can be named.
        """
        if self.measure() >= self.limit_bytes:
            raise quota_exceeded(phase, self.limit_bytes)
        if self._unseen:
            path = self._unseen[0].removeprefix(str(self.path))
            raise CheckFailed(
                phase,
                "disk_quota",
                "the check made a folder that can't be looked into, so that nobody knows what is "
                f"in it, and was ended: {path[:200]} in its workspace; look at what the root "
                "writes while it plans",
            )

    def end_users(self) -> None:
        """End the processes that were started to work here: for when their runner can't."""
        _kill_users_of([self.path])

    def remove(self) -> None:
        """Give the disk back."""
        self._folder.remove()


class Workspaces:
    """Makes workspaces under the one writable root and clears what dead workers left there."""

    def __init__(self, root: Path) -> None:
        # With a prefix, for the cache lies in the same folder and is nobody's leftover. A short
        # one, for the sake of the sockets.
        self._folders = EphemeralFolders(root, prefix="w")

    @contextlib.contextmanager
    def use(self, limit_bytes: int) -> Iterator[Workspace]:
        """A workspace for the time of one check."""
        self.sweep()
        folder = self._folders.create()
        try:
            yield Workspace(folder, limit_bytes)
        finally:
            folder.remove()

    def sweep(self) -> int:
        """Remove the workspaces of dead workers, and end what still runs in them.

        A living neighbour's workspace is locked by it and left alone. Returns how many there were.
        """
        folders = self._folders.abandoned()
        if folders:
            _kill_users_of([folder.path for folder in folders])
        for folder in folders:
            folder.remove()
        return len(folders)


def quota_exceeded(phase: Phase, limit_bytes: int) -> CheckFailed:
    """The failure of a check that wants more disk than it may have."""
    return CheckFailed(
        phase,
        "disk_quota",
        f"the check wrote more than its {limit_bytes:,} bytes of disk and was ended; "
        "raise limits.workspace_bytes, or look at what the root downloads or writes while it plans",
    )


def _used_bytes(folder: Path, unseen: Callable[[str], None]) -> Iterator[int]:
    """The bytes of everything below; ``unseen`` is told what can't be looked into."""
    pending = [str(folder)]
    while pending:
        path = pending.pop()
        try:
            entries = list(os.scandir(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            unseen(path)
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                is_folder = entry.is_dir(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:
                unseen(entry.path)
                continue
            yield max(status.st_blocks * 512, _ENTRY_BYTES)
            if is_folder:
                pending.append(entry.path)


def _kill_users_of(folders: list[Path]) -> None:
    """End processes whose TMPDIR is in one of the workspaces, and wait until they are gone.

    A runner does this by itself. Here is for the case that it was killed. An isolated program may
    have written over its environment; what is mounted for it is not its to change.
    """
    marks = [b"TMPDIR=" + os.fsencode(folder / "t") for folder in folders]
    mounted = {re.sub(rb"[ \t\n\\]", _octal, os.fsencode(folder)) for folder in folders}
    deadline = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < deadline:
        found = [
            pid for pid in _own_processes() if _has_variable(pid, marks) or _sees(pid, mounted)
        ]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _own_processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.getuid():
                    yield int(entry.name)


def _octal(match: re.Match[bytes]) -> bytes:
    """As /proc/PID/mountinfo has what would end a field."""
    return b"\\%03o" % match[0][0]


def _sees(pid: int, mounted: Collection[bytes]) -> bool:
    """Whether one of the folders is a mount of its own for a process."""
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_bytes().splitlines()
    except OSError:
        return False
    return any(line.split(b" ", 5)[4] in mounted for line in lines)


def _has_variable(pid: int, marks: list[bytes]) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(mark in environment for mark in marks)
