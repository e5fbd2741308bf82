"""stdout that tells in words when it takes nothing more, and streams that were closed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from driftfleet.errors import DriftfleetError


class OutputFailed(DriftfleetError):
    """What we print can't be written."""


class Output(io.TextIOWrapper):
    """stdout. A pipe that nobody reads stays a `BrokenPipeError`; all else is `OutputFailed`."""

    def write(self, text: str, /) -> int:
        # So click finds out what a stream is; unbuffered, even that fails where a disk is full.
        if text == "":
            return 0
        with self._told():
            return super().write(text)
        raise AssertionError("not reached")

    def flush(self) -> None:
        with self._told():
            super().flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            # What is buffered would be tried once more at the end of the process, and told again.
            discard(self)
            raise OutputFailed(f"stdout can't be written to: {error.strerror}") from error


def discard(stream: TextIO) -> None:
    """Let what is still to be written to ``stream`` go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_streams() -> None:
    """Make stdout an `Output`, and see to it that the three standard streams are open.

    Else the next file or socket that is opened would take the number of a closed one, and get what
    is printed. A closed stdout refuses what is written to it, as it would for any other program.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(taken := os.open(os.devnull, flags), number)
            if taken != number:
                os.close(taken)
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(_writer(2), "utf-8", "backslashreplace", line_buffering=True)
    before = sys.stdout
    if before is None:
        sys.stdout = Output(_writer(1), "utf-8")
    elif isinstance(before, io.TextIOWrapper) and not isinstance(before, Output):
        encoding, errors = before.encoding, before.errors
        by_line, at_once = before.line_buffering, before.write_through
        sys.stdout = Output(
            before.detach(), encoding, errors, line_buffering=by_line, write_through=at_once
        )


def _writer(number: int) -> io.BufferedWriter:
    return io.BufferedWriter(io.FileIO(number, "wb", closefd=False))
