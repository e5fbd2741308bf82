"""Whether a binary is what its installer was asked for: it is run, and says so itself."""

import os
import signal
import stat
from pathlib import Path

from driftfleet import programs
from driftfleet.errors import InstallRefused, InstallUnavailable
from driftfleet.installs.installer import Staging
from driftfleet.installs.output import readable
from driftfleet.installs.version import Program
from driftfleet.versions.available import parse_printed
from driftfleet.versions.explanation import NAMES

_KILLED = 128 + signal.SIGKILL


def require_inside(binary: Path, staging: Staging, what: str) -> None:
    """Raise `InstallRefused` unless it is a file of our own in the staging folder, and no link.

    A link would be gone, or be something else, as soon as what it leads to is.
    """
    top = os.path.realpath(staging.top)
    expected = os.path.join(top, os.path.relpath(binary, staging.top))
    try:
        status = os.lstat(binary)
    except OSError:
        raise InstallRefused(
            f"{what}: its installer said that it is installed, but {binary.name} is not where it "
            "should be: an installer of another version, or one that is set up otherwise?"
        ) from None
    if os.path.realpath(binary) != expected or not stat.S_ISREG(status.st_mode):
        raise InstallRefused(
            f"{what}: its installer made {binary.name} a link, which is not taken: what it leads "
            "to may change or go at any time"
        )


def require_version(
    binary: Path, program: Program, version: str, staging: Staging, deadline: float
) -> None:
    """Run it, and raise `InstallRefused` unless it says that it is that program and version.

    `InstallUnavailable` where it has not said so by ``deadline``, or was killed meanwhile.
    """
    what = f"{program} {version}"
    environment = {**staging.environment(), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    try:
        done = programs.run(
            [str(binary), "version"],
            environment,
            folder=staging.empty,
            deadline=deadline,
        )
    except programs.OutOfTime:
        raise InstallUnavailable(
            f"{what} was installed, but had not told its version when the time was over; raise "
            "installs.timeout_seconds"
        ) from None
    if done.exit_code == _KILLED:
        raise InstallUnavailable(
            f"{what} was installed, and was killed from outside (SIGKILL) while it was asked for "
            "its version, most often by the kernel for want of memory"
        )
    said = parse_printed(done.stdout) if done.exit_code == 0 else None
    if said is None:
        raise InstallRefused(
            f"{what} was installed, but does not run (exit code {done.exit_code}); is it for "
            f"another platform? It said:\n{readable(done.stdout + done.stderr)}"
        )
    if (said[0], str(said[1])) != (program, version):
        raise InstallRefused(
            f"{what} was asked for, and {NAMES[said[0]]} '{said[1]}' is what was installed: the "
            "releases mirror (installs.remote) has the wrong archive under that name"
        )
