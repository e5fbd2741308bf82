"""What a process that runs checks asks of Linux for itself."""

import ctypes
import os

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def close_to_others() -> None:
    """Let nothing that is created be open to others, nor this process's environment.

    What runs as the same user could read the secrets in it. A fork inherits this, and an exec
    resets it (PR_SET_DUMPABLE, prctl(2)).
    """
    os.umask(0o077)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Let what loses its parent below this process become a child of it, and of no other."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
