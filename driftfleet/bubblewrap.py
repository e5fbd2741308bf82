"""The namespaces of isolated plans (docs/isolation.md), and whether this machine gives them."""

import time
from collections.abc import Mapping
from pathlib import Path

from driftfleet import programs

# No way to gain rights: neither those that root had, nor by a namespace below.
NAMESPACES = (
    "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-cgroup-try",
    "--cap-drop", "ALL", "--disable-userns", "--die-with-parent",
)  # fmt: skip
KERNEL = ("--proc", "/proc", "--dev", "/dev")
# For the end. What root could tell the kernel in the first, the user that is called root there
# could, too; the second is in memory, and could be filled.
CLOSED = ("--remount-ro", "/proc", "--remount-ro", "/dev")
_SECONDS = 10.0


def why_refused(bwrap: Path, environment: Mapping[str, str]) -> str | None:
    """What bubblewrap says where it can't make them here; None where it can."""
    # Everything that a plan's own view needs of the kernel.
    command = [str(bwrap), *NAMESPACES, "--ro-bind", "/", "/", *KERNEL, *CLOSED, "--", "true"]
    kept = {"PATH": environment["PATH"]} if "PATH" in environment else {}
    try:
        ended = programs.run(command, kept, folder=Path("/"), deadline=time.monotonic() + _SECONDS)
    except programs.OutOfTime:
        return f"it did not end within {_SECONDS:.0f} s"
    if ended.exit_code == 0:
        return None
    said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1].removeprefix("bwrap: ") if said else f"it ended with {ended.exit_code}"
