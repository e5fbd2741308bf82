"""Root modules in folders on this machine."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from driftfleet.closure import Closure, closure_of, holds_values, with_values
from driftfleet.errors import CheckFailed, SourceRefused
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Job
from driftfleet.module_folders import FolderModules
from driftfleet.tree import FilesInside
from worker.selection import (
    Found,
    QuotaExceeded,
    backend_files,
    named_files,
    select,
    values_in,
)
from worker.source import enforce_deadline, explained, lay_out, refuse_problems
from worker.workspace import Workspace, quota_exceeded


class LocalSource:
    """Folders on this machine, under those that the settings allow.

    Whoever can write to Redis could otherwise have any folder of the worker's planned.
    """

    def __init__(self, allowed: Iterable[Path]) -> None:
        self._allowed = [path.resolve() for path in allowed]

    def fetch(self, job: Job, workspace: Workspace, deadline: float) -> Closure:
        top = self._top(job)
        if not (top / job.root).is_dir():
            raise CheckFailed(
                "source", "source_missing", f"{top / job.root}: the folder is gone since discovery"
            )
        modules = FolderModules(top)
        closure = closure_of(job.root, modules.facts, modules.real)
        refuse_problems(closure)
        closure = with_values(closure, job.root, _values(top, job))
        named, limit = named_files(closure, job.variant), workspace.limit_bytes

        def put(found: Found, target: Path) -> None:
            enforce_deadline(job, deadline)
            with suppress(FileNotFoundError):
                _copy(top, found, target)

        with explained(job):
            try:
                chosen = select(closure, named, _Folder(top), limit, root=job.root)
            except QuotaExceeded as error:
                raise quota_exceeded("source", limit) from error
            lay_out(chosen, workspace, put)
        return closure

    def secrets(self) -> Sequence[str]:
        return ()

    def _top(self, job: Job) -> Path:
        top = Path(job.source.repo).resolve()
        if job.source.kind != "local":
            raise CheckFailed(
                "source", "job_refused", f"this worker has no source of kind {job.source.kind}"
            )
        if not any(top.is_relative_to(allowed) for allowed in self._allowed):
            raise CheckFailed(
                "source",
                "job_refused",
                f"{top} is under no folder of worker.local_roots, from which this worker may plan",
            )
        return top


def _values(top: Path, job: Job) -> Iterator[str]:
    """The texts that give the root's variables their values."""
    folder, files = top / job.root, FilesInside(top)
    beside = [f"{job.root}/{name}" for name in os.listdir(folder) if holds_values(name)]
    yield from values_in(job.variant)
    for path in (*beside, *job.variant.var_files, *backend_files(job.variant)):
        with suppress(OSError):
            yield files.read(path).decode("utf-8", "replace")


def _copy(top: Path, found: Found, target: Path) -> None:
    try:
        shutil.copyfile(top / found.path, target)
    except PermissionError as error:
        raise SourceRefused(f"{found.path}: the worker may not read it") from error


class _Folder:
    """What a folder on this machine holds; see `worker.selection.Contents`."""

    def __init__(self, top: Path) -> None:
        self._top = str(top)

    def find(self, path: str) -> Found | None:
        real = os.path.realpath(f"{self._top}/{path}")
        if real != self._top and not real.startswith(self._top.rstrip("/") + "/"):
            raise SourceRefused(f"{path}: the symbolic link leads out of the repository")
        try:
            status = os.stat(real)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return None
            reason = (
                "the symbolic link leads in a circle"
                if error.errno == errno.ELOOP
                else f"can't be read: {error.strerror}"
            )
            raise SourceRefused(f"{path}: {reason}") from error
        place = os.path.relpath(real, self._top)
        if stat.S_ISDIR(status.st_mode):
            return Found(place, "folder")
        if not stat.S_ISREG(status.st_mode):
            # Terraform would read it, and a plan without it is another root's plan.
            if is_terraform_file(path.rpartition("/")[2]):
                raise SourceRefused(f"{path}: is no regular file")
            return None
        executable = bool(status.st_mode & stat.S_IXUSR)
        return Found(place, "executable" if executable else "file", status.st_size)

    def names(self, folder: str) -> list[str]:
        return os.listdir(f"{self._top}/{folder}")
