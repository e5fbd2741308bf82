"""A root module's files, and only those, into a workspace."""

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from driftfleet.closure import Closure, FolderModules, closure_of
from driftfleet.errors import CheckFailed
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Job
from driftfleet.tree import IGNORED_FOLDERS
from worker.workspace import Workspace, quota_exceeded


class RootSource(Protocol):
    """Where a root module's files come from."""

    def fetch(self, job: Job, workspace: Workspace) -> None:
        """Write the root's closure below ``workspace.source``, as it lies in the repository.

        Raises `CheckFailed` in the phase ``source``.
        """


class LocalSource:
    """Folders on this machine, under those that the settings allow.

    Whoever can write to Redis could otherwise have any folder of the worker's planned.
    """

    def __init__(self, allowed: Iterable[Path]) -> None:
        self._allowed = [path.resolve() for path in allowed]

    def fetch(self, job: Job, workspace: Workspace) -> None:
        top = self._top(job)
        if not (top / job.root).is_dir():
            raise CheckFailed(
                "source", "source_missing", f"{top / job.root}: the folder is gone since discovery"
            )
        closure = closure_of(job.root, FolderModules(top).facts)
        _refuse_problems(closure)
        try:
            self._copy(job, closure, _Copy(top, workspace, frozenset(closure.folders)))
        except RecursionError as error:
            raise CheckFailed(
                "source", "source_refused", f"{job.root}: folders are nested too deeply to copy"
            ) from error

    def _copy(self, job: Job, closure: Closure, copy: "_Copy") -> None:
        for folder in closure.folders:
            copy.folder(folder)
        for path in (*closure.files, *job.variant.var_files, *_setting_files(job)):
            copy.anything(path)

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


def _setting_files(job: Job) -> list[str]:
    return [setting for setting in job.variant.backend_config if "=" not in setting]


def _refuse_problems(closure: Closure) -> None:
    """A module source that leads out of the repository would lead out of the workspace, too."""
    if closure.problems:
        raise CheckFailed("source", "module_fetch", "; ".join(closure.problems))


class _Copy:
    """Copies from a repository into a workspace, counting bytes against its quota."""

    def __init__(self, top: Path, workspace: Workspace, closure: frozenset[str]) -> None:
        self._top = top
        self._workspace = workspace
        self._closure = closure
        self._bytes = 0

    def folder(self, path: str) -> None:
        """Copy a module's folder with its files and the folders below that hold no Terraform.

        What lies below and is Terraform is another module: copied if it is in the closure.
        """
        real = self._inside(self._top / path)
        if real is not None:
            self._tree(real, self._workspace.source / path, seen=(), whole=False)

    def anything(self, path: str) -> None:
        """Copy a file, or a folder with all below it, that a module names.

        One that is missing is left to terraform. A named folder is whole even where Terraform lies
        in it: a ``fileset`` over it must find what it finds in the repository.
        """
        real, target = self._inside(self._top / path), self._workspace.source / path
        if real is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._entry(real, target, seen=(), whole=True)

    def _tree(self, source: Path, target: Path, seen: tuple[Path, ...], *, whole: bool) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for entry in sorted(os.scandir(source), key=lambda e: e.name):
            if entry.name not in IGNORED_FOLDERS:
                self._entry(Path(entry.path), target / entry.name, seen, whole=whole)

    def _entry(self, source: Path, target: Path, seen: tuple[Path, ...], *, whole: bool) -> None:
        # What a folder lists is where it seems to be, unless it is itself a link.
        real = self._inside(source) if source.is_symlink() else source
        if real is None:
            return
        status = real.stat()
        if stat.S_ISDIR(status.st_mode):
            if real not in seen and (whole or not self._is_other_module(source, real)):
                self._tree(real, target, (*seen, real), whole=whole)
        elif target.exists():
            return
        elif stat.S_ISREG(status.st_mode):
            self._file(real, target, status)

    def _file(self, source: Path, target: Path, status: os.stat_result) -> None:
        self._bytes += max(status.st_size, 512)
        if self._bytes >= self._workspace.limit_bytes:
            raise quota_exceeded("source", self._workspace.limit_bytes)
        shutil.copyfile(source, target)
        target.chmod(0o700 if status.st_mode & stat.S_IXUSR else 0o600)

    def _inside(self, path: Path) -> Path | None:
        """Where a path ends, which must be inside the repository; None where it ends nowhere."""
        real = path.resolve()
        if not real.is_relative_to(self._top):
            raise CheckFailed(
                "source",
                "source_refused",
                f"{path.relative_to(self._top)}: the symbolic link leads out of the repository",
            )
        return real if real.exists() else None

    def _is_other_module(self, source: Path, real: Path) -> bool:
        if source.relative_to(self._top).as_posix() in self._closure:
            return True  # it is copied by its own name
        return any(is_terraform_file(entry.name) for entry in os.scandir(real))
