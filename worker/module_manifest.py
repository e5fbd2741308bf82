"""What terraform noted of the modules that it fetched (``modules/modules.json`` in its data)."""

import json
import posixpath
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from driftfleet.errors import CheckFailed
from driftfleet.hcl import is_terraform_file

# "- vpc.subnets in .terraform/modules/vpc/modules/subnets"
_PRINTED = re.compile(r"^- ([\w.-]+) in (.+)$", re.MULTILINE)
_MOST_PRINTED = 2_000


def require_modules(folder: Path, data: str) -> None:
    """Refuse fetched modules without any Terraform.

    ``folder`` is the root's, ``data`` the folder in it where terraform keeps what is its own.

    Terraform takes an empty folder for a module in which there is nothing to do: a repository that
    came empty would end in `clean`.

    Raises
    ------
    CheckFailed
        Of kind ``module_fetch``; names the modules.
    """
    empty = [
        f"module.{module['Key']} ({module.get('Source', '')})"
        for module in _read(folder / data / "modules" / "modules.json")
        if _is_fetched(module, data) and not _has_terraform(folder / module["Dir"])
    ]
    if empty:
        raise CheckFailed(
            "init",
            "module_fetch",
            f"{', '.join(empty[:5])}: what was fetched holds no Terraform: the repository is "
            "empty, or the server's answer was, or the folder after '//' is not the module's",
            transient=True,
        )


def fetched_folders(printed: str, data: str) -> Iterator[tuple[str, str]]:
    """(address, folder) of the modules below ``data`` that ``terraform get`` says it has.

    Where their ``required_version`` refuses it, it notes nothing, but has printed where they are.
    The first two thousand; folders count from the root's, and stay below ``data``.
    """
    for match in islice(_PRINTED.finditer(printed), _MOST_PRINTED):
        folder = posixpath.normpath(match[2].strip())
        if folder.startswith(f"{data}/modules/"):
            yield "module." + match[1].replace(".", ".module."), folder


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        modules = json.loads(path.read_bytes())["Modules"]
        return [dict(module) for module in modules if module.get("Key") and module.get("Dir")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _is_fetched(module: dict[str, Any], data: str) -> bool:
    """Whether a module lies among those that were fetched, and not in the root's repository."""
    return Path(module["Dir"]).is_relative_to(f"{data}/modules")


def _has_terraform(folder: Path) -> bool:
    try:
        return any(is_terraform_file(path.name) for path in folder.iterdir())
    except OSError:
        return False
