"""Runs the program in its arguments, and leaves nothing of it behind.

    python -I -S reaper.py PARENT PROGRAM [ARGUMENT...]

It is a subreaper (prctl(2)): what the program leaves, even a daemon in a session of its own,
becomes its child and is killed when the program ends, or when SIGTERM asks for the end. It exits as
the program does; with 128 and the signal's number where one ended it. Standard library only.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_AWAITED = (signal.SIGCHLD, signal.SIGTERM)
# Python ignores the first two, and whoever started us may ignore the others: that survives exec.
_RESTORED = (
    signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP,
)  # fmt: skip


def main() -> None:
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)
    # Blocked, they wait until we ask for them: none is lost between the fork and the loop.
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    if os.getppid() != int(sys.argv[1]):
        # It died while its signal was still ignored, as whoever started it may have had it.
        os._exit(128 + signal.SIGTERM)
    own = os.getpid()
    child = os.fork()
    if child == 0:
        _become(sys.argv[2:], own)
    code = 128 + signal.SIGTERM
    while signal.sigwait(_AWAITED) == signal.SIGCHLD:
        ended = _reap(child)
        if ended is not None:
            code = ended if ended >= 0 else 128 - ended
            break
    _end_all()
    # Without Python's own end: nothing is to be flushed, and nothing to be told.
    os._exit(code)


def _become(arguments: list[str], parent: int) -> None:
    try:
        os.setsid()
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if os.getppid() == parent:
            os.execvp(arguments[0], arguments)  # noqa: S606 - it is this program's whole purpose
    except OSError as error:
        os.write(2, f"{arguments[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _reap(child: int) -> int | None:
    """Reap whatever has ended; the exit code of ``child`` if it was among it."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
    return code


def _end_all() -> None:
    """Kill what is below us until nothing is: the children of whom we kill become ours."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        select.select([], [], [], 0.002)


def _children() -> list[int]:
    own, found = os.getpid(), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError):
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name in parentheses may hold anything, parentheses too.
                parent = int(file.read().rpartition(b")")[2].split()[1])
            if parent == own:
                found.append(int(name))
    return found


if __name__ == "__main__":
    main()
