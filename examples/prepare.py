"""Gives the example fleet a real world, then changes it behind Terraform's back.

It starts from scratch each time: the roots are applied in a copy under .demo/, so that nothing but
their state and one variables file, both ignored by git, appears beside the committed code.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from provider.mirror import build_mirror, cli_config

EXAMPLES = Path(__file__).resolve().parent
FLEET = EXAMPLES / "fleet"
DEMO = EXAMPLES.parent / ".demo"
MIRROR, WORLD, COPY = DEMO / "mirror", DEMO / "world", DEMO / "fleet"
VARIABLES = "world.auto.tfvars.json"
STATES = ("terraform.tfstate", "terraform.tfstate.d")
INSTALL = (
    "install Terraform 1.5 or newer (https://developer.hashicorp.com/terraform/install) "
    "and run make demo again"
)


@dataclass(frozen=True)
class Applied:
    """A root that has a state. ``variables`` are what the code said when it was last applied."""

    root: str
    variables: tuple[str, ...] = ()
    workspaces: tuple[str, ...] = ()
    world: bool = True


APPLIED = (
    Applied("network"),
    Applied("dns"),
    Applied("certificates"),
    Applied("billing", variables=("rate=0.20",)),
    Applied("gateway", variables=('routes=["shop"]',)),
    Applied("reports", variables=("format=csv",), world=False),
    Applied("catalog"),
    Applied("hotfix", variables=("replicas=3",)),
    Applied("shop", workspaces=("staging", "production")),
)


class Stopped(Exception):
    """Preparation can't go on; the message is for the person."""


def main() -> None:
    terraform = find_terraform()
    remove_earlier_files()
    build_mirror(MIRROR)
    write_variables()
    shutil.copytree(FLEET, COPY, ignore=shutil.ignore_patterns(".terraform"))
    say(f"Applying {len(APPLIED)} roots; the real world is a folder: {shown(WORLD)}")
    # The plugins' sockets lie in TMPDIR, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        environment = terraform_environment(Path(folder))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda applied: apply(terraform, applied, environment), APPLIED))
    shutil.rmtree(COPY)
    change_the_world()


def say(line: str) -> None:
    print(line, flush=True)


def shown(path: Path) -> str:
    """A path as a person types it here."""
    return os.path.relpath(path)


def find_terraform() -> str:
    path = shutil.which("terraform")
    if path is None:
        raise Stopped(f"terraform is not on the PATH: {INSTALL}")
    told = run([path, "version", "-json"], EXAMPLES, clean_environment())
    version = str(json.loads(told)["terraform_version"])
    if tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".")[:2]) < (1, 5):
        raise Stopped(f"{path} is Terraform {version}, which is too old: {INSTALL}")
    return path


def remove_earlier_files() -> None:
    """Remove what an earlier preparation made, and nothing else."""
    for folder in (MIRROR, WORLD, COPY):
        shutil.rmtree(folder, ignore_errors=True)
    for applied in APPLIED:
        root = FLEET / applied.root
        for name in (VARIABLES, "terraform.tfstate", "terraform.tfstate.backup"):
            (root / name).unlink(missing_ok=True)
        shutil.rmtree(root / "terraform.tfstate.d", ignore_errors=True)


def write_variables() -> None:
    text = json.dumps({"world": str(WORLD)}, indent=2) + "\n"
    for applied in APPLIED:
        if applied.world:
            (FLEET / applied.root / VARIABLES).write_text(text, encoding="utf-8")


def clean_environment() -> dict[str, str]:
    """This process's environment without the person's own TF_* variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    # TF_CLI_CONFIG_FILE must not be the person's, and may not name a missing file.
    return {**own, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}


def terraform_environment(folder: Path) -> dict[str, str]:
    config = folder / "terraform.rc"
    config.write_text(cli_config(MIRROR), encoding="utf-8")
    mine = {"TF_CLI_CONFIG_FILE": str(config), "TMPDIR": str(folder), "TF_IN_AUTOMATION": "1"}
    return {**clean_environment(), **mine}


def apply(terraform: str, applied: Applied, environment: Mapping[str, str]) -> None:
    """Apply one root in its copy, in each of its workspaces, and bring its state home."""
    folder = COPY / applied.root
    run([terraform, "init", "-no-color", "-input=false"], folder, environment)
    command = [terraform, "apply", "-no-color", "-input=false", "-auto-approve"]
    command += [f"-var={variable}" for variable in applied.variables]
    for workspace in applied.workspaces:
        run([terraform, "workspace", "new", workspace], folder, environment)
        run([*command, f"-var-file={workspace}.tfvars"], folder, environment)
    if not applied.workspaces:
        run(command, folder, environment)
    for name in STATES:
        if (folder / name).exists():
            shutil.move(folder / name, FLEET / applied.root / name)


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = f"{done.stdout}{done.stderr}".strip()
        raise Stopped(f"{' '.join(command)} failed in {shown(folder)}:\n{told}")
    return done.stdout


def change_the_world() -> None:
    """What people do to a real world when nobody looks."""
    say("Changing it behind Terraform's back:")
    edit("dns/zone.txt", "www 300 A 192.0.2.99\n")
    edit("gateway/limits.txt", "100000 requests a second\n")
    edit("shop/production/index.html", "<h1>Summer sale</h1>\n")
    edit("hotfix/scale.txt", "replicas 5\n")
    (WORLD / "certificates/www.pem").unlink()
    say("  deleted certificates/www.pem")
    say("The code has moved on since it was applied in: billing, gateway, hotfix, reports")


def edit(path: str, content: str) -> None:
    (WORLD / path).write_text(content, encoding="utf-8")
    say(f"  edited  {path}")


if __name__ == "__main__":
    try:
        main()
    except Stopped as reason:
        sys.exit(f"prepare: {reason}")
