"""Programs of a check, run through the runner: bounded in time, output and disk."""

import contextlib
import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftfleet import process
from worker.cost import Usage

_RUNNER = Path(__file__).with_name("runner.py")
_WATCH_SECONDS = 0.1
_CHUNK = 1 << 16
_CLOSE_SECONDS = 3.0


class OutputLimit(Exception):
    """A program printed more than its limit."""


class OutOfTime(Exception):
    """A program ran into its check's deadline."""


class RunnerDied(Exception):
    """The runner itself was killed, and what it ran with it."""


@dataclass(frozen=True)
class Command:
    """What to run: ``arguments[0]`` is an absolute path; the environment is complete.

    ``deadline`` is a time of ``time.monotonic``. No file that it writes may pass ``file_bytes``.
    ``watch`` is called several times a second while it runs; what it raises ends the program.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    deadline: float
    output_bytes: int
    file_bytes: int
    watch: Callable[[], None]


@dataclass(frozen=True)
class Completed:
    """How a program ended. ``survivors`` are processes it left behind, killed by then."""

    exit_code: int
    signal: int | None
    stdout: bytes
    stderr: bytes
    survivors: int


class Programs:
    """Runs programs one at a time, through one runner for all of a pool child's checks."""

    def __init__(self, stop_grace_seconds: float) -> None:
        self._grace = stop_grace_seconds
        self._usage = Usage()
        self._runner: process.Process | None = None
        self._channel: socket.socket | None = None
        # Whether the last runner ended out of order: what it ran may have outlived it.
        self.runner_lost = False

    def measure(self) -> Usage:
        """Begin to count anew; what is returned goes on until the next call."""
        self._usage = Usage()
        return self._usage

    def guard(self, workspace: Path | None) -> None:
        """Name the folder that the runner removes should this process die; None for no longer.

        Raises `RunnerDied` where there is something to guard.
        """
        if workspace is not None:
            self._request({"workspace": str(workspace)})
            return
        # A runner that has died since guards nothing any more, which is all that is asked.
        with contextlib.suppress(RunnerDied):
            self._request({"workspace": None})

    def run(self, command: Command) -> Completed:
        """Run a program to its end.

        Raises
        ------
        OutOfTime, OutputLimit
            The limit that ended it.
        RunnerDied
            Someone killed the runner.
        Exception
            Whatever ``watch`` raised. In each case the program and all that it started are gone.
        """
        self.runner_lost = False
        self._usage.begin()
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        try:
            self._request({"run": _request_of(command)}, [out_end, err_end])
        finally:
            os.close(out_end)
            os.close(err_end)
        with _Output(out, err, command.output_bytes) as output:
            return self._follow(command, output)

    def close(self) -> None:
        """End the runner."""
        if self._channel is not None:
            self._channel.close()
        if self._runner is not None:
            with self._usage.waiting():
                try:
                    self._runner.wait(_CLOSE_SECONDS)
                except process.TimeoutExpired:
                    self._runner.kill()  # frozen, or in a fight that it can't win
                self.runner_lost = self._runner.wait() != 0
        self._channel = self._runner = None

    def _follow(self, command: Command, output: "_Output") -> Completed:
        try:
            answer = self._wait(command, output)
        except RunnerDied:
            raise
        except BaseException:
            # A soft time limit or the worker's end can come while we wait, too.
            self._stop()
            raise
        output.drain()
        return Completed(
            exit_code=answer["exit"],
            signal=answer["signal"],
            stdout=bytes(output.stdout),
            stderr=bytes(output.stderr),
            survivors=answer["survivors"],
        )

    def _wait(self, command: Command, output: "_Output") -> Mapping[str, int]:
        assert self._channel is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            output.register(selector)
            watched = time.monotonic()
            while True:
                for key, _ in selector.select(_WATCH_SECONDS):
                    if key.fileobj is not self._channel:
                        output.read(key.fd, selector)
                    elif answer := self._answer():
                        return answer
                now = time.monotonic()
                if now >= command.deadline:
                    raise OutOfTime
                if now - watched >= _WATCH_SECONDS:
                    command.watch()
                    # A large tree takes long to measure: measure it less often.
                    spent = time.monotonic() - now
                    watched = now + 10 * spent

    def _answer(self) -> Mapping[str, int] | None:
        """How the program ended; None where it only was told what it has taken."""
        assert self._channel is not None
        try:
            data = self._channel.recv(4096)
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            raise RunnerDied
        answer = json.loads(data)
        self._usage.add(answer)
        return answer if "exit" in answer else None

    def _stop(self) -> None:
        """End the program that runs; if the runner doesn't manage, end the runner."""
        if self._channel is None:
            return
        try:
            self._request({"stop": self._grace})
            deadline = time.monotonic() + self._grace + _CLOSE_SECONDS
            self._channel.settimeout(self._grace + _CLOSE_SECONDS)
            while self._answer() is None:
                self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            self._channel.settimeout(None)
        except (OSError, RunnerDied):
            self.close()
        except BaseException:
            # A soft time limit: what is half done here would answer for the next program.
            self.close()
            raise

    def _request(self, request: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        message = os.memfd_create("request", os.MFD_CLOEXEC)
        try:
            os.write(message, json.dumps(request).encode())
            with self._usage.waiting():
                is_killed = self._runner is not None and self._runner.poll() is not None
            if is_killed:
                # It was idle; a new one serves as well.
                self.close()
            socket.send_fds(self._connected(), [b"."], [message, *descriptors])
        except ConnectionError as error:
            self.close()
            raise RunnerDied from error
        finally:
            os.close(message)

    def _connected(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._runner = process.start(
                    [process.PYTHON, "-I", "-S", "-B", str(_RUNNER), str(theirs.fileno())],
                    {},
                    death_signal=signal.SIGTERM,
                    pass_fds=[theirs.fileno()],
                    # A Ctrl-C on the terminal is for the worker, which ends its check in order.
                    new_session=True,
                )
            self._channel = ours
        return self._channel


def _request_of(command: Command) -> dict[str, object]:
    return {
        "arguments": list(command.arguments),
        "environment": dict(command.environment),
        "folder": str(command.folder),
        "file_bytes": command.file_bytes,
    }


class _Output:
    """Both pipes of a program, together bounded."""

    def __init__(self, out: int, err: int, limit: int) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._buffers = {out: self.stdout, err: self.stderr}
        self._open = {out, err}
        self._limit = limit

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()

    def register(self, selector: selectors.BaseSelector) -> None:
        for descriptor in self._open:
            selector.register(descriptor, selectors.EVENT_READ)

    def read(self, descriptor: int, selector: selectors.BaseSelector | None = None) -> bool:
        data = os.read(descriptor, _CHUNK)
        if not data:
            if selector:
                selector.unregister(descriptor)
            self._open.discard(descriptor)
            os.close(descriptor)
            return False
        self._buffers[descriptor] += data
        if len(self.stdout) + len(self.stderr) > self._limit:
            raise OutputLimit
        return True

    def drain(self) -> None:
        """Read what is still in the pipes.

        All that the program started is gone by now; but it may have handed a pipe to another
        check's program, and that is not waited for.
        """
        for descriptor in list(self._open):
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                while self.read(descriptor):
                    pass
