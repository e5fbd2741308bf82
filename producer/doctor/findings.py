"""What `driftfleet doctor` says of one thing."""

from typing import Literal

from driftfleet.model import Record

Level = Literal["ok", "warn", "fail", "skip"]


class Finding(Record):
    """``what`` was checked, what was found, and for what is not well the ``mend``."""

    level: Level
    what: str
    finding: str
    mend: str = ""


def ok(what: str, finding: str) -> Finding:
    """All is well."""
    return Finding(level="ok", what=what, finding=finding)


def warn(what: str, finding: str, mend: str = "") -> Finding:
    """It works, but somebody should know."""
    return Finding(level="warn", what=what, finding=finding, mend=mend)


def fail(what: str, finding: str, mend: str = "") -> Finding:
    """It can't work."""
    return Finding(level="fail", what=what, finding=finding, mend=mend)


def skip(what: str, finding: str) -> Finding:
    """It was not checked, and why."""
    return Finding(level="skip", what=what, finding=finding)
