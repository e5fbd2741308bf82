"""`driftfleet-health [ROLE]`: whether this container's service turns its main loop.

Health checks run it every few seconds: it imports next to nothing and asks this machine alone.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from driftfleet.pulse import ROLES, SLOW_SECONDS, ask

_CELERY = {
    ("worker.app", "worker"): "worker",
    ("producer.app", "worker"): "producer",
    ("producer.app", "beat"): "beat",
}
_USAGE = f"""\
Usage: driftfleet-health [{"|".join(ROLES)}]

Whether the service of that role on this machine, or in this container, turns its main loop.
Without a role: that of the container's first process.

Exit codes:
  0    it does; or the first process is none of these services
  1    it doesn't, for {SLOW_SECONDS:.0f} seconds, or nobody answers
  2    usage
"""


def main() -> None:
    """Look, tell in one line, and end with the exit code."""
    arguments = sys.argv[1:]
    if "--help" in arguments:
        sys.stdout.write(_USAGE)
        return
    if len(arguments) > 1 or not set(arguments) <= set(ROLES):
        sys.stderr.write(_USAGE)
        sys.exit(2)
    role = arguments[0] if arguments else role_of(Path("/proc/1/cmdline").read_bytes())
    code, line = judge(role, ask(role) if role else None)
    sys.stdout.write(f"{line}\n")
    sys.exit(code)


def role_of(command_line: bytes) -> str | None:
    """The service that a first process's NUL-separated arguments name.

    ``driftfleet [--config FILE] ROLE ...``, or what that becomes.
    """
    words = command_line.decode(errors="replace").split("\0")
    for place, word in enumerate(words):
        if word.rpartition("/")[2] == "driftfleet":
            return _command_in(words[place + 1 :])
    return next((role for pair, role in _CELERY.items() if pair in pairwise(words)), None)


def _command_in(words: Sequence[str]) -> str | None:
    if words and words[0].partition("=")[0] == "--config":
        words = words[1:] if "=" in words[0] else words[2:]
    return words[0] if words and words[0] in ROLES else None


def judge(role: str | None, age_seconds: float | None) -> tuple[int, str]:
    """The exit code, and what is told."""
    if role is None:
        return 0, "no service runs here: nothing to look at"
    if age_seconds is None:
        return 1, f"{role}: nobody answers: it has not started yet, has ended, or hangs"
    if age_seconds > SLOW_SECONDS:
        return 1, f"{role}: its main loop has not turned for {age_seconds:.0f} s"
    return 0, f"{role}: its main loop turned {age_seconds:.0f} s ago"


if __name__ == "__main__":
    main()
