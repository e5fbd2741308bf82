"""The end of a worker that is told to end: its plans run on for a while, then go to others.

Celery's warm shutdown (TERM) waits for running tasks without a bound, and its soft shutdown sleeps
in a signal handler. So a timer in the main process raises a flag in memory that all pool children
share, and each ends its own plan.
"""

import mmap
import signal
import threading
from types import FrameType
from typing import Any

import structlog
from celery import signals

log = structlog.get_logger()


class Interrupted(BaseException):
    """The check that runs is to end now and goes back; no ``Exception``: nothing may answer it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Drain:
    """Made in the main process before its pool forks."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._flag = mmap.mmap(-1, 1)

    @property
    def over(self) -> bool:
        """Whether running checks are to end now."""
        return self._flag[0] == 1

    def connect(self) -> None:
        """Start the time when Celery begins to shut down. Main process only."""
        signals.worker_shutting_down.connect(self._begin, weak=False)

    def end(self) -> None:
        """Let no check run on."""
        self._flag[0] = 1

    def _begin(self, **_: Any) -> None:
        log.info("worker_drains", seconds=self._seconds)
        timer = threading.Timer(self._seconds, self.end)
        timer.daemon = True
        timer.start()


class Interruption:
    """Ends what the main thread of this process does, from another thread, by a signal.

    Only within ``with``: elsewhere nothing can be interrupted, for what is half stored would be.
    """

    _SIGNAL = signal.SIGUSR2

    def __init__(self) -> None:
        self._open = False
        self._reason = ""

    def __enter__(self) -> "Interruption":
        signal.signal(self._SIGNAL, self._raise)
        self._open = True
        if self._reason:
            self.__exit__()
            raise Interrupted(self._reason)
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False

    def interrupt(self, reason: str) -> None:
        """Raise `Interrupted` in the main thread where it can be, once, however often it is called.

        One that comes just before a system call is only seen after it; another one ends that.
        """
        self._reason = self._reason or reason
        if self._open:
            signal.pthread_kill(threading.main_thread().ident or 0, self._SIGNAL)

    def _raise(self, _signum: int, _frame: FrameType | None) -> None:
        # Without a reason it is late, and meant a check that is over.
        if self._open and self._reason:
            self._open = False
            raise Interrupted(self._reason)
