"""The end of a producer that is told to end: what it does runs on for a while, and is then ended.

Celery's warm shutdown (TERM) waits without a bound, and a sync of the mirror may take hours.
Nothing is lost: a sweep is found due again by a later tick, and a sync at its next time.
"""

import contextlib
import os
import signal
import threading
from typing import Any

import structlog
from celery import signals

log = structlog.get_logger()

# From the word to end to the end: what is half done is removed meanwhile.
_GRACE_SECONDS = 10.0


class Ending:
    """Ends what this process's pool still does ``seconds`` after Celery begins to shut down."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._worker: Any = None

    def connect(self) -> None:
        """Be told when that is. Main process only."""
        signals.worker_init.connect(self._remember, weak=False)
        signals.worker_shutting_down.connect(self._begin, weak=False)

    def _remember(self, sender: Any, **_: Any) -> None:
        self._worker = sender

    def _begin(self, **_: Any) -> None:
        log.info("producer_drains", seconds=self._seconds)
        # As a soft time limit ends them, for which all of them are prepared.
        self._after(self._seconds, signal.SIGUSR1)
        self._after(self._seconds + _GRACE_SECONDS, signal.SIGKILL)

    def _after(self, seconds: float, number: signal.Signals) -> None:
        timer = threading.Timer(seconds, self._signal_all, (number,))
        timer.daemon = True
        timer.start()

    def _signal_all(self, number: signal.Signals) -> None:
        # Not only those of the requests that Celery knows of: it forgets one that no child had
        # accepted yet. A child with nothing to do has ended long ago.
        with contextlib.suppress(AttributeError):  # the pool is gone
            for pid in self._worker.pool.info["processes"]:
                _signal(pid, number)


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal a child that still runs, and no process that has its number by now."""
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            os.kill(pid, number)
