"""Tells which pending changes only follow from something that changed outside Terraform.

Two ways lead from a drift to another resource. A *lasting* drift is one that the code doesn't undo
(it ignores the attribute, or never sets it): others that read the attribute change with it. A drift
that *is* undone leaves values open until apply: others that read those are open too.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from worker.noise import Difference, difference, strip
from worker.plan_json import Entry, Plan
from worker.references import OPAQUE, References, Sources

Key = tuple[str, str]
Attribute = tuple[str, str]
# Terraform's own reasons that no drift can be behind.
OWN_REASONS = ("replace_because_tainted", "replace_by_request")


@dataclass(frozen=True)
class Shift:
    """A value that changed without the code asking for it; ``owners`` are the drifts behind it."""

    before: Any
    after: Any
    owners: frozenset[Key]


@dataclass(frozen=True)
class Caused:
    """A change is explained, by these drifts (none where it only waits for one to be undone)."""

    owners: frozenset[Key] = frozenset()


class _Trace(Enum):
    SHOWN = "the new value is the old one with the drift's value replaced"
    BELIED = "both values can be seen, but more than that has changed"
    HIDDEN = "a function stands between"


@dataclass
class Causes:
    """What is known of the causes in one plan; grows while changes are explained."""

    plan: Plan
    references: References
    shifts: dict[Attribute, list[Shift]] = field(default_factory=dict)
    _shifted: dict[str, set[str]] = field(default_factory=dict)
    open_places: set[str] = field(default_factory=set)
    _hidden: frozenset[Attribute] = frozenset()

    def add_lasting(self, drift: Entry, names: Iterable[str]) -> None:
        """Note attributes that changed outside and that the code leaves so."""
        for name in names:
            shift = Shift(drift.before.get(name), drift.wanted.get(name), frozenset({drift.key}))
            self._add_shift(drift.place, name, shift)

    def add_open(self, place: str) -> None:
        """Note a resource of which some values are open because a drift is undone."""
        self.open_places.add(place)

    def settle(self) -> None:
        """Call once when all drifts are noted and before anything is explained."""
        self._hidden = self._hidden_shifts()

    def explain(self, entry: Entry) -> tuple[Caused | None, list[str]]:
        """Explain a change that has no drift of its own.

        Returns why it is a consequence, or None and the attributes that the code itself changes.
        What follows from it is noted.
        """
        if entry.actions in (("create",), ("delete",)):
            return self._by_count(entry), []
        found: dict[str, Caused | None] = {}
        for name, kind in entry.differences.items():
            # What only the provider computes is open because something else changes.
            if kind is Difference.KNOWN or self.references.attribute(entry.place, name) is not None:
                before, wanted = entry.before.get(name), entry.wanted.get(name)
                found[name] = self.attribute(entry.place, name, before, wanted)
        if not found:
            found = dict.fromkeys(entry.differences, self._by_trigger(entry))
        own = sorted(name for name, caused in found.items() if caused is None)
        if entry.reason in OWN_REASONS:
            return None, [n for n in own if entry.differences[n] is Difference.KNOWN]
        if own or not found:
            return None, own
        caused = Caused(frozenset[Key]().union(*(c.owners for c in found.values() if c)))
        self._pass_on(entry, caused.owners)
        return caused, []

    def attribute(self, place: str, name: str, before: Any, wanted: Any) -> Caused | None:
        """Explain one attribute's change from ``before`` to ``wanted``."""
        sources = self.references.attribute(place, name)
        return self._value(sources or OPAQUE, before, wanted, hidden=sources is not None)

    def output(self, name: str, before: Any, wanted: Any) -> Caused | None:
        """Explain an output's change."""
        return self._value(self.references.output(name), before, wanted, hidden=True)

    def _value(self, sources: Sources, before: Any, wanted: Any, *, hidden: bool) -> Caused | None:
        if _is_open(before, wanted):
            return self._by_open(sources)
        return self._by_shift(sources, before, wanted, hidden=hidden)

    def _by_open(self, sources: Sources) -> Caused | None:
        if any(place in self.open_places for place, _ in sources.attributes):
            return Caused()
        relevant = self.plan.relevant
        through_local = relevant is None or any(p in self.open_places for p, _ in relevant)
        return Caused() if sources.opaque and self.open_places and through_local else None

    def _by_shift(
        self, sources: Sources, before: Any, wanted: Any, *, hidden: bool
    ) -> Caused | None:
        direct = [s for a in sources.attributes for s in self._at(a)]
        if direct and _trace(direct, before, wanted) is not _Trace.BELIED:
            return _caused(direct)
        if not sources.opaque:
            return None
        for shift in self._through_locals():
            if _trace([shift], before, wanted) is _Trace.SHOWN:
                return Caused(shift.owners)
        shifts = [s for a in self._hidden for s in self.shifts[a]] if hidden else []
        if shifts and _trace(shifts, before, wanted) is not _Trace.BELIED:
            return _caused(shifts)
        return None

    def _by_count(self, entry: Entry) -> Caused | None:
        """More or fewer of what there already is, where a drifted value decides how many."""
        others = [e for e in self.plan.changes if e.place == entry.place and e.key != entry.key]
        if entry.deposed or (entry.actions == ("create",) and not any(e.before for e in others)):
            return None
        sources = self.references.instances(entry.place)
        direct = [s for a in sources.attributes for s in self._at(a)]
        return _caused(direct) if direct else None

    def _add_shift(self, place: str, name: str, shift: Shift) -> None:
        self.shifts.setdefault((place, name), []).append(shift)
        self._shifted.setdefault(place, set()).add(name)

    def _at(self, attribute: Attribute) -> Iterator[Shift]:
        place, name = attribute
        for changed in sorted(self._shifted.get(place, ())):
            if name in ("", changed):
                yield from self.shifts[place, changed]

    def _through_locals(self) -> Iterator[Shift]:
        for attribute, shifts in self.shifts.items():
            if self._is_relevant(attribute):
                yield from shifts

    def _is_relevant(self, attribute: Attribute) -> bool:
        relevant = self.plan.relevant
        if relevant is None:
            return True
        return attribute in relevant or (attribute[0], "") in relevant

    def _by_trigger(self, entry: Entry) -> Caused | None:
        """``replace_triggered_by`` is in no plan, so any drift that is undone may be behind it."""
        if entry.reason == "replace_by_triggers" and self.open_places:
            return Caused()
        return self._by_open(OPAQUE)

    def _pass_on(self, entry: Entry, owners: frozenset[Key]) -> None:
        for name, kind in entry.differences.items():
            if kind is Difference.UNKNOWN:
                self.add_open(entry.place)
            else:
                shift = Shift(entry.before.get(name), entry.wanted.get(name), owners)
                self._add_shift(entry.place, name, shift)

    def _hidden_shifts(self) -> frozenset[Attribute]:
        """Drifted attributes that matter to something that changes, but by no visible way.

        A local must stand between, and the change behind it can't be told from another local's.
        """
        lasting = {a for a in self.shifts if self._is_relevant(a)}
        if self.plan.relevant is None or not lasting:
            return frozenset()
        seen = set[Attribute]()
        for sources, changes in self._visible_sources():
            if sources.opaque and not changes:
                return frozenset()
            seen |= sources.attributes
        return frozenset(a for a in lasting if a not in seen and (a[0], "") not in seen)

    def _visible_sources(self) -> Iterator[tuple[Sources, bool]]:
        changed = {o.name for o in self.plan.outputs if o.actions != ("no-op",)}
        for name in self.references.outputs():
            yield self.references.output(name), name in changed
        for entry in self.plan.changes:
            if entry.actions == ("no-op",):
                continue
            for name in entry.before.keys() | entry.wanted.keys():
                sources = self.references.attribute(entry.place, name)
                if sources is not None:
                    yield sources, name in entry.differences


