"""Becomes the program in its arguments, after asking Linux to end it with its parent.

    python -I -S lifeline.py PARENT SIGNAL PROGRAM [ARGUMENT...]

PR_SET_PDEATHSIG survives an exec and is cleared by a fork, so it has to be set here, in the very
process that becomes the program (prctl(2)).
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, signal, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the signal was set
    try:
        os.execvp(program, sys.argv[3:])  # noqa: S606 - it is this program's whole purpose
    except OSError as error:
        print(f"{program}: {error.strerror}", file=sys.stderr)
        os._exit(127)


if __name__ == "__main__":
    main()
