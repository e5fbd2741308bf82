"""What `driftfleet discover` does and prints."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from producer.discovery import Folder
from producer.found import Found
from producer.survey import SurveyOrder
from producer.table import harmless, width_of


@dataclass(frozen=True)
class Inventory(SurveyOrder):
    """What to discover, and what to show of it; ``everything`` shows folders that are no roots."""

    everything: bool


def discover_targets(order: Inventory) -> int:
    """Discover, show it, and return the exit code.

    Raises
    ------
    ConfigurationError
        There is no Terraform in a folder, or in none of the repositories; or a setting is missing.
    """
    outlook = order.survey(shown=order.everything)
    shown = [one for one in outlook.found if one.discovery.folders]
    show(shown, as_json=order.as_json, everything=order.everything, stdout=order.stdout)
    return 1 if outlook.troubles else 0


def show(found: Sequence[Found], *, as_json: bool, everything: bool, stdout: TextIO) -> None:
    """Print the roots, or every folder, of each target."""
    for target in found:
        folders = target.discovery.folders if everything else target.discovery.roots
        if as_json:
            lines = [_record(target, folder) for folder in folders]
        else:
            lines = [*_table(folders), *_footer(target, everything=everything)]
            if len(found) > 1:
                lines = [f"{harmless(target.name)}:", *lines, ""]
        for line in lines:
            stdout.write(f"{line}\n")
    stdout.flush()


def _record(target: Found, folder: Folder) -> str:
    source = {"source": target.source.repo, "ref": target.source.ref, "sha": target.source.sha}
    return json.dumps({**source, **folder.model_dump(mode="json")})


def _table(folders: Sequence[Folder]) -> list[str]:
    """Two columns and, indented below each folder, what else is known of it."""
    path_width = max((width_of(harmless(folder.path)) for folder in folders), default=0)
    lines: list[str] = []
    for folder in folders:
        path = harmless(folder.path)
        padding = " " * (path_width - width_of(path))
        lines.append(f"{folder.kind:<7}  {path}{padding}  {harmless(folder.reason)}")
        lines += [f"{'':<11}{harmless(fact)}" for fact in _facts(folder)]
    return lines


def _facts(folder: Folder) -> list[str]:
    if folder.kind != "root":
        return []
    providers = ", ".join(
        f"{source} {constraint}".strip() for source, constraint in sorted(folder.providers.items())
    )
    lock = "" if folder.lock_file else " (no lock file)"
    facts = {
        "needs": ", ".join(folder.needs),
        "terraform": ", ".join(
            filter(None, [folder.terraform_version or "", *folder.required_version])
        ),
        "backend": folder.backend or "",
        "providers": f"{providers}{lock}" if providers else "",
    }
    lines = [f"{name}: {value}" for name, value in facts.items() if value]
    lines += [f"problem: {problem}" for problem in folder.problems]
    lines += [f"error: {e.file}:{e.line}: {e.message}" for e in folder.errors]
    return lines


def _footer(target: Found, *, everything: bool) -> list[str]:
    kinds = Counter(folder.kind for folder in target.discovery.folders)
    roots = kinds.pop("root", 0)
    others = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    line = f"{roots} root module{'' if roots == 1 else 's'}"
    if others:
        line += f"; no roots: {others}" + ("" if everything else " (--all shows them)")
    return ["", line]
