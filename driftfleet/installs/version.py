"""Which programs there are, and the one form of a version that gets into a path or an argument."""

import re
from typing import get_args

from driftfleet.errors import InstallRefused
from driftfleet.versions.version_file import Program

__all__ = ["PROGRAMS", "Program", "is_exact", "require_exact"]

PROGRAMS: tuple[Program, ...] = get_args(Program)

_NUMBER = r"(?:0|[1-9][0-9]{0,5})"
_WORD = r"[0-9A-Za-z-]{1,32}"
_EXACT = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_WORD}(?:\.{_WORD}){{0,4}})?")
_SHOWN = 80


def is_exact(version: str) -> bool:
    """Whether it is ``x.y.z`` or ``x.y.z-pre``: no path, no option and no keyword can be."""
    return _EXACT.fullmatch(version) is not None


def require_exact(program: str, version: str) -> None:
    """Raise `InstallRefused` for what is no program or no exact version."""
    if program not in PROGRAMS:
        raise InstallRefused(f"{program[:_SHOWN]!a} is none of {', '.join(PROGRAMS)}")
    if not is_exact(version):
        raise InstallRefused(
            f"{version[:_SHOWN]!a} is no exact version of {program}: it must be x.y.z or x.y.z-pre"
        )
