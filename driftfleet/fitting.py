"""Results that are no larger than an object may be."""

from driftfleet.results import Change, Result

# Of a result as it is stored; what a latest record holds besides has room in 1 MB, too.
MOST_BYTES = 970_000
_KINDS = ("drift", "unapplied", "output")


def fit(result: Result, most_bytes: int = MOST_BYTES) -> Result:
    """The result with as many of its changes as there is room for: drift first, then unapplied.

    ``changes_cut`` counts the others. Totals and fingerprint stay those of all.
    """
    if len(result.model_dump_json().encode()) <= most_bytes:
        return result
    rest = result.model_copy(update={"changes": (), "changes_cut": len(result.changes)})
    room = most_bytes - len(rest.model_dump_json().encode())
    kept: list[Change] = []
    for change in sorted(result.changes, key=lambda one: _KINDS.index(one.kind)):
        # The comma behind it counts, too. One that is too large takes no other's place.
        if (size := len(change.model_dump_json().encode()) + 1) <= room:
            kept.append(change)
            room -= size
    cut = len(result.changes) - len(kept)
    return rest.model_copy(update={"changes": tuple(kept), "changes_cut": result.changes_cut + cut})
