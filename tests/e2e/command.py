"""The `driftfleet` command, run to its end."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND = Path(sys.executable).with_name("driftfleet")


def run_command(
    arguments: Sequence[str | Path], folder: Path, environment: Mapping[str, str], expect: int
) -> subprocess.CompletedProcess[str]:
    """Run it in ``folder``; it is to exit with ``expect``, and without a traceback."""
    done = subprocess.run(
        [COMMAND, *arguments],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done
