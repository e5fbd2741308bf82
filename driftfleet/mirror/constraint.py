"""Which of several versions a provider's constraint chooses. Pure."""

from collections.abc import Iterable

from driftfleet.versions.constraint import (
    HOLDS,
    Comparison,
    Malformed,
    Version,
    parse_constraint,
    parse_version,
)

# Terraform reads those of providers by another library than its own, which is stricter.
_MOST_SEGMENTS = 3


def newest(versions: Iterable[str], constraint: str) -> str | None:
    """The newest version that satisfies all terms; "" is satisfied by every release.

    A prerelease is chosen where a term pins it exactly, which terraform allows for providers, and
    not for itself. What is no version is passed over.

    Raises
    ------
    ValueError
        It is no constraint; names the term.
    """
    terms = parse_constraint(constraint) if constraint.strip() else ()
    if beyond := next((term for term in terms if term.written > _MOST_SEGMENTS), None):
        raise Malformed(f"'{beyond.text}' is no constraint for a provider: it has too many numbers")
    known = {version: text for text in versions if (version := _read(text)) is not None}
    pins = {_bound(term) for term in terms if term.operator == "="}
    fitting = [
        one
        for one in known
        if (not one.prerelease or one in pins) and all(_allows(term, one) for term in terms)
    ]
    return known[max(fitting)] if fitting else None


def _bound(term: Comparison) -> Version:
    return term.core.replace(prerelease=term.prerelease.removeprefix("-") or None)


def _allows(term: Comparison, version: Version) -> bool:
    """Otherwise than for terraform's own version: a prerelease comes before its release, and bounds
    what is after it; and ``~> 1`` is ``~> 1.0``.
    """
    bound = _bound(term)
    order = version.compare(bound)
    if term.operator == "~>":
        fixed = max(1, term.written - 1)
        return order >= 0 and version.to_tuple()[:fixed] == bound.to_tuple()[:fixed]
    return HOLDS[term.operator](order, 0)


def _read(text: str) -> Version | None:
    try:
        return parse_version(text)
    except Malformed:
        return None
