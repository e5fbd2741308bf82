"""Which of several versions a provider's constraint chooses. Pure.

The one function is all that the mirror asks of a constraint's grammar
(https://developer.hashicorp.com/terraform/language/expressions/version-constraints).
"""

import re
from collections.abc import Iterable

_TERM = re.compile(
    r"\s*(=|!=|>=|<=|~>|>|<)?\s*v?(\d+(?:\.\d+){0,2})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?\s*"
)
_Key = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


def newest(versions: Iterable[str], constraint: str) -> str | None:
    """The newest version that satisfies all terms; "" is satisfied by every release.

    A prerelease is chosen by an exact pin alone.

    Raises
    ------
    ValueError
        It is no constraint; names the term.
    """
    terms = [_term(text) for text in constraint.split(",")] if constraint.strip() else []
    fitting = [version for version in versions if all(_fits(version, term) for term in terms)]
    pins = {term[1] for term in terms if term[0] == "="}
    allowed = [v for v in fitting if "-" not in v.partition("+")[0] or _key(v) in pins]
    return max(allowed, key=_key, default=None)


def _term(text: str) -> tuple[str, _Key, int]:
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text.strip()!a} is no version constraint")
    return match[1] or "=", _key(_padded(match[2], match[3])), match[2].count(".")


def _padded(numbers: str, prerelease: str | None) -> str:
    full = numbers + ".0" * (2 - numbers.count("."))
    return f"{full}-{prerelease}" if prerelease else full


def _key(version: str) -> _Key:
    release, _, prerelease = version.partition("+")[0].partition("-")
    parts = prerelease.split(".") if prerelease else []
    # Numbers come before words, and both before the release itself (semver.org, 11).
    identifiers = tuple((not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts)
    return tuple(int(n) for n in release.split(".")), not prerelease, identifiers


def _fits(version: str, term: tuple[str, _Key, int]) -> bool:
    operator, wanted, dots = term
    key = _key(version)
    if operator == "~>":
        # All but the last written number must be the same; of one number that is none.
        return key >= wanted and key[0][:dots] == wanted[0][:dots]
    return {
        "=": key == wanted,
        "!=": key != wanted,
        ">": key > wanted,
        ">=": key >= wanted,
        "<": key < wanted,
        "<=": key <= wanted,
    }[operator]
