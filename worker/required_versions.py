"""What the files of a workspace ask of the version that plans: version files, required_version."""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from driftfleet.hcl import Allowance, is_terraform_file
from driftfleet.jobs import Job
from driftfleet.module_folders import read_folder
from driftfleet.tree import FilesInside
from driftfleet.versions.decision import Requirement
from driftfleet.versions.version_file import Asked, parse_version_file, unreadable, version_files
from worker.source import enforce_deadline


def version_files_of(root: str, top: Path) -> tuple[Asked, ...]:
    """What the version files ask for in the root's folder and those above, up to ``top``."""
    files, found = FilesInside(top), []
    for path in version_files(root):
        try:
            asked = parse_version_file(path, files.read(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            asked = unreadable(path, error.strerror or "no such file")
        if asked is not None:
            found.append(asked)
    return tuple(found)


def requirements_in(
    job: Job, top: Path, folders: Iterable[str], deadline: float
) -> tuple[tuple[str, Requirement], ...]:
    """(folder, requirement) of every ``required_version`` in these folders below ``top``.

    No link out of ``top`` is followed. Raises `CheckFailed` where the check's time is over.
    """
    files, allowance = FilesInside(top), Allowance()
    inside = os.path.realpath(top)
    found: list[tuple[str, Requirement]] = []

    def read(prefix: str, name: str) -> bytes:
        enforce_deadline(job, deadline)
        content = files.read(prefix + name)
        return content if b"required_version" in content else b""

    for folder in folders:
        enforce_deadline(job, deadline)
        prefix = "" if folder == "." else f"{folder}/"
        if not Path(os.path.realpath(top / folder)).is_relative_to(inside):
            continue
        try:
            names = [name for name in os.listdir(top / folder) if is_terraform_file(name)]
        except OSError:
            continue
        facts = read_folder(names, partial(read, prefix), allowance=allowance)
        found += [
            (folder, Requirement(one.constraint, f"{prefix}{one.file}:{one.line}"))
            for one in facts.required
        ]
    return tuple(found)
