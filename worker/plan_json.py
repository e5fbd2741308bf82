"""``terraform show -json PLANFILE`` as typed entries, checked as far as a judgement needs them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from driftfleet.errors import CheckFailed
from driftfleet.results import ErrorKind
from worker.noise import Difference, difference, overlay, same

# 0.x is what Terraform 0.12 to 1.0 wrote; the parts that are read here did not change with 1.0.
_READABLE_MAJORS = ("0", "1")
_INSTANCE_KEY = re.compile(r'\[(?:\d+|\*|"(?:[^"\\]|\\.)*")\]')


@dataclass(frozen=True)
class Entry:
    """One element of ``resource_drift`` or ``resource_changes``.

    ``wanted`` is ``after`` with `UNKNOWN` for what is only known after apply.
    """

    address: str
    deposed: str
    module: str
    type: str
    provider: str
    mode: str
    actions: tuple[str, ...]
    before: dict[str, Any]
    wanted: dict[str, Any]
    sensitivity: tuple[Any, Any]
    moved: bool
    imported: bool
    reason: str

    @property
    def key(self) -> tuple[str, str]:
        """What tells one object from another: an address may hold deposed objects too."""
        return self.address, self.deposed

    @property
    def place(self) -> str:
        """The address in the configuration, without ``count``'s and ``for_each``'s keys."""
        return without_keys(self.address)

    @cached_property
    def differences(self) -> Mapping[str, Difference]:
        """How each top-level attribute changes; those that stay the same are left out."""
        found = {
            name: difference(self.before.get(name), self.wanted.get(name))
            for name in self.before.keys() | self.wanted.keys()
        }
        return {name: d for name, d in found.items() if d is not Difference.SAME}

    @property
    def faint_differences(self) -> set[str]:
        """Attributes that change in noise only, or only in being sensitive."""
        names = self.before.keys() | self.wanted.keys()
        before, after = self.sensitivity
        return {
            name
            for name in names
            if not same(self.before.get(name), self.wanted.get(name))
            or not same(_part(before, name), _part(after, name))
        }


@dataclass(frozen=True)
class Output:
    """One element of ``output_changes``; ``faint`` where only its sensitivity changes."""

    name: str
    actions: tuple[str, ...]
    before: Any
    wanted: Any

    @property
    def difference(self) -> Difference:
        """How the value changes."""
        return difference(self.before, self.wanted)


@dataclass(frozen=True)
class Plan:
    """A complete plan. ``relevant`` are (place, attribute) that fed what changes.

    It is None where Terraform was older than 1.2 and did not say.
    """

    drifts: tuple[Entry, ...]
    changes: tuple[Entry, ...]
    outputs: tuple[Output, ...]
    relevant: frozenset[tuple[str, str]] | None
    configuration: Mapping[str, Any]


def without_keys(address: str) -> str:
    """Drop instance keys: ``module.a["x"].aws_s3_bucket.b[0]`` -> ``module.a.aws_s3_bucket.b``."""
    return _INSTANCE_KEY.sub("", address)


def unreadable(why: str) -> NoReturn:
    """Raise the `CheckFailed` of a plan that can't be judged."""
    raise CheckFailed("show", ErrorKind.PLAN_UNREADABLE, f"The plan can't be judged: {why}")


def read_plan(tree: Mapping[str, Any]) -> Plan:
    """Read a plan.

    Raises
    ------
    CheckFailed
        The plan failed or is incomplete, its format is unknown, or a part is no plan's.
    """
    major = str(tree.get("format_version", "")).split(".")[0]
    if major not in _READABLE_MAJORS:
        unreadable(
            f"its format_version {tree.get('format_version')!r} is not known (0.x and 1.x are)."
        )
    if tree.get("errored") is True:
        unreadable("terraform marked it as failed (errored).")
    if tree.get("complete") is False:
        unreadable("terraform left a part of it for later (complete is false).")
    return Plan(
        drifts=_entries(tree, "resource_drift"),
        changes=_entries(tree, "resource_changes"),
        outputs=_outputs(tree),
        relevant=_relevant(tree),
        configuration=_mapping(tree, "configuration"),
    )


def _entries(tree: Mapping[str, Any], name: str) -> tuple[Entry, ...]:
    entries = [_entry(item, name) for item in _sequence(tree, name)]
    # Sorted, so that the order in which terraform lists them decides nothing.
    return tuple(sorted(entries, key=lambda entry: entry.key))


def _entry(item: Any, name: str) -> Entry:
    if not isinstance(item, dict) or not isinstance(item.get("address"), str):
        unreadable(f"an element of {name} has no address.")
    change = _mapping(item, "change")
    wanted = overlay(_mapping(change, "after"), _unknown(change))
    return Entry(
        address=item["address"],
        deposed=_word(item, "deposed"),
        module=_word(item, "module_address"),
        type=_word(item, "type"),
        provider=_word(item, "provider_name"),
        mode=_word(item, "mode") or "managed",
        actions=_actions(change, item["address"]),
        before=dict(_mapping(change, "before")),
        wanted=wanted if isinstance(wanted, dict) else {},
        sensitivity=(change.get("before_sensitive"), change.get("after_sensitive")),
        moved=bool(_word(item, "previous_address")),
        imported=bool(change.get("importing")),
        reason=_word(item, "action_reason"),
    )


def _unknown(change: Mapping[str, Any]) -> dict[str, Any]:
    mask = change.get("after_unknown")
    return mask if isinstance(mask, dict) else {}


def _actions(change: Mapping[str, Any], what: str) -> tuple[str, ...]:
    actions = change.get("actions")
    if not isinstance(actions, list) or not actions or not all(isinstance(a, str) for a in actions):
        unreadable(f"{what} has no list of actions.")
    return tuple(actions)


def _outputs(tree: Mapping[str, Any]) -> tuple[Output, ...]:
    found = []
    changes = _mapping(tree, "output_changes")
    for name in sorted(changes):
        change = _mapping(changes, name)
        wanted = overlay(change.get("after"), change.get("after_unknown"))
        actions = _actions(change, f"output.{name}")
        found.append(Output(name, actions, change.get("before"), wanted))
    return tuple(found)


def _relevant(tree: Mapping[str, Any]) -> frozenset[tuple[str, str]] | None:
    """Nothing listed is nothing relevant, except where Terraform was too old to list it."""
    if "relevant_attributes" not in tree:
        numbers = re.findall(r"\d+", str(tree.get("terraform_version", "")))[:2]
        return frozenset() if [int(n) for n in numbers] >= [1, 2] else None
    found = set()
    for item in _sequence(tree, "relevant_attributes"):
        if isinstance(item, dict):
            path = item.get("attribute")
            first = path[0] if isinstance(path, list) and path else ""
            found.add((without_keys(str(item.get("resource", ""))), str(first)))
    return frozenset(found)


def _part(value: Any, name: str) -> Any:
    """The sensitivity of one attribute; what isn't mentioned is not sensitive."""
    return (value.get(name) or False) if isinstance(value, dict) else bool(value)


def _mapping(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = tree.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        unreadable(f"its {key} is not an object.")
    return value


def _sequence(tree: Mapping[str, Any], key: str) -> list[Any]:
    value = tree.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        unreadable(f"its {key} is not a list.")
    return value


def _word(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""
