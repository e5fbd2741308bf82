"""The lease of a check: while somebody works on it nobody else does.

It is given to a token that names the process, so that another one on the same host can see that its
holder is dead, and needn't wait until it ends.
"""

import os
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import RENEW_SECONDS, Ledger

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
# Where Redis was away: before the job, which comes back then, finds the lease over.
_AGAIN_SECONDS = 1.0


class Lease:
    """Renews a lease in a thread of its own for the time of a ``with`` block.

    ``interrupt`` is told, with a reason, until the check ends: ``over()`` has become true, or
    somebody else has the lease. While Redis doesn't answer the check goes on. ``wait`` waits for so
    many seconds, or for the end of the block, and says whether that has come.
    """

    def __init__(
        self,
        job: Job,
        token: str,
        ledger: Ledger,
        over: Callable[[], bool],
        interrupt: Callable[[str], None],
        *,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._job = job
        self._token = token
        self._ledger = ledger
        self._over = over
        self._interrupt = interrupt
        self._ended = threading.Event()
        self._wait = wait or self._ended.wait
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # Not waited for where Redis hangs: it only ever renews what is its own.
        self._thread.join(1)

    def is_ours(self) -> bool:
        """Whether what we found out may be written: a frozen worker's may not.

        Where Redis can't be asked it may: the store keeps the newer of two.
        """
        try:
            return self._ledger.renew(self._job, self._token)
        except BrokerUnavailable:
            return True

    def _run(self) -> None:
        left = float(RENEW_SECONDS)
        reason = ""
        while not self._wait(_LOOK_SECONDS):
            left -= _LOOK_SECONDS
            if not reason and self._over():
                reason = "the worker ends"
            elif not reason and left <= 0:
                left, reason = self._renewed()
            if reason:
                # On and on: one that comes just before a system call is only seen after it.
                self._interrupt(reason)

    def _renewed(self) -> tuple[float, str]:
        """After how many seconds to renew it again; and why to end, where somebody else has it."""
        try:
            ours = self._ledger.renew(self._job, self._token)
        except BrokerUnavailable as error:
            log.warning("lease_not_renewed", reason=error.message)
            return _AGAIN_SECONDS, ""
        return float(RENEW_SECONDS), "" if ours else "somebody else works on it"


def new_token() -> str:
    """A token of this process: host and namespace, process and its start, and a random part."""
    return "|".join((_place(), str(os.getpid()), _started(os.getpid()), secrets.token_hex(6)))


def is_dead(token: str) -> bool:
    """Whether the process that a token names is known to be dead: it was one of this host."""
    parts = token.split("|")
    if len(parts) != 4 or parts[0] != _place() or not re.fullmatch(r"[0-9]{1,10}", parts[1]):
        return False
    return _started(int(parts[1])) != parts[2]


def _place() -> str:
    """This boot of this host, and the namespace in which its process ids count."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty where there is none any more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name in parentheses may hold anything, parentheses too.
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]
