"""Which resource attributes an expression reads, from a plan's ``configuration``.

Module variables and module outputs are followed through every level. Locals are not in a plan:
what goes through one is *opaque*.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.plan_json import without_keys

# What an expression can read that neither the world nor another resource decides.
_FIXED = ("count", "self", "path", "terraform", "ephemeral")


@dataclass(frozen=True)
class Sources:
    """``attributes`` are (place, attribute); the attribute is "" for the whole resource.

    ``opaque``: something else may be read too, which can't be told.
    """

    attributes: frozenset[tuple[str, str]] = frozenset()
    opaque: bool = False

    def __or__(self, other: "Sources") -> "Sources":
        return Sources(self.attributes | other.attributes, self.opaque or other.opaque)


NOTHING = Sources()
OPAQUE = Sources(opaque=True)


@dataclass
class References:
    """Looks up what feeds the attributes of resources and the outputs."""

    configuration: Mapping[str, Any]
    _found: dict[tuple[str, str], Sources] = field(default_factory=dict)
    _blocks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def attribute(self, place: str, name: str) -> Sources | None:
        """What feeds an attribute; None where no expression gives it (the provider does)."""
        block = self._resource(place)
        if block is None or name not in _dict(block.get("expressions")):
            return None
        module = _module_of(place)
        return self._resolve(module, list(_references(block["expressions"][name])), block)

    def instances(self, place: str) -> Sources:
        """What feeds ``count`` or ``for_each``."""
        block = self._resource(place) or {}
        wanted = [block.get("count_expression"), block.get("for_each_expression")]
        return self._resolve(_module_of(place), list(_references(wanted)), {})

    def output(self, name: str) -> Sources:
        """What feeds an output of the root module."""
        return self._output("", name)

    def outputs(self) -> Iterator[str]:
        """The names of the root module's outputs."""
        return iter(_dict(self._module("").get("outputs")))

    def _resolve(self, module: str, names: Sequence[str], block: Mapping[str, Any]) -> Sources:
        found = NOTHING
        for name in _most_specific([without_keys(n) for n in names]):
            if name.startswith("each."):
                each = list(_references(block.get("for_each_expression")))
                found |= self._resolve(module, each, {})
                continue
            key = (module, name)
            if key not in self._found:
                self._found[key] = NOTHING  # a data source may depend on itself through a module
                self._found[key] = self._resolve_one(module, name)
            found |= self._found[key]
        return found

    def _resolve_one(self, module: str, name: str) -> Sources:
        first, *rest = name.split(".")
        if first in _FIXED or not rest:
            return NOTHING
        if first == "local":
            return OPAQUE
        if first == "var":
            return self._variable(module, rest[0])
        if first == "module":
            return self._call(module, rest)
        if first == "data":
            return self._data(module, rest)
        return Sources(frozenset({(f"{module}{first}.{rest[0]}", rest[1] if rest[1:] else "")}))

    def _variable(self, module: str, name: str) -> Sources:
        """The root module's variables are given from outside; a child's come from its caller."""
        if not module:
            return NOTHING
        parent, call = _split_module(module)
        body = self._calls(parent).get(call, {})
        return self._resolve(
            parent, list(_references(_dict(body.get("expressions")).get(name))), body
        )

    def _call(self, module: str, rest: Sequence[str]) -> Sources:
        child = f"{module}module.{rest[0]}."
        outputs = [rest[1]] if rest[1:] else list(_dict(self._module(child).get("outputs")))
        found = NOTHING
        for name in outputs:
            found |= self._output(child, name)
        return found

    def _output(self, module: str, name: str) -> Sources:
        body = _dict(_dict(self._module(module).get("outputs")).get(name))
        return self._resolve(module, list(_references(body.get("expression"))), {})

    def _data(self, module: str, rest: Sequence[str]) -> Sources:
        """A data source itself, and what it reads: its result may hang on that."""
        place = f"{module}data.{'.'.join(rest[:2])}"
        block = self._resource(place) or {}
        names = [*_references(block.get("expressions")), *(block.get("depends_on") or [])]
        return Sources(frozenset({(place, "")})) | self._resolve(module, names, block)

    def _resource(self, place: str) -> Mapping[str, Any] | None:
        module = _module_of(place)
        if module not in self._blocks:
            blocks = [_dict(b) for b in self._module(module).get("resources") or []]
            self._blocks[module] = {str(b.get("address")): b for b in blocks}
        return self._blocks[module].get(place.removeprefix(module))

    def _calls(self, module: str) -> Mapping[str, Any]:
        return _dict(self._module(module).get("module_calls"))

    def _module(self, module: str) -> Mapping[str, Any]:
        body = _dict(self.configuration.get("root_module"))
        for name in [p for p in module.split(".") if p][1::2]:
            body = _dict(_dict(_dict(body.get("module_calls")).get(name)).get("module"))
        return body


def _references(expression: Any) -> Iterator[str]:
    """Every reference in an expression, or in a block's expressions at any depth."""
    if isinstance(expression, list):
        for item in expression:
            yield from _references(item)
    elif isinstance(expression, dict):
        names = expression.get("references")
        if isinstance(names, list) and all(isinstance(n, str) for n in names):
            yield from names
            return
        for key, item in expression.items():
            if key != "constant_value":
                yield from _references(item)


def _most_specific(names: Sequence[str]) -> list[str]:
    """Terraform lists ``a.b.c`` and with it ``a.b``: only the longest says what is read."""
    return [n for n in sorted(set(names)) if not any(o.startswith(n + ".") for o in names)]


def _module_of(place: str) -> str:
    """``module.a.module.b.`` of ``module.a.module.b.aws_s3_bucket.x``; "" in the root module."""
    parts = place.split(".")
    depth = 0
    while parts[depth : depth + 1] == ["module"]:
        depth += 2
    return "".join(f"{part}." for part in parts[:depth])


def _split_module(module: str) -> tuple[str, str]:
    parts = module.rstrip(".").split(".")
    return "".join(f"{part}." for part in parts[:-2]), parts[-1]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
