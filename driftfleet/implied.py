"""The providers that a module uses by the types of its resources, maybe without naming any.

Terraform takes what stands before the first underscore of a type for the local name of a provider,
unless the block says ``provider = NAME``.
https://developer.hashicorp.com/terraform/language/resources/configure#providers
"""

import re
from collections.abc import Iterator
from typing import Any

from driftfleet.blocks import Argument, Block, items, with_ends
from driftfleet.module_facts import Body, bodies

_TYPES = ("resource", "data", "ephemeral", "action")
USING_BLOCKS = frozenset((*_TYPES, "check", "import"))
# A reference, or, as it was written before Terraform 0.12, a string; python-hcl2 makes templates.
_LOCAL_NAME = re.compile(r'\s*(?:\$\{)?\s*"?\s*([^\W\d][\w-]*)')
_PROVIDER = re.compile(r"\bprovider[ \t]*=")


def names_used(text: str, block: Block, end: int) -> Iterator[str]:
    """The local names of the providers that a block of `USING_BLOCKS` uses.

    ``end`` is an offset behind the block, as `with_ends` gives it.
    """
    if block.type == "check":
        for inner, inner_end in with_ends(text, block.body):
            if inner.type == "data":
                yield from names_used(text, inner, min(inner_end, end))
        return
    explicit = None
    # Most have none, and going through a body once more takes as long as the first time.
    if _PROVIDER.search(text, block.body, end):
        for item in items(text, block.body):
            if isinstance(item, Argument) and item.name == "provider":
                explicit = _local_name(text[item.value : item.end])
    if explicit is not None:
        yield explicit
    elif block.type in _TYPES and len(block.labels) > 1:
        yield _implied(block.labels[0])


def implied_names(tree: Body) -> set[str]:
    """The local names of the providers that the blocks of a file's tree use."""
    trees = [tree]
    trees += [body for check in bodies(tree.get("check")) for body in _inner(check)]
    found = {name for one in trees for kind in _TYPES for name in _names(one.get(kind))}
    explicit = (_local_name(body.get("provider")) for body in bodies(tree.get("import")))
    return found.union(name for name in explicit if name is not None)


def _names(value: Any) -> Iterator[str]:
    for types in bodies(value):
        for written, named in types.items():
            for instances in bodies(named):
                for instance in instances.values():
                    for body in bodies(instance):
                        yield _local_name(body.get("provider")) or _implied(str(written))


def _implied(resource_type: str) -> str:
    return resource_type.partition("_")[0]


def _local_name(reference: Any) -> str | None:
    match = _LOCAL_NAME.match(reference) if isinstance(reference, str) else None
    return match[1] if match else None


def _inner(labelled: Body) -> Iterator[Body]:
    for inner in labelled.values():
        yield from bodies(inner)
