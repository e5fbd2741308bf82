"""No process outlives a scan: what its dead workers leave behind becomes its own, and is ended."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
# A worker's runner ends what it runs as soon as the worker is dead: this is for what it can't end.
_GRACE_SECONDS = 2.5
_KILL_SECONDS = 1.0
_POLL_SECONDS = 0.01


@contextlib.contextmanager
def no_orphans() -> Iterator[None]:
    """End, with the block, every process that was started in it by whomever.

    As a subreaper (prctl(2)) this process becomes the parent of all orphans among its descendants.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    strangers = _children()
    try:
        yield
    finally:
        _end(strangers)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _end(strangers: set[int]) -> None:
    started = time.monotonic()
    while left := _children() - strangers:
        spent = time.monotonic() - started
        if spent > _GRACE_SECONDS + _KILL_SECONDS:
            return  # in an uninterruptible sleep; SIGKILL waits for it
        for pid in left:
            # Its parent may be another thread's Popen, which has reaped it in the meantime.
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                if spent > _GRACE_SECONDS:
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_POLL_SECONDS)


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (task / "children").read_text().split())
    return found
