"""Big repositories, the same on every run: a monorepo of environments, and a very wide tree.

The monorepo has the figures of a real one: files, bytes, Terraform files and folders, and roots
that use modules outside their own folder. What is in the files is invented.
"""

import base64
import random
from collections.abc import Iterator
from pathlib import Path

from tests.standin.repositories import Executable, File, Link, create_bare, import_commit

FILES = 5_800
TERRAFORM_FILES = 4_000
TERRAFORM_FOLDERS = 340
ROOTS = 172
BYTES = 26_000_000
# How many folders the largest root reaches, itself included; how many roots leave their own.
WIDEST_ROOT = 29
ROOTS_WITH_SHARED_MODULES = 25
_ENVIRONMENTS = ("dev", "production", "shared", "staging")
_SHARED_MODULES = 60
_LINKED_ROOTS = 20
_RESOURCES = 3

_VERSIONS = """terraform {
  required_version = ">= 1.5"
}
"""


def monorepo() -> dict[str, File]:
    """All files: the roots, their own modules, the shared ones, and everything else."""
    rng = random.Random(5_800)
    files: dict[str, File] = dict(_shared())
    roots = root_folders()
    for number, root in enumerate(roots):
        files.update(_root(root, number))
    own = TERRAFORM_FOLDERS - len(roots) - _SHARED_MODULES
    for number, root in enumerate(roots[:own]):
        files.update(_module(f"{root}/modules/app", number))
    _add_terraform(files, rng)
    _add_rest(files, rng)
    return files


def root_folders() -> list[str]:
    """The monorepo's root modules."""
    services = ROOTS // len(_ENVIRONMENTS)
    return [
        f"environments/{environment}/service-{service:02}"
        for service in range(services)
        for environment in _ENVIRONMENTS
    ]


def make_monorepo(folder: Path) -> Path:
    """A bare repository with the monorepo in one commit."""
    create_bare(folder)
    import_commit(folder, monorepo(), branch="main", message="Everything")
    return folder


def make_wide_tree(folder: Path, entries: int = 200_000, *, folders: int = 20) -> Path:
    """A bare repository of so many entries in top folders of equal size, one root in each.

    The files share their blobs: only the trees cost anything.
    """
    # Each of its own, or all top folders would be one tree.
    files: dict[str, File] = {
        f"team-{top:02}/main.tf": f"# team {top}\n{_VERSIONS}" for top in range(folders)
    }
    per_top = (entries - 2 * folders) // folders
    # A hundred files and the folder that holds them.
    for number in range(per_top * folders):
        top, place = divmod(number, per_top)
        section, leaf = divmod(place, 101)
        if leaf:
            files[f"team-{top:02}/data/{section:04}/{leaf:03}.json"] = f'{{"kind": {leaf % 10}}}\n'
    create_bare(folder)
    import_commit(folder, files, branch="main", message="Everything")
    return folder


def _shared() -> Iterator[tuple[str, File]]:
    yield "README.md", "# Environments\n"
    yield ".gitattributes", "docs/internal/** export-ignore\nversion.txt export-subst\n"
    yield "docs/internal/plans.md", "not for archives\n"
    yield "version.txt", "$Format:%H$\n"
    yield "shared/versions.tf.shared", _VERSIONS
    yield "shared/templates/banner.tftpl", "Welcome to ${name}\n"
    yield "shared/policies/read.json", '{"Version": "2012-10-17", "Statement": []}\n'
    yield "scripts/lint.sh", Executable("#!/bin/sh\nterraform fmt -check -recursive\n")
    yield "modules/README.md", Link("../README.md")
    for number in range(_SHARED_MODULES):
        yield from _module(f"modules/shared-{number:02}", number).items()
    # It calls so many that its one caller, which has a module of its own, reaches WIDEST_ROOT.
    calls = (_call(f"part_{n}", f"../shared-{n:02}") for n in range(1, WIDEST_ROOT - 2))
    yield "modules/shared-00/calls.tf", "\n".join(calls)


