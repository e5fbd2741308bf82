"""What counts as a difference between two values of a plan.

Providers report null where there was ``{}``, and the other way round; that is noise. A value that
Terraform only learns when it applies is `UNKNOWN`: neither the same nor different.
"""

import json
from collections.abc import Callable
from enum import IntEnum, IntFlag
from itertools import zip_longest
from typing import Any, Final

_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


class _Unknown:
    """Stands in a value for what is only known after apply."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


class Difference(IntEnum):
    """How a value differs from another one; the greatest of its parts' counts for the whole."""

    SAME = 0
    UNKNOWN = 1
    KNOWN = 2


def strip(value: Any) -> Any:
    """Drop null, ``{}``, ``[]`` and ``""`` at every depth; nothing left is None."""
    return _strip(value, lambda leaf: leaf in _EMPTY)


def strip_zeros(value: Any) -> Any:
    """Like `strip`, and drop 0 and false too: what a provider reads back for "not set"."""
    return _strip(value, lambda leaf: not leaf)


def _strip(value: Any, empty: Callable[[Any], bool]) -> Any:
    if isinstance(value, dict):
        kept = {key: _strip(item, empty) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None} or None
    if isinstance(value, list):
        items = [_strip(item, empty) for item in value]
        return [item for item in items if item is not None] or None
    return None if value is not UNKNOWN and empty(value) else value


def overlay(after: Any, unknown: Any) -> Any:
    """Put `UNKNOWN` into ``after`` wherever ``unknown`` (a plan's ``after_unknown``) is true."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and unknown:
        known = after if isinstance(after, dict) else {}
        keys = known.keys() | unknown.keys()
        return {key: overlay(known.get(key), unknown.get(key)) for key in keys}
    if isinstance(unknown, list) and unknown:
        known_items = after if isinstance(after, list) else []
        return [overlay(item, mask) for item, mask in zip_longest(known_items, unknown)]
    return after


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: true is not 1, and the order of a list counts."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def differs(before: Any, after: Any) -> bool:
    """Whether two values differ in more than noise."""
    return not same(strip(before), strip(after))


def difference(before: Any, wanted: Any) -> Difference:
    """How ``wanted``, which may hold `UNKNOWN`, differs from ``before``, noise left out."""
    return _difference(strip(before), strip(wanted))


def _difference(before: Any, wanted: Any) -> Difference:
    if wanted is UNKNOWN:
        return Difference.UNKNOWN
    if isinstance(wanted, dict) and isinstance(before, dict | None):
        known = before or {}
        # A map of which every part is unknown may turn out empty.
        parts = (_difference(known.get(k), wanted.get(k)) for k in known.keys() | wanted.keys())
        return max(parts, default=Difference.SAME)
    if isinstance(wanted, list) and isinstance(before, list) and _has_unknown(wanted):
        return _list_difference(before, wanted)
    if isinstance(wanted, list) and before is None and all(i is UNKNOWN for i in wanted):
        return Difference.UNKNOWN
    return Difference.SAME if same(before, wanted) else Difference.KNOWN


def _list_difference(before: list[Any], wanted: list[Any]) -> Difference:
    if len(before) != len(wanted):
        return Difference.KNOWN
    in_order = max(map(_difference, before, wanted))
    if in_order is not Difference.KNOWN:
        return in_order
    # A set's elements change places when a part of one becomes unknown.
    return Difference.UNKNOWN if _may_equal(before, wanted) else Difference.KNOWN


def _may_equal(before: list[Any], wanted: list[Any]) -> bool:
    """Whether every element of ``wanted`` finds one of ``before`` that it may still equal."""
    left = list(before)
    # What is fully known is choosier, so it chooses first.
    for item in sorted(wanted, key=_has_unknown):
        place = next((i for i, b in enumerate(left) if not _certain(b, item)), None)
        if place is None:
            return False
        del left[place]
    return True


def _certain(before: Any, wanted: Any) -> bool:
    return _difference(before, wanted) is Difference.KNOWN


def _has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_unknown(item) for item in value)
    return value is UNKNOWN


class Merge(IntFlag):
    """What the code does to a value that may have drifted."""

    NOTHING = 0
    UNDOES = 1
    CHANGES = 2


def merge(old: Any, now: Any, wanted: Any) -> Merge:
    """Tell what is undone from what is new: a three-way merge of state, world and code.

    ``old`` is what Terraform last knew, ``now`` what it found, ``wanted`` what the code asks for.
    Maps are compared key by key and lists element by element, so that a label added outside and
    another one added in the code are told apart.
    """
    return _merge(strip(old), strip(now), strip(wanted))


def _merge(old: Any, now: Any, wanted: Any) -> Merge:
    if not _certain(now, wanted):
        return Merge.NOTHING
    if same(old, now):
        return Merge.CHANGES
    values = (old, now, wanted)
    if all(isinstance(v, dict | None) for v in values):
        return _merge_maps([v or {} for v in values])
    if all(isinstance(v, list | None) for v in values):
        return _merge_lists(*(v or [] for v in values))
    return Merge.UNDOES if not _certain(old, wanted) else _merge_documents(*values)


def _merge_documents(*values: Any) -> Merge:
    """A policy is a text with parts of its own; of other texts all is changed at once."""
    documents = [strip(_document(v)) for v in values]
    if None in documents:
        return Merge.UNDOES | Merge.CHANGES
    return _merge(*documents) or Merge.UNDOES


def _merge_maps(maps: list[dict[str, Any]]) -> Merge:
    found = Merge.NOTHING
    for key in set().union(*maps):
        found |= _merge(*(m.get(key) for m in maps))
    return found


def _merge_lists(old: list[Any], now: list[Any], wanted: list[Any]) -> Merge:
    if len(old) == len(now) == len(wanted) == 1:
        return _merge(old[0], now[0], wanted[0])
    wanted = [_settled(item, now, old) for item in wanted]
    if not _certain(old, wanted):
        return Merge.UNDOES
    found = Merge.NOTHING
    for item in [*old, *now, *wanted]:
        if not _has_unknown(item):
            found |= _merge_membership(*(_holds(items, item) for items in (old, now, wanted)))
    # The same elements in another order.
    return found or (Merge.UNDOES | Merge.CHANGES)


def _settled(item: Any, *places: list[Any]) -> Any:
    """The element that one with unknown parts may turn out to be."""
    if not _has_unknown(item):
        return item
    candidates = (c for place in places for c in place)
    return next((c for c in candidates if not _certain(c, item)), item)


def _holds(items: list[Any], item: Any) -> bool:
    return any(same(item, other) for other in items)


def _merge_membership(old: bool, now: bool, wanted: bool) -> Merge:
    if now == wanted:
        return Merge.NOTHING
    return Merge.CHANGES if old == now else Merge.UNDOES


def _document(value: Any) -> Any:
    """A JSON document in a string, such as a policy; None for everything else."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def recreates(before: Any, wanted: Any) -> bool:
    """Whether something that is created anew comes back as it was.

    More is let pass than by `difference`: before the first refresh a provider says null for what
    it reads back as 0 or false, and a policy comes back with its keys in another order.
    """
    documents = _document(before), _document(wanted)
    if None not in documents:
        before, wanted = documents
    return _difference(strip_zeros(before), strip_zeros(wanted)) is not Difference.KNOWN
