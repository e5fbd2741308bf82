"""Locks between the processes and threads of a host; the kernel drops those of the dead."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from driftfleet.errors import GitHubUnavailable

_POLL_SECONDS = 0.02
_MOST_BYTES = 1 << 16


def acquire(
    descriptor: int,
    deadline: float,
    *,
    shared: bool = False,
    poll_seconds: float = _POLL_SECONDS,
) -> bool:
    """Wait for the lock on an open file; False at ``deadline``, a time of ``time.monotonic``.

    Raises `OSError` where the disk has no locks.
    """
    while not try_acquire(descriptor, shared=shared):
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(poll_seconds, left))
    return True


def try_acquire(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock on an open file if nobody has it, and say whether that is so."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def turn(path: str, deadline: float) -> Iterator[None]:
    """Hold the lock file ``path``, which is there only while somebody holds it or waits for it.

    Where GitHub fails its holder, it fails those who wait for it at that moment as well: each of
    them would find out with the same tries, one after the other. Where the disk has no place for a
    lock there is none.

    Raises
    ------
    GitHubUnavailable
        It failed whom we waited for; or the time is over, and somebody else is still at it.
    """
    descriptor = _take(path, deadline)
    if descriptor is None:
        yield
        return
    try:
        yield
    except GitHubUnavailable as error:
        # After our own deadline it says nothing of GitHub.
        if time.monotonic() < deadline:
            _leave(descriptor, error)
        raise
    finally:
        # While it is still ours: whoever waits for it sees that it is gone, and makes one.
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def _take(path: str, deadline: float) -> int | None:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        try:
            if not acquire(descriptor, deadline):
                raise GitHubUnavailable(
                    "another check on this host was fetching the same for all the time there was"
                )
            if os.fstat(descriptor).st_nlink:
                # A holder that was killed between its word and its end left it there.
                os.truncate(descriptor, 0)
                return descriptor
            failure = _left(descriptor)
        except OSError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        # Its holder removed it while we waited.
        os.close(descriptor)
        if failure is not None:
            raise failure


def _leave(descriptor: int, error: GitHubUnavailable) -> None:
    """Tell those who wait. They have the file open, so it needs no name any more."""
    word = json.dumps([error.message, error.retry_after_seconds]).encode()
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, word, 0)


def _left(descriptor: int) -> GitHubUnavailable | None:
    word = os.pread(descriptor, _MOST_BYTES, 0)
    try:
        message, wait = json.loads(word)
    except ValueError:
        return None
    return GitHubUnavailable(message, retry_after_seconds=wait)
