"""Which of several versions a provider's constraint chooses. Pure."""

from collections.abc import Iterable

from driftfleet.versions.constraint import (
    Malformed,
    Version,
    parse_constraint,
    parse_version,
    satisfies,
)

# Terraform reads those of providers by another library than its own, which is stricter.
_MOST_SEGMENTS = 3


def newest(versions: Iterable[str], constraint: str) -> str | None:
    """The newest version that satisfies all terms; "" is satisfied by every release.

    A prerelease is chosen by an exact pin alone, which terraform allows for providers, and not for
    itself. What is no version is passed over.

    Raises
    ------
    ValueError
        It is no constraint; names the term.
    """
    terms = parse_constraint(constraint) if constraint.strip() else ()
    if beyond := next((term for term in terms if term.written > _MOST_SEGMENTS), None):
        raise Malformed(f"'{beyond.text}' is no constraint for a provider: it has too many numbers")
    known = {version: text for text in versions if (version := _read(text)) is not None}
    pin = terms[0] if len(terms) == 1 and terms[0].operator == "=" else None
    if pin is not None and pin.prerelease:
        fitting = [one for one in known if str(one) == f"{pin.core}{pin.prerelease}"]
    else:
        fitting = [one for one in known if not one.prerelease and satisfies(one, terms)]
    return known[max(fitting)] if fitting else None


def _read(text: str) -> Version | None:
    try:
        return parse_version(text)
    except Malformed:
        return None
