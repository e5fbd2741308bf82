"""The patterns of ``latest:<regex>``, in time that is the pattern's length times the text's.

tfenv hands them to grep. A repository's pattern is never given to `re`, whose time can double with
each letter of ``(a+)+b``; what people write here is a prefix such as ``^1\\.5``. So: characters,
``.``, ``\\.``, ``[0-5]``, each maybe with ``*``, ``+`` or ``?``, ``^``, ``$`` and ``|``. No groups.
"""

import string
from dataclasses import dataclass

from driftfleet.versions.printable import printable

LONGEST_PATTERN = 100
# All that a version can be written with.
_ALPHABET = frozenset(string.ascii_letters + string.digits + ".-+~")
_REFUSED = frozenset("(){}")


class PatternRefused(ValueError):
    """A pattern is not of the kind that is understood; the message says what is wrong."""


@dataclass(frozen=True)
class _Atom:
    accepts: frozenset[str]
    may_be_absent: bool
    may_repeat: bool


@dataclass(frozen=True)
class _Branch:
    atoms: tuple[_Atom, ...]
    at_start: bool
    at_end: bool

    def matches(self, text: str) -> bool:
        """Whether it is found in the text: all positions that are possible, one step a letter."""
        end = len(self.atoms)
        reached = self._past_absent({0})
        for character in text:
            if end in reached and not self.at_end:
                return True
            step = set() if self.at_start else {0}
            for position in reached:
                if position < end and character in self.atoms[position].accepts:
                    step.add(position + 1)
                    if self.atoms[position].may_repeat:
                        step.add(position)
            reached = self._past_absent(step)
        return end in reached

    def _past_absent(self, positions: set[int]) -> set[int]:
        reached = set()
        for first in positions:
            position = first
            reached.add(position)
            while position < len(self.atoms) and self.atoms[position].may_be_absent:
                position += 1
                reached.add(position)
        return reached


@dataclass(frozen=True)
class Pattern:
    """A pattern that was read. ``names_letters``: it can only be meant for prereleases."""

    branches: tuple[_Branch, ...]
    names_letters: bool

    def matches(self, text: str) -> bool:
        """Whether the pattern is found anywhere in ``text``, as grep finds it."""
        return any(branch.matches(text) for branch in self.branches)


def parse_pattern(text: str) -> Pattern:
    """Read a pattern.

    Raises
    ------
    PatternRefused
        It is longer than `LONGEST_PATTERN`, or holds what is not understood.
    """
    if len(text) > LONGEST_PATTERN:
        raise PatternRefused(f"the pattern has more than {LONGEST_PATTERN} characters")
    branches, position = [], 0
    while True:
        branch, position = _branch(text, position)
        branches.append(branch)
        if position >= len(text):
            break
        position += 1
    letters = any(a.accepts <= set(string.ascii_letters) for b in branches for a in b.atoms)
    return Pattern(tuple(branches), letters)


def _branch(text: str, position: int) -> tuple[_Branch, int]:
    at_start = text.startswith("^", position)
    position += at_start
    at_end = False
    atoms: list[_Atom] = []
    while position < len(text) and text[position] != "|":
        if text[position] == "$" and (position + 1 == len(text) or text[position + 1] == "|"):
            at_end = True
            position += 1
            break
        accepts, position = _accepted(text, position)
        quantifier = text[position] if position < len(text) and text[position] in "*+?" else ""
        position += len(quantifier)
        atoms.append(_Atom(accepts, quantifier in ("*", "?"), quantifier in ("*", "+")))
    return _Branch(tuple(atoms), at_start, at_end), position


def _accepted(text: str, position: int) -> tuple[frozenset[str], int]:
    character = text[position]
    if character == "[":
        return _class(text, position + 1)
    if character == "\\":
        escaped = text[position + 1 : position + 2]
        if escaped == "d":
            return frozenset(string.digits), position + 2
        if not escaped or escaped.isalnum() or escaped in _REFUSED:
            raise PatternRefused(f"'\\{printable(escaped)}' is not understood in a pattern")
        return frozenset(escaped), position + 2
    if character == ".":
        return _ALPHABET, position + 1
    if character in _REFUSED or character in "*+?^$]":
        raise PatternRefused(f"'{character}' is not understood at that place of a pattern")
    if character not in _ALPHABET:
        raise PatternRefused(f"'{printable(character)}' is in no version")
    return frozenset(character), position + 1


def _class(text: str, position: int) -> tuple[frozenset[str], int]:
    end = text.find("]", position)
    inside = text[position:end].removeprefix("^")
    if end < 0 or not inside or not _ALPHABET.issuperset(inside):
        raise PatternRefused("a class of characters is written like [0-5]")
    accepts: set[str] = set()
    rest = inside
    while rest:
        first, last = rest[0], rest[0]
        if len(rest) > 2 and rest[1] == "-":
            last = rest[2]
        accepts.update(c for c in _ALPHABET if first <= c <= last)
        rest = rest[1:] if first is last else rest[3:]
    if text.startswith("^", position):
        accepts = set(_ALPHABET - accepts)
    return frozenset(accepts), end + 1
