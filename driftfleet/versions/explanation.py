"""Why no version could be chosen, in words: every constraint, its place, and what is nearest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from driftfleet.versions.constraint import Comparison, Version, satisfies
from driftfleet.versions.printable import printable
from driftfleet.versions.version_file import Program

NAMES: dict[Program, str] = {"terraform": "Terraform", "tofu": "OpenTofu"}
_NOTHING = Version(0)
_MOST_LINES = 200
_MOST_VERSIONS = 10


@dataclass(frozen=True)
class Constraint:
    """A constraint that was read; ``parts`` is empty for what is no constraint, such as latest."""

    text: str
    place: str
    parts: tuple[Comparison, ...]

    def __str__(self) -> str:
        """``'>= 1.3' (main.tf:2)``."""
        return f"'{printable(self.text)}' ({printable(self.place)})"


def nothing_fits(
    program: Program,
    constraints: Sequence[Constraint],
    installed: Sequence[Version],
    installable: Sequence[Version] = (),
) -> str:
    """Nothing that is there satisfies all: the message for a person, one constraint a line."""
    name = NAMES[program]
    candidates = {*installed, *installable}
    releases = sorted(version for version in candidates if not version.prerelease)
    near = nearest(constraints, releases)
    if near is None:
        first = f"there is no {name} here, and what is asked for is:"
    else:
        there = "is there or could be installed" if installable else "is there"
        first = f"no {name} that {there} satisfies all that is asked for:"
    lines = [first, *_listed(constraints, near)]
    if near is not None:
        lines.append(f"The nearest is {name} {near}; there are: {listed(releases)}.")
    lowest = lowest_that_fits(constraints)
    if lowest is None:
        lines.append("No version can satisfy them all: change one of them.")
    elif any(one.parts for one in constraints):
        # What an installer could get was looked through: nobody can install another.
        how = "Name a releases mirror with one" if installable else "Install one"
        lines.append(f"{how} that satisfies all{_such_as(lowest)}, or change the constraints.")
    return "\n".join(lines)


def contradiction(
    program: Program, version: Version, asked: str, constraints: Sequence[Constraint]
) -> str:
    """An exact version was asked for that some ``required_version`` excludes."""
    lines = [
        f"{NAMES[program]} {version} is asked for by {printable(asked)}, and required_version "
        "excludes it, so that it would refuse to plan:",
        *_listed(constraints, version),
    ]
    lowest = lowest_that_fits(constraints)
    if lowest is None:
        lines.append("No version can satisfy them all: change one of them.")
    else:
        lines.append(
            f"Ask for a version that satisfies all{_such_as(lowest)}, or change the constraints."
        )
    return "\n".join(lines)


def missing(
    program: Program, version: Version, asked: str, installed: Sequence[Version], remedy: str
) -> str:
    """An exact version was asked for that is not there; ``remedy`` says how to get it."""
    name = NAMES[program]
    here = sorted(set(installed))
    if here:
        near = min(here, key=lambda other: _distance(other, version))
        found = f"here are: {listed(here)} (the nearest is {near})"
    else:
        found = f"there is no {name} here"
    return f"{name} {version} is wanted ({printable(asked)}), and {found}. {remedy}"


def nearest(constraints: Iterable[Constraint], versions: Iterable[Version]) -> Version | None:
    """The version that the fewest parts exclude; the newest of several."""
    parts = list(dict.fromkeys(part for one in constraints for part in one.parts))

    def excluded_by(version: Version) -> int:
        return sum(not part.allows(version) for part in parts)

    return min(sorted(versions, reverse=True), key=excluded_by, default=None)


def lowest_that_fits(constraints: Iterable[Constraint]) -> Version | None:
    """The lowest version of all that could be which satisfies the constraints; None for none.

    The lowest is 0.0.0, or a version that some part names, or the next after such a one: between
    those nothing changes.
    """
    parts = tuple(dict.fromkeys(part for one in constraints for part in one.parts))
    named = {part.core for part in parts}
    steps = {_NOTHING, *named, *(version.bump_patch() for version in named)}
    return next((version for version in sorted(steps) if satisfies(version, parts)), None)


def listed(versions: Sequence[Version]) -> str:
    """The versions, the newest first; of many the first ten."""
    newest_first = [str(version) for version in reversed(versions)]
    more = len(newest_first) - _MOST_VERSIONS
    shown = ", ".join(newest_first[:_MOST_VERSIONS])
    return f"{shown} and {more} more" if more > 0 else shown


def _such_as(lowest: Version) -> str:
    # Where there are only upper bounds the lowest of all is nobody's advice.
    return f", such as {lowest}" if lowest > _NOTHING else ""


def _listed(constraints: Sequence[Constraint], version: Version | None) -> list[str]:
    lines = []
    for one in constraints[:_MOST_LINES]:
        excludes = version is not None and not satisfies(version, one.parts)
        lines.append(f"- {one}" + (f" excludes {version}" if excludes else ""))
    more = len(constraints) - _MOST_LINES
    return [*lines, f"- and {more} more"] if more > 0 else lines


def _distance(one: Version, other: Version) -> tuple[int, int, int]:
    return (
        abs(one.major - other.major), abs(one.minor - other.minor), abs(one.patch - other.patch),
    )  # fmt: skip