def _is_open(before: Any, wanted: Any) -> bool:
    return difference(before, wanted) is Difference.UNKNOWN


def _trace(shifts: list[Shift], before: Any, wanted: Any) -> _Trace:
    old, new = _text(before), _text(wanted)
    pairs = [(_text(s.before), _text(s.after)) for s in shifts]
    if (old, new) in pairs:
        return _Trace.SHOWN
    pairs = [(p, q) for p, q in pairs if p and p != q]
    for candidate in [*([pair] for pair in pairs), pairs]:
        replaced = old
        for p, q in candidate:
            replaced = replaced.replace(p, q)
        if candidate and replaced == new:
            return _Trace.SHOWN
    visible = any(_stands_in(p, old) and _stands_in(q, new) for p, q in pairs)
    return _Trace.BELIED if visible else _Trace.HIDDEN


def _stands_in(part: str, text: str) -> bool:
    """Whether a part stands in a text by itself: a 1 inside a checksum says nothing."""
    return bool(part) and re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None


def _caused(shifts: Iterable[Shift]) -> Caused:
    return Caused(frozenset[Key]().union(*(s.owners for s in shifts)))


def _text(value: Any) -> str:
    """A value as it stands inside a longer text: bare where it is one word, else JSON."""
    value = strip(value)
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, sort_keys=True, default=repr)
