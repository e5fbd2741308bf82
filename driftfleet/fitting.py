"""Results that are no larger than an object may be."""

from driftfleet.results import Change, Result

# Of a result as it is stored. A latest record holds one, and half a hundred runs more.
MOST_BYTES = 1_000_000
# What each line of a change is indented by, and the comma after it.
_INDENT = 6
_KINDS = ("drift", "unapplied", "output")


def fit(result: Result, most_bytes: int = MOST_BYTES) -> Result:
    """The result with as many of its changes as there is room for: drift first, then unapplied.

    ``changes_cut`` counts the others. Totals and fingerprint stay those of all.
    """
    if len(result.model_dump_json(indent=2).encode()) <= most_bytes:
        return result
    rest = result.model_copy(update={"changes": ()})
    room = most_bytes - len(rest.model_dump_json(indent=2).encode())
    kept: list[Change] = []
    for change in sorted(result.changes, key=lambda one: _KINDS.index(one.kind)):
        room -= _bytes(change)
        if room < 0:
            break
        kept.append(change)
    cut = len(result.changes) - len(kept)
    return rest.model_copy(update={"changes": tuple(kept), "changes_cut": result.changes_cut + cut})


def _bytes(change: Change) -> int:
    text = change.model_dump_json(indent=2)
    return len(text.encode()) + _INDENT * (text.count("\n") + 1)
