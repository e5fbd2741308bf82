"""The files of one repository at one commit, by path relative to its top."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from driftfleet.hcl import is_terraform_file

LOCK_FILE = ".terraform.lock.hcl"
VERSION_FILE = ".terraform-version"
# Folders that hold no source: version control, and what terraform and its wrappers download.
IGNORED_FOLDERS = frozenset({".git", ".hg", ".terraform", ".terragrunt-cache"})


class Tree(Protocol):
    """A repository's files. Paths are relative, ``/``-separated and normalised."""

    def paths(self) -> Iterator[str]:
        """Every regular file outside `IGNORED_FOLDERS`, in any order."""

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises ``FileNotFoundError``."""

    def identify(self, path: str) -> bytes:
        """What changes with a file's content, and costs less than that. Raises as `read`."""


def decides_plan(name: str) -> bool:
    """Whether a file of that name decides what a plan is, whatever names it."""
    return (
        is_terraform_file(name)
        or name.endswith((".tfvars", ".tfvars.json"))
        or name in (LOCK_FILE, VERSION_FILE)
    )


class LocalTree:
    """A folder on this machine. Symbolic links to files count, links to folders do not.

    A link that ends nowhere counts as well: reading it is an error that somebody should see. What
    is neither a file nor a folder, such as a pipe, does not: reading it could take for ever.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def paths(self) -> Iterator[str]:
        top = str(self._folder)
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if name not in IGNORED_FOLDERS]
            relative = os.path.relpath(folder, top)
            for name in filter(lambda name: _is_readable(f"{folder}/{name}"), names):
                yield name if relative == "." else f"{relative}/{name}"

    def read(self, path: str) -> bytes:
        return (self._folder / path).read_bytes()

    def identify(self, path: str) -> bytes:
        return hashlib.sha256(self.read(path)).digest()


def _is_readable(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


class MemoryTree:
    """Files in memory, for tests."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)

    def paths(self) -> Iterator[str]:
        return iter(self._files)

    def read(self, path: str) -> bytes:
        try:
            return self._files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    def identify(self, path: str) -> bytes:
        return hashlib.sha256(self.read(path)).digest()
