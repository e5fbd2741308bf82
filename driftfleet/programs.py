"""A program run to its end: bounded in time, its output's end kept, nothing of it left behind."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftfleet import process

_REAPER = Path(__file__).with_name("reaper.py")
_CHUNK = 1 << 16
_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Ended:
    """How a program ended; of each output the last bytes."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class OutOfTime(Exception):
    """A program ran into its deadline and was ended, with all that it started."""

    def __init__(self, stdout: bytes, stderr: bytes) -> None:
        super().__init__("out of time")
        self.stdout = stdout
        self.stderr = stderr


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path,
    deadline: float,
    kept_bytes: int = 64 << 10,
    pass_fds: Sequence[int] = (),
) -> Ended:
    """Run a program in ``folder`` until ``deadline``, a time of ``time.monotonic``.

    Whatever ends it or us, no process that it started lives on. The environment is complete, and
    of either output the last ``kept_bytes`` are kept.

    Raises
    ------
    OutOfTime
        The deadline came first.
    OSError
        Python itself can't be started. A missing program is exit code 127.
    """
    child = process.start(
        [process.PYTHON, "-I", "-S", str(_REAPER), str(os.getpid()), *arguments],
        environment,
        # The reaper is asked, not killed: it has to end what it started.
        death_signal=signal.SIGTERM,
        folder=folder,
        stdout=process.PIPE,
        stderr=process.PIPE,
        pass_fds=pass_fds,
        new_session=True,
    )
    output = _Output(child, kept_bytes)
    try:
        output.follow(deadline)
        # Both outputs have ended with the last process that had them open.
        exit_code = child.wait(max(deadline - time.monotonic(), 0.0) + _STOP_SECONDS)
    except (_Late, process.TimeoutExpired):
        raise OutOfTime(output.stdout, output.stderr) from None
    finally:
        _end(child)
        output.close()
    return Ended(exit_code, output.stdout, output.stderr)


class _Late(Exception):
    """The deadline is over."""


def _end(child: process.Process) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_STOP_SECONDS)
    except process.TimeoutExpired:
        child.kill()
        child.wait()


class _Output:
    """Both pipes of a program; of each what came last."""

    def __init__(self, child: process.Process, kept_bytes: int) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        self._pipes = (child.stdout, child.stderr)
        self._tails = (bytearray(), bytearray())
        self._kept = kept_bytes

    @property
    def stdout(self) -> bytes:
        return bytes(self._tails[0][-self._kept :])

    @property
    def stderr(self) -> bytes:
        return bytes(self._tails[1][-self._kept :])

    def follow(self, deadline: float) -> None:
        """Read until both have ended; raises `_Late` at the deadline."""
        with selectors.DefaultSelector() as selector:
            tails = {}
            for pipe, tail in zip(self._pipes, self._tails, strict=True):
                selector.register(pipe, selectors.EVENT_READ)
                tails[pipe.fileno()] = tail
            while selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise _Late
                for key, _ in selector.select(left):
                    # Not through the buffer, which would wait for a whole chunk.
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        selector.unregister(key.fileobj)
                    tails[key.fd] += data
                    del tails[key.fd][: -self._kept]

    def close(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
