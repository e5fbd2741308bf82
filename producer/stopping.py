"""Ctrl-C, TERM and HUP: each ends a scan once, at a moment when it can be ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Someone asked to end; not an ``Exception``, so that nothing on the way takes it for one."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


class Stopping:
    """Holds signals back while processes start and end, and raises `Stopped` between.

    ``raised`` is what it raised, if it did.
    """

    def __init__(self) -> None:
        self._held = True
        self._signum: int | None = None
        self.raised: Stopped | None = None

    def note(self, signum: int, _frame: FrameType | None) -> None:
        """The signal handler. The second signal changes nothing: we are ending already."""
        if self._signum is None:
            self._signum = signum
            if not self._held:
                self._raise(signum)

    def allow(self) -> None:
        """From now on a signal raises at once; one that was held back raises here."""
        if self._signum is not None:
            self._raise(self._signum)
        self._held = False

    def hold(self) -> None:
        """From now on signals wait: what was started is being ended anyway."""
        self._held = True

    def _raise(self, signum: int) -> NoReturn:
        self._held = True
        self.raised = Stopped(signum)
        raise self.raised


@contextmanager
def stopping() -> Iterator[Stopping]:
    """Take the signals for the time of the block, held back at first. Main thread only."""
    stop = Stopping()
    # What nohup or a shell script set to be ignored stays ignored.
    taken = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    before = [signal.signal(s, stop.note) for s in taken]
    try:
        yield stop
    except Exception as error:
        if stop.raised is None:
            raise
        # A library made another one of it on its way: pydantic makes a PydanticSerializationError
        # of whatever is raised while it serialises.
        raise stop.raised from error
    finally:
        for signum, handler in zip(taken, before, strict=True):
            signal.signal(signum, handler)
