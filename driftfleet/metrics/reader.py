"""The one reader of a service's samples: a thread of its main process."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog

from driftfleet.metrics.sample import DATAGRAM_BYTES, Sample, decode

log = structlog.get_logger()

_END_SECONDS = 2.0


class Sink(Protocol):
    """Publishes samples in threads of its own."""

    def start(self) -> None:
        """Begin to publish."""

    def take(self, samples: Iterable[Sample]) -> None:
        """Note samples, at once."""

    def close(self) -> None:
        """Publish what is left, within seconds."""


class Reader:
    """Hands each datagram's samples to all sinks."""

    def __init__(self, reader: socket.socket, writer: socket.socket, sinks: Sequence[Sink]) -> None:
        self._reader = reader
        self._writer = writer
        self._sinks = sinks
        self._ended = threading.Event()
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="metrics-reader", daemon=True)

    def start(self) -> None:
        """Begin to read, in a thread."""
        for sink in self._sinks:
            sink.start()
        self._thread.start()

    def close(self) -> None:
        """Read what is there, and let the sinks publish it."""
        if self._thread.is_alive():
            self._ended.set()
            with contextlib.suppress(OSError):  # full: then it is awake
                self._writer.send(b"")
            self._thread.join(_END_SECONDS)
        for sink in self._sinks:
            sink.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._take(self._reader.recv(DATAGRAM_BYTES))
        self._reader.setblocking(False)
        try:
            while True:
                self._take(self._reader.recv(DATAGRAM_BYTES))
        except OSError:
            return  # it is empty

    def _take(self, datagram: bytes) -> None:
        if not datagram:
            return
        try:
            samples = decode(datagram)
            for sink in self._sinks:
                sink.take(samples)
        except Exception:  # a sample less is better than none from now on
            if not self._failed:
                log.exception("metrics_not_read")
            self._failed = True