def _module(folder: str, number: int) -> dict[str, File]:
    default = f'  default = "m{number}"\n'
    return {
        f"{folder}/main.tf": f'variable "name" {{\n  type = string\n{default}}}\n',
        f"{folder}/outputs.tf": 'output "name" {\n  value = var.name\n}\n',
    }


def _root(folder: str, number: int) -> dict[str, File]:
    up = "../" * (folder.count("/") + 1)
    calls = []
    if number < TERRAFORM_FOLDERS - ROOTS - _SHARED_MODULES:
        calls.append(_call("app", "./modules/app"))
    if number == 0:
        calls.append(_call("stack", f"{up}modules/shared-00"))
    elif number < ROOTS_WITH_SHARED_MODULES:
        calls.append(_call("part", f"{up}modules/shared-{WIDEST_ROOT + number:02}"))
    banner = f'templatefile("${{path.module}}/{up}shared/templates/banner.tftpl", {{ name = "x" }})'
    own = 'templatefile("${path.module}/templates/user_data.tftpl", { name = "x" })'
    key = f'    key = "{folder}"\n'
    linked = number < _LINKED_ROOTS
    versions = Link(f"{up}shared/versions.tf.shared") if linked else _VERSIONS
    return {
        f"{folder}/backend.tf": f'terraform {{\n  backend "s3" {{\n{key}  }}\n}}\n',
        f"{folder}/versions.tf": versions,
        f"{folder}/main.tf": "\n".join(calls) + f"\nlocals {{\n  text = {own}\n}}\n",
        f"{folder}/banner.tf": f"locals {{\n  banner = {banner}\n}}\n" if number % 17 == 3 else "",
        f"{folder}/templates/user_data.tftpl": "#!/bin/sh\necho ${name}\n",
        f"{folder}/terraform.tfvars": f'environment = "{folder.split("/")[1]}"\n',
        f"{folder}/.terraform.lock.hcl": "# This file is maintained by `terraform init`.\n",
    }


def _call(name: str, source: str) -> str:
    return f'module "{name}" {{\n  source = "{source}"\n}}\n'


def _add_terraform(files: dict[str, File], rng: random.Random) -> None:
    """Fill the Terraform folders up, evenly."""
    terraform = [path for path in files if path.endswith(".tf")]
    folders = sorted({path.rpartition("/")[0] for path in terraform})
    for number in range(TERRAFORM_FILES - len(terraform)):
        folder, turn = folders[number % len(folders)], number // len(folders)
        files[f"{folder}/part_{turn:02}.tf"] = _resources(f"part_{turn:02}", rng)


def _resources(label: str, rng: random.Random) -> str:
    words = [f"{rng.getrandbits(256):064x}" for _ in range(_RESOURCES)]
    return "\n".join(
        f"# What team {word[:8]} asked for; see the runbook before you change it.\n"
        f'resource "terraform_data" "{label}_{place}" {{\n  input = "{word}"\n}}\n'
        for place, word in enumerate(words)
    )


def _add_rest(files: dict[str, File], rng: random.Random) -> None:
    """Fill files and bytes up with what has nothing to do with Terraform."""
    missing = FILES - len(files)
    size = (BYTES - sum(map(_size, files.values()))) // missing
    kinds = ("docs/{0:04}.md", "dashboards/{0:04}.json", "apps/{1:02}/src/{0:04}.py")
    for number in range(missing):
        path = kinds[number % len(kinds)].format(number, number % 40)
        # So much noise makes the archive about a third of the bytes.
        noise = base64.b64encode(rng.randbytes(size * 3 // 10)).decode()
        line = f"{number:08} the quick brown fox jumps over the lazy dog; nobody reads this line\n"
        files[path] = (noise + "\n" + line * (size // len(line)))[:size]


def _size(file: File) -> int:
    match file:
        case Executable(content=content) | (str(content) | bytes(content)):
            return len(content)
    return 0
