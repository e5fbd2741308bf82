"""The lock of one version: who installs it, who uses it, when it was last used.

A file a version, never removed. Checks hold it shared; who installs or removes holds it alone. Its
time of modification is when the version was last used.
"""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from driftfleet.errors import InstallRefused, InstallUnavailable
from driftfleet.locks import acquire, try_acquire

_MOST_BYTES = 1 << 16
_FLAGS = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class VersionLock:
    """``what`` (``terraform 1.5.7``) is for people, and so is what its holder does with it."""

    def __init__(self, path: Path, what: str, doing: str = "being installed") -> None:
        self._path = path
        self._what = what
        self._doing = doing

    @contextlib.contextmanager
    def installing(self, deadline: float) -> Iterator[None]:
        """Hold it alone, to install.

        Whoever fails within the block fails those who have waited for it as well: each of them
        would spend its time on the same, one after the other.

        Raises
        ------
        InstallUnavailable, InstallRefused
            What failed whom we waited for; or the time is over.
        OSError
            There is no place for the lock.
        """
        with _opened(self._path, os.O_RDWR | _FLAGS) as descriptor:
            before = _word(descriptor)
            if not try_acquire(descriptor):
                if not acquire(descriptor, deadline):
                    raise InstallUnavailable(
                        f"{self._what} is {self._doing} by another check, which was not done "
                        "when the time was over"
                    )
                if (word := _word(descriptor)) != before:
                    _raise_again(word)
            try:
                yield
            except (InstallRefused, InstallUnavailable) as failure:
                # After our own deadline it says nothing of those who have more time.
                if time.monotonic() < deadline:
                    _leave(descriptor, failure)
                raise
            os.ftruncate(descriptor, 0)

    @contextlib.contextmanager
    def using(self, deadline: float) -> Iterator[None]:
        """Hold it shared, for as long as a check runs. Without a place for it there is none.

        Raises `InstallUnavailable` where the time is over.
        """
        descriptor = self._open_to_use()
        if descriptor is None:
            # A file system that is read-only: then nobody removes the version, either.
            yield
            return
        try:
            if not acquire(descriptor, deadline, shared=True):
                raise InstallUnavailable(
                    f"{self._what} is being installed or removed, and was still when the time "
                    "was over"
                )
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def removing(self) -> Iterator[bool]:
        """Hold it alone if nobody has it; says whether that is so. Raises `OSError`."""
        with _opened(self._path, os.O_RDWR | _FLAGS) as descriptor:
            yield try_acquire(descriptor)

    def touch(self, now: float) -> None:
        """Note that the version is used now, a time of ``time.time``."""
        with contextlib.suppress(OSError):
            os.utime(self._path, (now, now), follow_symlinks=False)

    def used_at(self) -> float | None:
        """When it was last used; None where nobody ever locked it."""
        try:
            return os.lstat(self._path).st_mtime
        except OSError:
            return None

    def _open_to_use(self) -> int | None:
        for flags in (os.O_RDWR | _FLAGS, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW):
            with contextlib.suppress(OSError):
                return os.open(self._path, flags, 0o600)
        return None


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _word(descriptor: int) -> bytes:
    return os.pread(descriptor, _MOST_BYTES, 0)


def _leave(descriptor: int, failure: InstallRefused | InstallUnavailable) -> None:
    """Tell those who wait. A number makes the word another one than the last."""
    word = json.dumps(
        [secrets.token_hex(8), isinstance(failure, InstallRefused), failure.message]
    ).encode()
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, word, 0)


def _raise_again(word: bytes) -> None:
    try:
        _, refused, message = json.loads(word)
    except ValueError:
        # It went well for whom we waited for, or it was killed while it wrote.
        return
    raise (InstallRefused if refused else InstallUnavailable)(message)
