"""The one module that starts processes: argument lists only, an explicit environment, no shell."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_LIFELINE = Path(__file__).with_name("lifeline.py")
Process = subprocess.Popen[bytes]
TimeoutExpired = subprocess.TimeoutExpired


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    death_signal: int,
    folder: Path | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> Process:
    """Start a process that gets ``death_signal`` when this one ends, however it ends.

    The signal is set by a tiny program that then becomes ``arguments[0]``: a ``preexec_fn`` would
    run Python between fork and exec, which can hang where there are threads.

    Raises ``OSError`` where Python itself can't be started; a missing ``arguments[0]`` is exit 127.
    """
    lifeline = [sys.executable, "-I", "-S", str(_LIFELINE), str(os.getpid()), str(death_signal)]
    return subprocess.Popen(
        [*lifeline, *arguments],
        env=dict(environment),
        cwd=folder,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=new_session,
    )


PYTHON = sys.executable
PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
