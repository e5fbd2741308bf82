"""What a drift comes to, given what is planned for the same object."""

from dataclasses import dataclass

from worker.noise import Difference, Merge, merge, recreates
from worker.plan_json import Entry


@dataclass(frozen=True)
class Effect:
    """What a drift comes to, given the change that is planned for the same object.

    ``undone`` are attributes that the code sets back, ``changed`` those that it sets to something
    new, ``lasting`` those that stay as they are now. ``gone``: deleted outside, to be created anew.
    ``doomed``: changed outside, to be deleted or forgotten.
    """

    undone: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    lasting: frozenset[str] = frozenset()
    gone: bool = False
    doomed: bool = False

    @property
    def is_undone(self) -> bool:
        """Whether the code sets back anything."""
        return self.gone or bool(self.undone)


def meet(drift: Entry, change: Entry | None) -> Effect:
    """Put what happened outside beside what is planned for the same object."""
    if "delete" in drift.actions:
        return _meet_deletion(drift, change)
    drifted = drift.differences.keys()
    if change is None:
        return Effect(lasting=frozenset(drifted))
    if change.actions in (("delete",), ("forget",)):
        return Effect(doomed=True)
    undone, changed = set(), set()
    for name in change.before.keys() | change.wanted.keys():
        now, wanted = change.before.get(name), change.wanted.get(name)
        does = merge(drift.before.get(name) if name in drifted else now, now, wanted)
        if does & Merge.UNDOES:
            undone.add(name)
        if does & Merge.CHANGES:
            changed.add(name)
    return Effect(
        undone=frozenset(undone),
        changed=frozenset(changed),
        lasting=frozenset(drifted - undone - changed - _open_names(change)),
    )


def _meet_deletion(drift: Entry, change: Entry | None) -> Effect:
    if change is None or "create" not in change.actions:
        return Effect()
    names = drift.before.keys() | change.wanted.keys()
    changed = (n for n in names if not recreates(drift.before.get(n), change.wanted.get(n)))
    return Effect(gone=True, changed=frozenset(changed))


def _open_names(change: Entry) -> set[str]:
    return {name for name, kind in change.differences.items() if kind is Difference.UNKNOWN}
