"""The read-only provider mirror, and the CLI configuration that lets terraform see nothing else."""

import platform
from pathlib import Path

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


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


def platform_name() -> str:
    """This machine in the mirror's words: ``linux_amd64``."""
    machine = platform.machine()
    return f"linux_{_MACHINES.get(machine, machine)}"
