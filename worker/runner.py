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
              -> {"exit": CODE, "signal": N or null, "survivors": N, "cpu_seconds", "memory_bytes"}
    {"stop": GRACE_SECONDS} + [request]
    {"workspace": PATH or null} + [request]

While a program runs {"cpu_seconds", "memory_bytes"} tells a few times a second what it has taken by
then: a killed runner can't say so any more.
"""

import collections
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
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
# Not every kernel tells (CONFIG_PROC_CHILDREN).
_CHILDREN_TOLD = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
# Often at first: most that `init` runs is over soon.
_FIRST_SAMPLE_SECONDS = 0.03
_SAMPLE_SECONDS = 0.25
# Of a large tree less often: a hundredth of the time at most is for looking.
_SAMPLE_SHARE = 100


class Usage:
    """What the programs of one run have taken: CPU in all, and memory when it was most."""

    def __init__(self) -> None:
        self.told = {"cpu_seconds": 0.0, "memory_bytes": 0}
        self.next_sample = time.monotonic() + _FIRST_SAMPLE_SECONDS
        self._pause = _FIRST_SAMPLE_SECONDS
        self._reaped_seconds = 0.0

    def add(self, reaped: resource.struct_rusage) -> None:
        """Count a process that has ended, and with it the children that it waited for."""
        self._reaped_seconds += reaped.ru_utime + reaped.ru_stime
        self._raise(self._reaped_seconds, reaped.ru_maxrss * 1024)

    def sample(self) -> None:
        """Look at what lives now."""
        started = time.process_time()
        cpu_seconds, memory_bytes = _taken(os.getpid())
        self._raise(self._reaped_seconds + cpu_seconds, memory_bytes)
        self._pause = min(2 * self._pause, _SAMPLE_SECONDS)
        spent = time.process_time() - started
        self.next_sample = time.monotonic() + max(self._pause, _SAMPLE_SHARE * spent)

    def _raise(self, cpu_seconds: float, memory_bytes: int) -> None:
        # CPU too: that of a process whose parent waits for nobody is lost with it.
        self.told["cpu_seconds"] = max(self.told["cpu_seconds"], cpu_seconds)
        self.told["memory_bytes"] = max(self.told["memory_bytes"], memory_bytes)


class Runner:
    """Serves one pool child over ``channel`` until it goes away."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._workspace: str | None = None
        self._child: int | None = None
        self._usage = Usage()
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
        due = [self._signals[0][0]] if self._signals else []
        if self._child is not None:
            due.append(self._usage.next_sample)
        try:
            ready = self._wait(wakeup, max(0.0, min(due) - time.monotonic()) if due else None)
        except (OSError, ValueError):
            return False
        if wakeup in ready:
            os.read(wakeup, 4096)
            self._reap()
        if self._channel.fileno() in ready and not self._receive():
            return False
        self._send_due_signals()
        self._sample_if_due()
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
        self._child, self._signals, self._usage = child, [], Usage()

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

    def _sample_if_due(self) -> None:
        if self._child is None or time.monotonic() < self._usage.next_sample:
            return
        self._usage.sample()
        # Whoever is too busy to read it will be told the next one.
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps(self._usage.told).encode(), socket.MSG_DONTWAIT)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._usage.add(usage)
                if pid == self._child:
                    self._finish(os.waitstatus_to_exitcode(status))

    def _finish(self, code: int) -> None:
        self._child, self._signals = None, []
        survivors = kill_descendants(self._usage.add)
        answer = {
            "exit": code if code >= 0 else 128 - code,
            "signal": -code if code < 0 else None,
            "survivors": survivors,
            **self._usage.told,
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


def kill_descendants(add: Callable[[resource.struct_rusage], None] = lambda _: None) -> int:
    """Kill and reap until nothing is left; return how many there were.

    ``add`` is given what each of them has taken.
    """
    seen: set[int] = set()
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return len(seen)
        if pid:
            add(usage)
            continue
        for descendant in _descendants(os.getpid()):
            seen.add(descendant)
            with contextlib.suppress(ProcessLookupError):
                os.kill(descendant, signal.SIGKILL)
        # A killed process is a moment in dying; a fork bomb needs another round.
        select.select([], [], [], 0.002)


def resident_bytes(pid: int) -> int:
    """The memory of all that lives below a process now; what they share counts for each."""
    return _taken(pid)[1]


def _taken(pid: int) -> tuple[float, int]:
    """The CPU seconds, so far, and the resident bytes of all that lives below a process."""
    ticks = pages = 0
    for descendant in _descendants(pid):
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = _stat(descendant)
            # Of a process itself and of the children that it waited for (proc_pid_stat(5)).
            ticks += sum(map(int, fields[11:15]))
            pages += int(fields[21])
    return ticks / _TICKS, pages * _PAGE_BYTES


def _descendants(pid: int) -> list[int]:
    """The ids of all processes below one."""
    children_of = _told_children if _CHILDREN_TOLD else _children_by_parent().__getitem__
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children_of(queue.pop())
        found += below
        queue += below
    return found


def _told_children(pid: int) -> list[int]:
    """The children of each of a process's threads; of one that has ended none."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _children_by_parent() -> collections.defaultdict[int, list[int]]:
    """All processes of the machine, by the parents that /proc names."""
    children = collections.defaultdict(list)
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError):
            children[int(_stat(int(name))[1])].append(int(name))
    return children


def _stat(pid: int) -> list[bytes]:
    """A process's fields from its state on, which is the third."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name in parentheses may hold anything, parentheses too.
        return file.read().rpartition(b")")[2].split()


def main() -> None:
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        channel.set_inheritable(False)
        Runner(channel).serve()


if __name__ == "__main__":
    main()
