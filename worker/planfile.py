"""What the refresh changed, read from a plan file without starting a provider.

A plan file is a zip that holds the state before and after the refresh (``tfstate-prev`` and
``tfstate``, state format 4). That is terraform's own format and may change: whoever reads it has to
be able to do without, by ``terraform show``, which gives the same ``resource_drift``.
"""

import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from driftfleet.tree import FilesInside

_STATES = ("tfstate-prev", "tfstate")
_STATE_FORMAT = 4


def read_drift(
    plan: Path, addresses: Collection[str], most_bytes: int = 256 << 20
) -> Mapping[str, Any] | None:
    """The ``resource_drift`` of a plan that changes nothing, as ``terraform show -json`` has it.

    ``addresses`` are those that the plan's own messages name. None where the file is not as
    expected, tells of other addresses, or holds a state of more than ``most_bytes``.
    """
    try:
        # Whatever a provider has put there in its place.
        with FilesInside(plan.parent).open(plan.name) as packed, zipfile.ZipFile(packed) as file:
            states = (_unpacked(file, name, most_bytes) for name in _STATES)
            before, after = (dict(_instances(json.loads(state))) for state in states)
    except (OSError, zipfile.BadZipFile, LookupError, TypeError, ValueError, AttributeError):
        return None
    drift = [
        _entry(address, resource, attributes, after.get(address, ({}, None))[1])
        for address, (resource, attributes) in before.items()
        if attributes != after.get(address, ({}, None))[1]
    ]
    if {entry["address"] for entry in drift} != set(addresses):
        return None
    return {"format_version": "1.0", "resource_drift": drift}


def _unpacked(file: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    with file.open(name) as member:
        content = member.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(name)
    return content


def _instances(state: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Mapping[str, Any], Any]]]:
    if state["version"] != _STATE_FORMAT:
        raise ValueError(state["version"])
    for resource in state["resources"]:
        for instance in resource["instances"]:
            if resource["mode"] == "managed" and "deposed" not in instance:
                yield _address(resource, instance), (resource, instance["attributes"])


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    module = f"{resource['module']}." if resource.get("module") else ""
    key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return f"{module}{resource['type']}.{resource['name']}{key}"


def _entry(address: str, resource: Mapping[str, Any], before: Any, after: Any) -> dict[str, Any]:
    return {
        "address": address,
        "module_address": resource.get("module", ""),
        "mode": "managed",
        "type": resource["type"],
        "change": {
            "actions": ["delete" if after is None else "update"],
            "before": before,
            "after": after,
        },
    }
