"""The files of one repository at one commit, by path relative to its top."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from driftfleet.hcl import READ_BYTES, TOO_LARGE, is_terraform_file
from driftfleet.versions.version_file import is_version_file

LOCK_FILE = ".terraform.lock.hcl"
# Folders that hold no source: version control, and what terraform and its wrappers download.
IGNORED_FOLDERS = frozenset({".git", ".hg", ".terraform", ".terragrunt-cache"})
# Without O_NONBLOCK it would wait for whoever writes into a pipe.
_READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK_BYTES = 64 << 10


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
        or name == LOCK_FILE
        or is_version_file(name)
    )


class LocalTree:
    """A folder on this machine. Symbolic links to files count, links to folders do not.

    A Terraform file counts whatever it is, unless it is a folder: that it ends nowhere, leads out
    or is a pipe is an error that somebody should see. What else is no file does not.

    ``unlisted`` are the folders that `paths` could not look into, each with the reason.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unlisted: dict[str, str] = {}
        self._files = FilesInside(folder)

    def paths(self) -> Iterator[str]:
        top = str(self._folder)
        for folder, folders, names in os.walk(top, onerror=self._note):
            folders[:] = [name for name in folders if name not in IGNORED_FOLDERS]
            relative = os.path.relpath(folder, top)
            for name in filter(lambda name: _counts(folder, name), names):
                yield name if relative == "." else f"{relative}/{name}"

    def _note(self, error: OSError) -> None:
        # One that has gone meanwhile isn't there.
        if not isinstance(error, FileNotFoundError):
            path = os.path.relpath(error.filename, self._folder)
            self.unlisted[path] = error.strerror or type(error).__name__

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises ``OSError``; see `FilesInside`."""
        return self._files.read(path)

    def identify(self, path: str) -> bytes:
        return self._files.digest(path)


def _counts(folder: str, name: str) -> bool:
    try:
        mode = os.stat(f"{folder}/{name}").st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or (is_terraform_file(name) and not stat.S_ISDIR(mode))


class FilesInside:
    """Reads the files below a folder on this machine, and nothing else that its names lead to.

    What a repository calls a file can be a link to the other end of the machine, or a pipe that
    never says anything. All methods raise ``OSError``, with a reason for a person, for what is no
    regular file and for a link that leads out of the folder.
    """

    def __init__(self, top: Path, limit_bytes: int = READ_BYTES) -> None:
        self._top = os.path.realpath(top)
        self._limit_bytes = limit_bytes
        self._folders: dict[str, str] = {}

    def read(self, path: str) -> bytes:
        """A file's bytes; ``EFBIG`` where it has more than the limit: no more is read."""
        descriptor, size = self._open(path)
        try:
            content = b"" if size > self._limit_bytes else _read(descriptor, self._limit_bytes + 1)
        finally:
            os.close(descriptor)
        if max(size, len(content)) > self._limit_bytes:
            raise OSError(errno.EFBIG, TOO_LARGE, path)
        return content

    def open(self, path: str) -> BinaryIO:
        """A file of any size, to be read and closed."""
        return os.fdopen(self._open(path)[0], "rb")

    def digest(self, path: str) -> bytes:
        """The SHA-256 of a file of any size."""
        total = hashlib.sha256()
        descriptor, _ = self._open(path)
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                total.update(chunk)
        finally:
            os.close(descriptor)
        return total.digest()

    def _open(self, path: str) -> tuple[int, int]:
        """A descriptor, and how many bytes the file has."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._real(folder)
        try:
            descriptor = os.open(f"{self._folders[folder]}/{name}", _READ_ONLY)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EMLINK):
                raise
            # A link, which is not followed before it is known where to.
            descriptor = os.open(self._real(path), _READ_ONLY)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file", path)
        return descriptor, status.st_size

    def _real(self, path: str) -> str:
        real = os.path.realpath(f"{self._top}/{path}")
        if real != self._top and not real.startswith(self._top.rstrip("/") + "/"):
            message = "the symbolic link leads out of the repository (or of the scanned folder)"
            raise PermissionError(errno.EACCES, message, path)
        return real


def _read(descriptor: int, most_bytes: int) -> bytes:
    chunks = []
    while most_bytes and (chunk := os.read(descriptor, min(most_bytes, _CHUNK_BYTES))):
        chunks.append(chunk)
        most_bytes -= len(chunk)
    return b"".join(chunks)


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
