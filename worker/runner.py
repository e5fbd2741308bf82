"""The runner: a tiny process between a pool child and the programs of its checks.

    python -I -S runner.py SOCKET_FD

It starts one program at a time for the pool child at the other end of the socket and never lets one
outlive its check. It is a subreaper (prctl(2)): what a program leaves behind, even a daemon in a
session of its own, becomes the runner's child and is killed when the program ends. When the pool
child dies, however it dies, the socket ends: the runner kills all, removes the check's workspace
and exits. Standard library only, and few modules: it starts in every pool child.

Requests are JSON in a memory file whose descriptor is sent along (an environment can be longer than
a datagram); answers are JSON datagrams:

    {"run": {"arguments", "environment", "folder", "file_bytes"}} + [request, stdout, stderr]
                               -> {"exit": CODE, "signal": N or null, "survivors": N}
    {"stop": GRACE_SECONDS} + [request]
    {"workspace": PATH or null} + [request]
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


class Runner:
    """Serves one pool child over ``channel`` until it goes away."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._workspace: str | None = None
        self._child: int | None = None
        # (when, signal) still to be sent to the program, soonest first.
        self._signals: list[tuple[float, int]] = []

    def serve(self) -> None:
        """Answer requests; on the other side's end kill all and remove the workspace."""
        wakeup, wakeup_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._channel.close())
        try:
            while self._channel.fileno() >= 0 and self._step(wakeup):
                pass
        finally:
            self._end_all()
            if self._workspace:
                import shutil  # noqa: PLC0415 - only a dying runner needs it

                shutil.rmtree(self._workspace, ignore_errors=True)

    def _step(self, wakeup: int) -> bool:
        wait = max(0.0, self._signals[0][0] - time.monotonic()) if self._signals else None
        try:
            ready = self._wait(wakeup, wait)
        except (OSError, ValueError):
            return False
        if wakeup in ready:
            os.read(wakeup, 4096)
            self._reap()
        if self._channel.fileno() in ready and not self._receive():
            return False
        self._send_due_signals()
        return True

    def _wait(self, wakeup: int, seconds: float | None) -> list[int]:
        return select.select([self._channel.fileno(), wakeup], [], [], seconds)[0]

    def _receive(self) -> bool:
        _, descriptors, _, _ = socket.recv_fds(self._channel, 16, 3)
        if not descriptors:
            return False
        with os.fdopen(descriptors[0], "rb") as request_file:
            request_file.seek(0)
            request = json.load(request_file)
        if "run" in request:
            self._start(request["run"], *descriptors[1:])
        elif "stop" in request:
            self._stop(float(request["stop"]))
        else:
            self._workspace = request["workspace"]
        return True

    def _start(self, run: dict, stdout: int, stderr: int) -> None:  # type: ignore[type-arg]
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                _become(run, parent, stdout, stderr)
            except OSError as error:
                os.write(2, f"{run['arguments'][0]}: {error.strerror}\n".encode())
            finally:
                os._exit(127)
        os.close(stdout)
        os.close(stderr)
        self._child, self._signals = child, []

    def _stop(self, grace_seconds: float) -> None:
        """TERM now, again soon (a young terraform ignores the first), then KILL."""
        if self._child is None:
            return  # it ended while the request was on its way; its answer is already sent
        now = time.monotonic()
        self._signals = [
            (now, signal.SIGTERM),
            (now + grace_seconds / 4, signal.SIGTERM),
            (now + grace_seconds, signal.SIGKILL),
        ]

    def _send_due_signals(self) -> None:
        while self._child and self._signals and self._signals[0][0] <= time.monotonic():
            _, number = self._signals.pop(0)
            # To terraform alone at first: it ends its providers itself, and cleanly.
            send = os.killpg if number == signal.SIGKILL else os.kill
            with contextlib.suppress(ProcessLookupError):
                send(self._child, number)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    self._finish(os.waitstatus_to_exitcode(status))

    def _finish(self, code: int) -> None:
        self._child, self._signals = None, []
        survivors = kill_descendants()
        answer = {
            "exit": code if code >= 0 else 128 - code,
            "signal": -code if code < 0 else None,
            "survivors": survivors,
        }
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps(answer).encode())

    def _end_all(self) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child, signal.SIGKILL)
        kill_descendants()


def _become(run: dict, parent: int, stdout: int, stderr: int) -> None:  # type: ignore[type-arg]
    """In the forked child: become the program. Nothing of the worker's is inherited."""
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, 256)
    signal.set_wakeup_fd(-1)
    # Python ignores two of these and a pool child a third; an ignored signal survives exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_FSIZE, (run["file_bytes"], run["file_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # As where people apply: `archive_file` packs the modes of files. Nobody else gets this far in:
    # the workspace's own folder is closed to them.
    os.umask(0o022)
    os.chdir(run["folder"])
    os.execve(run["arguments"][0], run["arguments"], run["environment"])  # noqa: S606


def kill_descendants() -> int:
    """Kill and reap until nothing is left; return how many there were."""
    seen: set[int] = set()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return len(seen)
        if pid:
            continue
        for descendant in _descendants():
            seen.add(descendant)
            with contextlib.suppress(ProcessLookupError):
                os.kill(descendant, signal.SIGKILL)
        # A killed process is a moment in dying; a fork bomb needs another round.
        select.select([], [], [], 0.002)


def _descendants() -> list[int]:
    """The ids of all processes below this one, from the parents that /proc names."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The name in parentheses may hold anything, parentheses too.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def main() -> None:
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        channel.set_inheritable(False)
        Runner(channel).serve()


if __name__ == "__main__":
    main()
