"""Terraform's constraint grammar, as hashicorp/go-version reads it, and whether a version fits.

Comparing is left to the library ``semver``; what is not in Semantic Versioning (a constraint of one
segment or of four, ``~>``) is here. All patterns are linear in the text, and texts are bounded.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from semver import Version

from driftfleet.versions.printable import shown

__all__ = ["HOLDS", "LONGEST_CONSTRAINT", "Comparison", "Malformed", "Version",
           "parse_constraint", "parse_version", "satisfies"]  # fmt: skip

# Beyond this no person wrote it, and every version is compared with every part.
LONGEST_CONSTRAINT = 1_000
_LARGEST_SEGMENT = 2**63 - 1
_SEGMENTS_OF_A_VERSION = 3

# go-version's ``VersionRegexpRaw``, each loop with one way to go on.
_MORE = r"(?:\.[0-9A-Za-z~-]+)*"
_PRERELEASE = rf"-[0-9][0-9A-Za-z~-]*{_MORE}|-?[A-Za-z~-][0-9A-Za-z~-]*{_MORE}"
_BUILD = rf"\+[0-9A-Za-z~-]+{_MORE}"
_VERSION = rf"v?(?P<segments>[0-9]+(?:\.[0-9]+)*)(?P<prerelease>{_PRERELEASE})?(?:{_BUILD})?"
# What `\s` is to Go: Python's would take blanks of other alphabets, too.
_BLANK = r"[\t\n\f\r ]*"
_COMPARISON = re.compile(
    rf"{_BLANK}(?:(?P<operator>!=|>=|<=|~>|=|>|<){_BLANK})?(?P<version>{_VERSION}){_BLANK}"
)
# As people pin it: three segments, and a prerelease as Semantic Versioning has it.
_EXACT = re.compile(r"v?([0-9]+\.[0-9]+\.[0-9]+)(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?")

# What each operator but ``~>`` says of an order.
HOLDS: Mapping[str, Callable[[int, int], bool]] = {
    "=": operator.eq, "!=": operator.ne, ">": operator.gt,
    ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


class Malformed(ValueError):
    """The text is no version, or no constraint; its message says which part."""


@dataclass(frozen=True)
class Comparison:
    """One part of a constraint.

    ``operator`` is one of ``= != > >= < <= ~>``. ``core`` are the first three segments, missing
    ones 0; ``beyond`` those after them; ``written`` is how many there were. Terraform refuses a
    ``prerelease`` in ``required_version``, so that nothing satisfies one.
    """

    operator: str
    core: Version
    beyond: tuple[int, ...]
    written: int
    prerelease: str
    text: str

    def allows(self, version: Version) -> bool:
        """Whether a version satisfies this part; of a prerelease its core is compared.

        Terraform compares its own version so: ``1.12.0-beta1`` satisfies ``>= 1.12``.
        """
        if self.prerelease:
            return False
        core = version.finalize_version()
        order = core.compare(self.core) or (-1 if any(self.beyond) else 0)
        if self.operator == "~>":
            return order >= 0 and self._shares_all_but_the_last(core)
        return HOLDS[self.operator](order, 0)

    def _shares_all_but_the_last(self, core: Version) -> bool:
        # Four segments are more than a version of Terraform has: go-version lets none pass.
        if self.written > _SEGMENTS_OF_A_VERSION:
            return False
        fixed = self.written - 1
        return core.to_tuple()[:fixed] == self.core.to_tuple()[:fixed]


def parse_constraint(text: str) -> tuple[Comparison, ...]:
    """The parts of a constraint such as ``>= 1.3, < 2.0``; all of them have to be satisfied.

    Raises
    ------
    Malformed
        Terraform would not read it either, or it is longer than `LONGEST_CONSTRAINT`.
    """
    if len(text) > LONGEST_CONSTRAINT:
        raise Malformed(f"a constraint of more than {LONGEST_CONSTRAINT:,} characters is not read")
    return tuple(_parse_part(part) for part in text.split(","))


def satisfies(version: Version, comparisons: tuple[Comparison, ...]) -> bool:
    """Whether a version satisfies all parts."""
    return all(comparison.allows(version) for comparison in comparisons)


def parse_version(text: str) -> Version:
    """An exact version, ``x.y.z`` or ``x.y.z-prerelease``, maybe with a leading v.

    Raises
    ------
    Malformed
        It is something else.
    """
    match = _EXACT.fullmatch(text) if len(text) <= LONGEST_CONSTRAINT else None
    if match is None:
        raise Malformed(f"'{shown(text)}' is no version such as 1.5.7")
    try:
        # Zeros in front are nothing to go-version, and an error to Semantic Versioning.
        core = ".".join(str(segment) for segment in _segments(match[1]))
        return Version.parse(f"{core}{match[2] or ''}")
    except ValueError as error:
        raise Malformed(f"'{shown(text)}' is no version such as 1.5.7") from error


def _parse_part(part: str) -> Comparison:
    match = _COMPARISON.fullmatch(part)
    if match is None:
        raise Malformed(
            f"'{shown(part.strip())}' is no constraint such as '>= 1.3'"
            if part.strip()
            else "a part between two commas is empty"
        )
    segments = _segments(match["segments"])
    padded = (*segments, 0, 0)
    return Comparison(
        operator=match["operator"] or "=",
        core=Version(*padded[:3]),
        beyond=segments[3:],
        written=len(segments),
        prerelease=match["prerelease"] or "",
        text=f"{match['operator'] or ''} {match['version']}".strip(),
    )


def _segments(text: str) -> tuple[int, ...]:
    segments = tuple(int(segment) for segment in text.split("."))
    if max(segments) > _LARGEST_SEGMENT:
        raise Malformed(f"'{shown(text)}' has a number that is too large")
    return segments
