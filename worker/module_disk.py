"""What lies beside the mirrors: who uses one, what is known of it, and how much they take."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from driftfleet.locks import acquire, try_acquire
from driftfleet.removal import remove_tree
from worker.module_git import out_of_time


@dataclass(frozen=True)
class State:
    """What is known of a mirror: for which sweeps it was brought up to date, and its size.

    ``failed_until`` is the time of day before which no check tries again.
    """

    sweeps: tuple[str, ...] = ()
    bytes: int = 0
    failed_until: float = 0.0


class Mirror(NamedTuple):
    """A mirror and its size."""

    path: Path
    bytes: int


class Locks:
    """Locks between the processes of a host: the kernel drops a dead one's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def hold(self, name: str, *, shared: bool = False, deadline: float) -> Iterator[None]:
        """Wait for a lock. Raises `CheckFailed` at ``deadline``, of ``time.monotonic``."""
        descriptor = self._open(name)
        try:
            if not acquire(descriptor, deadline, shared=shared):
                raise out_of_time()
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def try_hold(self, name: str) -> Iterator[bool]:
        """Take a lock if nobody else has it, and say whether that is so."""
        descriptor = self._open(name)
        try:
            yield try_acquire(descriptor)
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._folder / name, flags, 0o600)


def read_state(path: Path) -> State | None:
    """What is known of a mirror; None where it was never fetched to its end."""
    try:
        fields = json.loads((path / "state.json").read_bytes())
        return State(
            sweeps=tuple(str(sweep) for sweep in fields["sweeps"]),
            bytes=int(fields["bytes"]),
            failed_until=float(fields["failed_until"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_state(path: Path, state: State) -> None:
    """Note what is known of a mirror, in one step."""
    staged = path / ".state.json.new"
    staged.write_text(json.dumps(asdict(state)))
    staged.replace(path / "state.json")


def remove(path: Path) -> None:
    """Remove a mirror; one that is half removed when we die passes for none."""
    for name in ("state.json", "config"):
        with contextlib.suppress(OSError):
            (path / name).unlink()
    remove_tree(path)


def fallow(folder: Path) -> list[Mirror]:
    """All mirrors, the one first that was not used for the longest time."""
    found: list[tuple[float, Mirror]] = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                continue
            path = Path(entry.path)
            state = read_state(path)
            try:
                used = (path / "state.json").stat().st_mtime
            except OSError:
                used = 0.0
            # One that was never finished has no size on record.
            size = state.bytes if state and state.bytes else size_of(path)
            found.append((used, Mirror(path, size)))
    return [mirror for _, mirror in sorted(found)]


def size_of(folder: Path) -> int:
    """The bytes on disk below a folder."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError):
            for entry in os.scandir(waiting.pop()):
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return total
