"""Where a meter's samples go: out of this process without waiting, or nowhere."""

import os
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from driftfleet.metrics.sample import Sample, encode, lost
from driftfleet.metrics.table import LOST_AS_UNKNOWN, LOST_IN_BUFFER

# Some thousand samples: what a busy minute has, should nobody read meanwhile.
_BUFFER_BYTES = 1 << 20


class Outlet(Protocol):
    """Takes samples. It never raises and never waits."""

    def put(self, samples: Sequence[Sample]) -> None:
        """Hand samples on, or lose them."""


class Nowhere:
    """An `Outlet` where nobody wants metrics."""

    def put(self, samples: Sequence[Sample]) -> None:
        """They go nowhere."""


class Kept:
    """An `Outlet` that keeps what it is given."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def put(self, samples: Sequence[Sample]) -> None:
        self.samples += samples


class Datagrams:
    """An `Outlet` into a socket that the main process reads. Processes that are forked share it.

    What the buffer doesn't take is lost, and how much is told with the next that it takes.
    """

    def __init__(self, writer: socket.socket) -> None:
        writer.setblocking(False)
        writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._writer = writer
        self._lost: Counter[str] = Counter()
        self._process = os.getpid()

    def put(self, samples: Sequence[Sample]) -> None:
        if self._process != os.getpid():
            # Forked: what the parent lost, the parent tells.
            self._process, self._lost = os.getpid(), Counter()
        told = +self._lost
        try:
            datagram = encode([*samples, *(lost(where, count) for where, count in told.items())])
        except (ValueError, TypeError):  # no number
            self._lost[LOST_AS_UNKNOWN] += len(samples)
            return
        try:
            self._writer.send(datagram, socket.MSG_NOSIGNAL)
        except OSError:
            self._lost[LOST_IN_BUFFER] += len(samples)
        else:
            self._lost -= told
