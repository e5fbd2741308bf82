"""Objects as files under one folder."""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from driftfleet.errors import StoreUnavailable
from driftfleet.locks import acquire
from driftfleet.store.objects import Listed

_LOCK = ".lock"
_LOCK_SECONDS = 10.0
# It is held for a rename: who waits has it soon.
_POLL_SECONDS = 0.001
_FOLDER_TRIES = 10


class FileObjects:
    """An `ObjectStore` in a folder; keys are paths below it.

    One lock file makes each write one step for all processes, whatever host they are on, where the
    disk's locks are theirs, too. ``lock_seconds`` is how long a write waits for it.
    """

    def __init__(self, folder: Path, lock_seconds: float = _LOCK_SECONDS) -> None:
        self._folder = folder
        self._lock_seconds = lock_seconds

    def put(self, key: str, body: bytes) -> None:
        with self._staged(key, body) as staged, self._lock(key):
            os.replace(staged, self._folder / key)

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        with self._staged(key, body) as staged, self._lock(key):
            present = self.get_tagged(key)
            if (present[1] if present else None) != tag:
                return False
            os.replace(staged, self._folder / key)
            return True

    def get(self, key: str) -> bytes | None:
        try:
            return (self._folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f"{self._folder / key}: {error.strerror}") from error

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        body = self.get(key)
        return None if body is None else (body, hashlib.sha256(body).hexdigest())

    def delete(self, key: str) -> None:
        path = self._folder / key
        if not os.path.lexists(path):
            return
        with self._explained(f"did not remove {key}"), self._lock(key):
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                # An empty folder is no object.
                if path.parent != self._folder:
                    path.parent.rmdir()

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        base = self._folder / prefix.rpartition("/")[0]
        found = (
            (Path(folder) / name).relative_to(self._folder).as_posix()
            for folder, _, names in os.walk(base, onerror=_refuse_to_guess)
            for name in names
            if not name.startswith(".")
        )
        return iter(sorted(key for key in found if key.startswith(prefix) and key > after))

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        for key in self.keys(prefix, after):
            if found := self.stat(key):
                yield Listed(key, f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}")

    def describe(self, key: str) -> str:
        return str(self._folder / key)

    def stat(self, key: str) -> os.stat_result | None:
        """What the disk says of an object's file; None where it is gone. Raises as `get` does."""
        try:
            return (self._folder / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f"{self._folder / key}: {error.strerror}") from error

    @contextlib.contextmanager
    def _staged(self, key: str, body: bytes) -> Iterator[Path]:
        """The body in a file beside its place; gone at the end, unless it was renamed.

        Renamed into place: a reader sees the old one or the new one, never half of one.
        """
        path = self._folder / key
        staged = path.with_name(f".{secrets.token_hex(4)}.tmp")
        with self._explained(f"did not take {key}"):
            try:
                _write_below(staged, body)
                yield staged
            finally:
                with contextlib.suppress(OSError):
                    staged.unlink()

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        descriptor = self._open_lock()
        try:
            deadline = time.monotonic() + self._lock_seconds
            if not acquire(descriptor, deadline, poll_seconds=_POLL_SECONDS):
                raise StoreUnavailable(
                    f"the result store {self._folder} can't be changed ({key}): another process "
                    f"has held {self._folder / _LOCK} for {self._lock_seconds:.0f} s"
                )
            try:
                yield
            finally:
                # A process that was forked meanwhile has the file open, and would keep the lock.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        path = self._folder / _LOCK
        try:
            # Over a network only a file that is open for writing can be locked alone.
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except PermissionError:
            # Somebody else's, such as of a command that root ran once.
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(
                f"the result store {self._folder} {what}: {error.strerror}"
            ) from error


def _write_below(path: Path, body: bytes) -> None:
    for tries_left in reversed(range(_FOLDER_TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            # The kernel's own stamp is up to 4 ms old: two writes would have the same.
            now = time.time_ns()
            os.utime(path, ns=(now, now))
        except (FileNotFoundError, FileExistsError):
            # Who removed the last object in the folder has removed that, too, at any moment.
            if not tries_left:
                raise
        else:
            return


def _refuse_to_guess(error: OSError) -> None:
    """What can't be listed isn't empty; a folder that is not there is."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StoreUnavailable(f"{error.filename}: can't be listed: {error.strerror}") from error
