"""What tells one set of changes from another."""

import hashlib
import json
from collections.abc import Iterable

from driftfleet.results import Change


def fingerprint(changes: Iterable[Change]) -> str:
    """The same for the same changes in any order; empty where there are none.

    What is changed, how, and in which attributes is in it; values and the order never are.
    """
    told = sorted(
        {(one.kind, one.address, *map(_set, (one.actions, one.attributes))) for one in changes}
    )
    if not told:
        return ""
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _set(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
