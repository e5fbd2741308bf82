"""Builds an unpacked provider mirror that holds the demo provider.

    python mirror.py FOLDER [VERSION...]

The mirrored executable is a shell script of two lines that is the same on every machine, so that a
lock file with its checksum can be committed. What differs, the paths of Python and of the
provider's module, is in a launcher at the mirror's top.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

ADDRESS = "registry.terraform.io/driftfleet/demo"
MODULE = Path(__file__).with_name("demo_provider.py")
_LAUNCHER = "demo-provider"
# Terraform runs it through a symbolic link to its folder; the kernel resolves `..` behind that.
_SCRIPT = """#!/bin/sh
# driftfleet/demo {version}
exec "${{0%/*}}/{up}/{launcher}" "$@"
"""


def build_mirror(
    folder: Path, python: str = sys.executable, versions: Sequence[str] = ("1.0.0",)
) -> Path:
    """Make ``folder`` a mirror with the demo provider, and return it.

    Every version is the same program under another number. Existing versions are written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # -I and -B: no PYTHON* variable and no user's packages matter, no .pyc is written.
    command = shlex.join([python, "-I", "-B", str(MODULE.resolve())])
    _write_program(folder / _LAUNCHER, f'#!/bin/sh\nexec {command} "$@"\n')
    for version in versions:
        package = f"{ADDRESS}/{version}/linux_amd64"
        up = "/".join([".."] * len(Path(package).parts))
        script = _SCRIPT.format(version=version, up=up, launcher=_LAUNCHER)
        (folder / package).mkdir(parents=True, exist_ok=True)
        _write_program(folder / package / f"terraform-provider-demo_v{version}", script)
    return folder


def cli_config(mirror: Path) -> str:
    """A Terraform CLI configuration that finds providers in ``mirror`` and nowhere else."""
    return (
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        f'  filesystem_mirror {{ path = "{mirror}" }}\n'
        "}\n"
    )


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER [VERSION...]")
    print(build_mirror(Path(sys.argv[1]), versions=sys.argv[2:] or ("1.0.0",)))
