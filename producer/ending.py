"""The end of a producer that is told to end: what it does runs on for a while, and is then ended.

Celery's warm shutdown (TERM) waits without a bound, and a sync of the mirror may take hours.
Nothing is lost: a sweep is found due again by a later tick, and a sync at its next time.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import structlog
from celery import signals
from celery.worker import state

log = structlog.get_logger()

# From the word to end to the end: what is half done is removed meanwhile.
_GRACE_SECONDS = 10.0


class Ending:
    """Ends the tasks of this process's pool, ``seconds`` after Celery begins to shut down."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def connect(self) -> None:
        """Be told when that is. Main process only."""
        signals.worker_shutting_down.connect(self._begin, weak=False)

    def _begin(self, **_: Any) -> None:
        log.info("producer_drains", seconds=self._seconds)
        # As a soft time limit ends them, for which all of them are prepared.
        _after(self._seconds, signal.SIGUSR1)
        _after(self._seconds + _GRACE_SECONDS, signal.SIGKILL)


def _after(seconds: float, number: signal.Signals) -> None:
    timer = threading.Timer(seconds, _signal_all, (number,))
    timer.daemon = True
    timer.start()


def _signal_all(number: signal.Signals) -> None:
    for pid in _busy():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _busy() -> Iterator[int]:
    """The pool children that do something."""
    for request in list(state.active_requests):
        if request.worker_pid is not None:
            yield request.worker_pid
