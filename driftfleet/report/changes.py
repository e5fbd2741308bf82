"""Changes, put together so that hundreds of them can be read."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from driftfleet.results import Change

# An instance's key: `[0]`, `["eu"]`.
_INDEX = re.compile(r'\[(?:\d+|"(?:[^"\\]|\\.)*")\]')
_MOST_ADDRESSES = 500


@dataclass(frozen=True)
class Kind:
    """``name`` is that of `driftfleet.results.Change.kind`."""

    name: str
    title: str
    meaning: str


KINDS = (
    Kind("drift", "Changed outside Terraform", "what happened to the real thing"),
    Kind("unapplied", "In the code, never applied", "what an apply would do"),
    Kind("output", "Outputs", "values of the root that would change"),
)


@dataclass(frozen=True)
class Row:
    """Changes that differ in their instance alone.

    ``address`` is that of the one, or what they have in common, with ``[*]`` for their keys.
    ``addresses`` are all of them, ``hidden`` how many more there are.
    """

    address: str
    actions: tuple[str, ...]
    attributes: tuple[str, ...]
    addresses: tuple[str, ...]
    hidden: int = 0

    @property
    def count(self) -> int:
        """How many changes they are."""
        return len(self.addresses) + self.hidden


@dataclass(frozen=True)
class Module:
    """The rows of a module, whose keys are ``[*]``; the root module has no address."""

    address: str
    rows: tuple[Row, ...]

    @property
    def count(self) -> int:
        """How many changes they are."""
        return sum(row.count for row in self.rows)


@dataclass(frozen=True)
class ChangesOfKind:
    """What differs in one way. ``actions`` counts each set of actions, the most frequent first."""

    kind: Kind
    modules: tuple[Module, ...]
    actions: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """How many changes they are."""
        return sum(module.count for module in self.modules)


def grouped(changes: Iterable[Change]) -> tuple[ChangesOfKind, ...]:
    """The changes by kind, module and what they have in common; a kind without any is left out."""
    told = list(changes)
    of_kinds = ((kind, [one for one in told if one.kind == kind.name]) for kind in KINDS)
    return tuple(_of_kind(kind, these) for kind, these in of_kinds if these)


def _of_kind(kind: Kind, changes: Sequence[Change]) -> ChangesOfKind:
    modules: dict[str, list[Change]] = {}
    counts: dict[str, int] = {}
    for one in changes:
        modules.setdefault(_common(one.module), []).append(one)
        action = " + ".join(one.actions)
        counts[action] = counts.get(action, 0) + 1
    return ChangesOfKind(
        kind=kind,
        modules=tuple(Module(address, _rows(modules[address])) for address in sorted(modules)),
        actions=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    )


def _rows(changes: Sequence[Change]) -> tuple[Row, ...]:
    alike: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for one in changes:
        key = (_common(one.address), one.actions, tuple(sorted(set(one.attributes))))
        alike.setdefault(key, []).append(one.address)
    return tuple(
        Row(
            address=address if len(addresses) > 1 else addresses[0],
            actions=actions,
            attributes=attributes,
            addresses=tuple(sorted(addresses, key=_natural)[:_MOST_ADDRESSES]),
            hidden=max(0, len(addresses) - _MOST_ADDRESSES),
        )
        for (address, actions, attributes), addresses in sorted(
            alike.items(), key=lambda item: (_natural(item[0][0]), item[0])
        )
    )


def _natural(address: str) -> list[tuple[int, str]]:
    """By their numbers: ``rule_2`` before ``rule_10``."""
    parts = re.split(r"([0-9]{1,18})", address)
    return [(int(part), "") if n % 2 else (0, part) for n, part in enumerate(parts)]


def _common(address: str) -> str:
    return _INDEX.sub("[*]", address)
