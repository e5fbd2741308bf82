"""What everything that speaks of a root's version adds up to. Pure.

The strongest that says anything decides: a pin of the fleet's, the version file of the root's own
folder, that of the nearest folder above, the ``required_version`` of the root and of the modules
that it calls, the fleet's default. Whatever decides, a version that some ``required_version``
excludes is never chosen: Terraform would refuse to plan.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from driftfleet.errors import InstallUnavailable, VersionUndecided
from driftfleet.versions.available import AvailableVersions
from driftfleet.versions.constraint import (
    Comparison,
    Malformed,
    Version,
    parse_constraint,
    parse_version,
    satisfies,
)
from driftfleet.versions.explanation import (
    Constraint,
    contradiction,
    lowest_that_fits,
    nothing_fits,
)
from driftfleet.versions.pattern import parse_pattern
from driftfleet.versions.printable import printable
from driftfleet.versions.version_file import LATEST, Asked, Program, version_files

# Each candidate is compared with each part. A root of a thousand modules has a dozen that differ.
MOST_COMPARISONS = 300


@dataclass(frozen=True)
class Requirement:
    """A ``required_version`` as it is written, and where: ``modules/vpc/versions.tf:3``."""

    constraint: str
    place: str


@dataclass(frozen=True)
class Pin:
    """What the settings say: an exact version, a constraint, or ``""`` where only a program is."""

    version: str
    place: str
    program: Program | None = None


@dataclass(frozen=True)
class Question:
    """All that speaks of one root's version. ``files`` may hold those of other folders, too."""

    root: str
    pin: Pin | None = None
    files: tuple[Asked, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    default: Pin | None = None


@dataclass(frozen=True)
class Decision:
    """What plans a root, why (a sentence's end for a person), and the ``place`` that says so.

    Without a ``version`` nothing asks for one, and any will do; without a ``program`` any is meant.
    An exact version that was asked for need not be there.
    """

    program: Program | None
    version: Version | None
    why: str
    place: str = ""


def decide(question: Question, available: AvailableVersions, *, prefer_installed: bool) -> Decision:
    """Decide what plans a root.

    ``prefer_installed`` takes what is installed wherever that fits, even if an installer could get
    a newer one.

    Raises
    ------
    VersionUndecided
        Nothing that is there is all that was asked for, or two things that were asked for exclude
        each other, or one can't be understood. Names all of them with their places.
    InstallUnavailable
        Nothing that is installed will do, and what could be installed is not known.
    """
    return _Decider(question, available, prefer_installed=prefer_installed).decide()


def named_program(question: Question) -> Program | None:
    """The program that something asks for, whatever of it is there; None where nothing does."""
    pin, default = question.pin, question.default
    if pin is not None and pin.program is not None:
        return pin.program
    asked = nearest_file(question.root, question.files)
    if asked is not None:
        # A pin that names a version alone leaves the program to the file.
        return asked.program
    return default.program if default is not None else None


def nearest_file(root: str, files: Sequence[Asked]) -> Asked | None:
    """The version file that counts for a root."""
    known = {asked.path: asked for asked in files}
    return next((known[path] for path in version_files(root) if path in known), None)


class _Decider:
    def __init__(
        self, question: Question, available: AvailableVersions, *, prefer_installed: bool
    ) -> None:
        self._question = question
        self._available = available
        self._prefer_installed = prefer_installed
        # What an installer could get, once it was asked.
        self._installable: Sequence[Version] = ()
        self._required = [
            _read(r.constraint, r.place) for r in dict.fromkeys(question.requirements)
        ]
        parts = {part for one in self._required for part in one.parts}
        if len(parts) > MOST_COMPARISONS:
            raise VersionUndecided(
                f"{question.root}: the required_version of it and its modules have more than "
                f"{MOST_COMPARISONS} different parts, which are not compared"
            )

    def decide(self) -> Decision:
        question = self._question
        if question.pin is not None and question.pin.version:
            return self._by_settings(question.pin, "pinned")
        files = question.files
        if question.pin is not None and question.pin.program is not None:
            # The program is pinned, and a file of the other one speaks of nothing.
            files = tuple(one for one in files if one.program == question.pin.program)
        asked = nearest_file(question.root, files)
        if asked is not None:
            return self._by_file(asked)
        if self._required:
            program = self._program()
            first, more = self._required[0], len(self._required) - 1
            others = f" and {more} more" if more else ""
            why = f"the newest that satisfies required_version {first}{others}"
            return Decision(program, self._newest(program, []), why, first.place)
        program_only = self._named_program()
        default = question.default
        # A pin's program is over the default's, whose version is then one of another program.
        fitting = (None, program_only.program if program_only is not None else None)
        if default is not None and default.version and default.program in fitting:
            return self._by_settings(default, "the fleet's default")
        if program_only is not None:
            return Decision(program_only.program, None, "the settings name it", program_only.place)
        return Decision(None, None, "nothing asks for a version")

    def _by_settings(self, pin: Pin, words: str) -> Decision:
        program = self._program()
        try:
            version = self._exact(program, pin.version, pin.place)
        except Malformed:
            version = self._newest(program, [_read(pin.version, pin.place)])
        return Decision(program, version, f"{words}: {pin.version}", pin.place)

    def _by_file(self, asked: Asked) -> Decision:
        if asked.error:
            raise VersionUndecided(f"{asked.place}: {asked.error}")
        want = self._first_available(asked)
        program = asked.program
        if want == "min-required":
            if not self._required:
                raise VersionUndecided(
                    f"{asked.place}: min-required is the lowest version that required_version "
                    f"allows, and neither {self._question.root} nor a module of it has one"
                )
            version = self._fitting(program, [], min)
        elif want == "latest-allowed":
            version = self._newest(program, [])
        elif want == "latest" or want.startswith(LATEST):
            version = self._latest(program, want, asked.place)
        else:
            version = self._exact(program, want, asked.place)
        return Decision(program, version, f"{asked.place} says {want}", asked.place)

    def _first_available(self, asked: Asked) -> str:
        """Of several versions on a line asdf takes the first that is installed."""
        if len(asked.wants) > 1:
            known = {str(version) for version in self._available.installed(asked.program)}
            for want in asked.wants:
                if want in known or not want[0].isdigit():
                    return want
        return asked.wants[0]

    def _exact(self, program: Program, text: str, place: str) -> Version:
        """An exact version. Raises `Malformed` where it is none."""
        version = parse_version(text)
        self._require_allowed(program, version, f"{text} ({place})")
        return version

    def _latest(self, program: Program, want: str, place: str) -> Version:
        """The newest at all: who writes so doesn't ask what the code allows."""
        pattern = parse_pattern(want.removeprefix(LATEST)) if want.startswith(LATEST) else None

        def fits(version: Version) -> bool:
            if pattern is None:
                return not version.prerelease
            letters = pattern.names_letters
            return (letters or not version.prerelease) and pattern.matches(str(version))

        asked = Constraint(text=want, place=place, parts=())
        for pool in self._pools(program, [asked, *self._required]):
            if found := [version for version in pool if fits(version)]:
                newest = max(found)
                self._require_allowed(program, newest, f"{want} ({place})")
                return newest
        raise VersionUndecided(self._nothing_fits(program, [asked, *self._required]))

    def _require_allowed(self, program: Program, version: Version, asked: str) -> None:
        if any(not satisfies(version, one.parts) for one in self._required):
            raise VersionUndecided(contradiction(program, version, asked, self._required))

    def _newest(self, program: Program, more: list[Constraint]) -> Version:
        return self._fitting(program, more, max)

    def _fitting(
        self, program: Program, more: list[Constraint], choose: Callable[[list[Version]], Version]
    ) -> Version:
        """The highest or lowest release that satisfies all; prereleases are for exact pins only."""
        constraints = [*more, *self._required]
        parts = tuple(dict.fromkeys(part for one in constraints for part in one.parts))
        for pool in self._pools(program, constraints):
            found = [v for v in pool if not v.prerelease and satisfies(v, parts)]
            if found:
                return choose(found)
        raise VersionUndecided(self._nothing_fits(program, constraints))

    def _pools(
        self, program: Program, constraints: Sequence[Constraint]
    ) -> Iterator[Sequence[Version]]:
        """Where to look for a version, one pool after the other.

        What could be installed is asked for last, and only where some version could fit: a remote
        may have to tell.
        """
        installed = self._available.installed(program)
        if self._prefer_installed:
            yield installed
        if lowest_that_fits(constraints) is None:
            return
        try:
            self._installable = self._available.installable(program)
        except InstallUnavailable as error:
            what = (
                f"{self._question.root}: the newest is wanted (terraform.prefer_installed: false)"
            )
            if self._prefer_installed:
                what = nothing_fits(program, constraints, installed)
            raise InstallUnavailable(
                f"{what}\nWhat could be installed is not known: {error.message}"
            ) from error
        yield [*installed, *self._installable]

    def _nothing_fits(self, program: Program, constraints: Sequence[Constraint]) -> str:
        installed = self._available.installed(program)
        return nothing_fits(program, constraints, installed, self._installable)

    def _named_program(self) -> Pin | None:
        pins = (self._question.pin, self._question.default)
        return next((pin for pin in pins if pin is not None and pin.program is not None), None)

    def _program(self) -> Program:
        """OpenTofu where the settings say so, or where it is the only one installed."""
        if (named := named_program(self._question)) is not None:
            return named
        there = self._available
        return (
            "terraform" if there.installed("terraform") or not there.installed("tofu") else "tofu"
        )


def _read(text: str, place: str) -> Constraint:
    try:
        parts = parse_constraint(text)
    except Malformed as error:
        raise VersionUndecided(f"{printable(place)}: {error}") from error
    if refused := next((part for part in parts if part.prerelease), None):
        raise VersionUndecided(f"{printable(place)}: {_prerelease_refused(refused)}")
    return Constraint(text=text.strip(), place=place, parts=parts)


def _prerelease_refused(part: Comparison) -> str:
    return (
        f"'{part.text}' names a prerelease, which Terraform refuses in a constraint: remove it (a "
        "prerelease satisfies what its x.y.z satisfies), and pin the prerelease itself in a "
        ".terraform-version"
    )
