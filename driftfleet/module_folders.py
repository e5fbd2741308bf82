"""What the folders of a repository say that hold Terraform: in a tree, or on this machine."""

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from driftfleet.hcl import (
    TOO_LARGE,
    Allowance,
    ModuleFacts,
    ModuleReader,
    is_terraform_file,
    reading_order,
)
from driftfleet.tree import FilesInside, Tree

# What one folder's Terraform files may have together.
FOLDER_BYTES = 16 * 1024 * 1024


class TreeModules:
    """The facts of a tree's folders, read when first asked for and then kept.

    ``paths`` spares listing the tree where the caller already has.
    """

    def __init__(self, tree: Tree, paths: Iterable[str] | None = None) -> None:
        self._tree = tree
        self._names: dict[str, list[str]] = {}
        self._facts: dict[str, ModuleFacts] = {}
        self._allowance = Allowance()
        for path in tree.paths() if paths is None else paths:
            folder, _, name = path.rpartition("/")
            if is_terraform_file(name):
                self._names.setdefault(folder or ".", []).append(name)

    def folders(self) -> list[str]:
        """Every folder with Terraform files, sorted."""
        return sorted(self._names)

    def facts(self, folder: str) -> ModuleFacts | None:
        if folder not in self._names:
            return None
        if folder not in self._facts:
            prefix = "" if folder == "." else f"{folder}/"
            names = self._names[folder]
            self._facts[folder] = read_folder(
                names, lambda name: self._tree.read(prefix + name), allowance=self._allowance
            )
        return self._facts[folder]


class FolderModules:
    """The facts of folders below ``top`` on this machine, for a closure: nothing else is listed.

    A link that leads out of ``top`` is not followed.
    """

    def __init__(self, top: Path) -> None:
        self._top = top.resolve()
        self._files = FilesInside(self._top)
        self._allowance = Allowance()
        self._facts: dict[str, ModuleFacts | None] = {}

    def facts(self, folder: str) -> ModuleFacts | None:
        if folder not in self._facts:
            self._facts[folder] = self._look(folder)
        return self._facts[folder]

    def real(self, folder: str) -> str | None:
        """The folder with its links followed; None where that is not below the top."""
        try:
            path = (self._top / folder).resolve()
        except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            return None
        return str(path.relative_to(self._top)) if path.is_relative_to(self._top) else None

    def _look(self, folder: str) -> ModuleFacts | None:
        try:
            path = (self._top / folder).resolve()
            if not path.is_relative_to(self._top):
                return None
            names = [name for name in os.listdir(path) if is_terraform_file(name)]
        except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            return None
        names = [name for name in names if not os.path.isdir(path / name)]
        if not names:
            return None
        return read_folder(
            names,
            lambda name: self._files.read(f"{folder}/{name}"),
            sources_only=True,
            allowance=self._allowance,
        )


def read_folder(
    names: Iterable[str],
    read: Callable[[str], bytes],
    *,
    sources_only: bool = False,
    allowance: Allowance | None = None,
) -> ModuleFacts:
    """Read a folder's files of these ``names``, one after the other.

    A file that can't be read (``OSError``) is one of its errors, and hides no other file. Beyond
    `FOLDER_BYTES`, and beyond the ``allowance`` of the repository, nothing is read, which is an
    error as well.
    """
    allowance = allowance or Allowance()
    reader = ModuleReader(allowance, sources_only=sources_only)
    left = FOLDER_BYTES
    for name in reading_order(names):
        if reader.is_full:
            break
        if allowance.bytes_left <= 0:
            reader.stop(name, "is not read: the folders before it had too much to read")
            break
        try:
            content = read(name)
        except OSError as error:
            if error.errno == errno.EFBIG:
                reader.refuse(name, error.strerror or TOO_LARGE, skipped=True)
            else:
                reader.refuse(name, f"can't be read: {error.strerror or 'no such file'}")
            continue
        left -= len(content)
        allowance.bytes_left -= len(content)
        if left < 0:
            reader.stop(
                name,
                f"with this file the folder's Terraform files have more than {FOLDER_BYTES >> 20} "
                "MiB: neither it nor the files after it are read",
            )
        else:
            reader.read(name, content)
    return reader.facts()
