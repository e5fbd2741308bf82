"""A folder of small files under a bound: least recently used out. Shared by processes.

A writer may be killed at any moment, and the disk may be full: what is read back is for the caller
to verify. Nothing is synced, for a lost file is only fetched again.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_STAGED = ".staged-"
_WRITTEN = ".written"
_LOCK = ".trimming"
_STALE_SECONDS = 3600.0
_TOUCH_SECONDS = 3600.0
_MAKE_ROOM_SECONDS = 60.0
# What the file `_WRITTEN` grows by a byte for.
_UNIT = 64 << 10
_BLOCK = 4096
_KEPT = 0.8


class _File(NamedTuple):
    used_at: float
    size: int
    path: str


class BoundedFolder:
    """Files by name (at least three characters, no slash), in folders of their first two.

    Files together exceed ``limit_bytes`` by little and not for long. How much there is is known
    only roughly between two scans: a file that all processes append a byte to for each 64 KiB
    they write has that size.
    """

    def __init__(
        self, folder: Path, limit_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.limit_bytes = limit_bytes
        self._folder = os.fspath(folder)
        self._clock = clock
        self._unnoted = 0
        self._made_room_at = -_MAKE_ROOM_SECONDS

    def size(self, name: str) -> int | None:
        """How many bytes a file has, None where there is none. It counts as used now."""
        path = self._path(name)
        try:
            status = os.stat(path)
        except OSError:
            return None
        self._touch(path, status)
        return status.st_size

    def get(self, name: str) -> bytes | None:
        """What was written there, if it is still there and whole."""
        path = self._path(name)
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                content = file.readall()
        except OSError:
            return None
        self._touch(path, status)
        return content

    def put(self, name: str, content: bytes) -> bool:
        """Write a file at once or not at all; False where the disk doesn't take it.

        A full disk first gets a fifth of what is here back.
        """
        if _rounded(len(content)) > self.limit_bytes:
            return False
        try:
            self._write(name, content)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._make_room():
                return False
            try:
                self._write(name, content)
            except OSError:
                return False
        self._note(_rounded(len(content)))
        return True

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(name))

    def trim(self, limit_bytes: int | None = None) -> None:
        """Remove the least recently used files down to 80 % of the limit, and stale leftovers.

        One process at a time does; another one's call returns at once.
        """
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        with contextlib.suppress(OSError), self._alone() as alone:
            if not alone:
                return
            files = sorted(self._scan())
            total = sum(file.size for file in files)
            if total > limit:
                for file in files:
                    if total <= limit * _KEPT:
                        break
                    with contextlib.suppress(OSError):
                        os.unlink(file.path)
                    total -= file.size
            with open(f"{self._folder}/{_WRITTEN}", "ab") as written:
                written.truncate(total // _UNIT)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name[:2]}/{name[2:]}"

    def _write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        # Renamed into place within its folder: a reader sees all of it or nothing.
        staged = f"{os.path.dirname(path)}/{_STAGED}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(staged, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            descriptor = os.open(staged, flags, 0o600)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                _write_all(file.fileno(), content)
            os.rename(staged, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(staged)
            raise

    def _touch(self, path: str, status: os.stat_result) -> None:
        now = self._clock()
        if now - status.st_mtime > _TOUCH_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path, (now, now))

    def _note(self, size: int) -> None:
        """Count what was written, and trim where that may exceed the limit."""
        self._unnoted += size
        units, self._unnoted = divmod(self._unnoted, _UNIT)
        if not units:
            return
        with contextlib.suppress(OSError):
            with open(f"{self._folder}/{_WRITTEN}", "ab", buffering=0) as written:
                written.write(bytes(units))
                total = os.fstat(written.fileno()).st_size * _UNIT
            if total > self.limit_bytes:
                self.trim()

    def _make_room(self) -> bool:
        now = self._clock()
        if now - self._made_room_at < _MAKE_ROOM_SECONDS:
            return False
        self._made_room_at = now
        self.trim(sum(file.size for file in self._scan()) - 1)
        return True

    def _scan(self) -> Iterator[_File]:
        """Every file with its size on disk. Leftovers of dead writers are removed."""
        now = self._clock()
        for shelf in _entries(self._folder):
            if len(shelf.name) != 2 or not shelf.is_dir(follow_symlinks=False):
                continue
            for entry in _entries(shelf.path):
                try:
                    status = entry.stat(follow_symlinks=False)
                    # By age: a process id means nothing in another container.
                    if entry.name.startswith(_STAGED):
                        if now - status.st_mtime > _STALE_SECONDS:
                            os.unlink(entry.path)
                        continue
                except OSError:
                    continue
                yield _File(status.st_mtime, _rounded(status.st_size), entry.path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        descriptor = os.open(
            f"{self._folder}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)


def _rounded(size: int) -> int:
    """What a file of that size takes on most disks."""
    return max(-(-size // _BLOCK), 1) * _BLOCK


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
