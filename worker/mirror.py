"""The read-only provider mirror, and the CLI configuration that lets terraform see nothing else."""

import shlex
from pathlib import Path

from driftfleet.jobs import Source


def cli_configuration(mirror: Path | None, empty: Path) -> str:
    """The text of terraform's CLI configuration.

    Without ``direct`` nothing is ever downloaded into a workspace. Without any installation block
    terraform would also search ``terraform.d/plugins`` in the root module, and a repository could
    bring its own provider binary: so where there is no mirror an ``empty`` folder stands for it.
    """
    path = str(mirror or empty).replace("\\", "\\\\").replace('"', '\\"')
    return (
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        "  filesystem_mirror {\n"
        f'    path = "{path}"\n'
        "  }\n"
        "}\n"
    )


def sync_command(source: Source, mirror: Path | None) -> str:
    """The command that brings what the roots of a job's source need into the mirror."""
    target = f"{source.repo}@{source.ref}" if source.ref else source.repo
    folder = str(mirror) if mirror is not None else "DIR"
    return f"driftfleet mirror sync {shlex.quote(target)} --mirror {shlex.quote(folder)}"
