"""Root modules in repositories on GitHub, at the commit that their job names."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from driftfleet.closure import Closure, closure_of, read_folder
from driftfleet.errors import CheckFailed, SourceRefused
from driftfleet.github.lfs import is_pointer
from driftfleet.github.paths import shown
from driftfleet.github.snapshot import Snapshot
from driftfleet.hcl import ModuleFacts, is_terraform_file
from driftfleet.jobs import Job
from driftfleet.results import ErrorKind
from worker.github_connection import Connection, LazyConnection
from worker.selection import ENTRY_BYTES, Found, QuotaExceeded, named_files, select
from worker.source import enforce_deadline, explained, lay_out, refuse_problems
from worker.workspace import Workspace, quota_exceeded

_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class GitHubSource:
    """A GitHub server's repositories, for one process."""

    def __init__(self, connection: LazyConnection) -> None:
        self._connection = connection
        # Jobs of one sweep come one after the other, and most of what they need is the same.
        self._last: _Opened | None = None

    def fetch(self, job: Job, workspace: Workspace, deadline: float) -> Closure:
        _refuse_odd_names(job)
        with explained(job):
            commit = self._commit(job)
            if commit.find(job.root) is None:
                raise CheckFailed(
                    "source",
                    ErrorKind.SOURCE_MISSING,
                    f"{job.source.repo} at {job.source.sha[:12]}: there is no folder {job.root}",
                )
            closure = _closure(job, commit, workspace, deadline)
            _write(job, commit, closure, workspace, deadline)
        return closure

    def secrets(self) -> Sequence[str]:
        return self._connection.secrets()

    def _commit(self, job: Job) -> "Commit":
        connection = self._connection.get()
        repo, sha = job.source.repo, job.source.sha
        last = self._last
        # After a refusal there is another connection, and what held the one before is of no use.
        if last is None or last[:3] != (connection, repo.lower(), sha):
            settings = self._connection.cache_settings
            snapshot = Snapshot(connection.github, repo, sha, connection.cache, settings)
            last = self._last = _Opened(connection, repo.lower(), sha, Commit(snapshot))
        return last.commit


class Commit:
    """A commit as a selection and a closure see it; see `worker.selection.Contents`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._facts: dict[str, ModuleFacts | None] = {}
        self._reached: dict[str, list[str]] = {}

    def find(self, path: str) -> Found | None:
        real = self.snapshot.resolve(path)
        if real is None:
            self._refuse_inside_submodule(path)
            return None
        entry = self.snapshot.listing.entries.get(real)
        if entry is None:
            return Found(real, "folder")
        if entry.kind == "submodule":
            raise _submodule(path)
        assert entry.kind != "link"
        return Found(real, entry.kind, entry.size)

    def names(self, folder: str) -> Sequence[str]:
        return list(self.snapshot.listing.children(folder))

    def read(self, path: str) -> bytes:
        """A file's bytes. Raises `SourceRefused` where they aren't the file itself."""
        content = self.snapshot.read(path)
        if is_pointer(content):
            raise SourceRefused(
                f"{shown(path)}: is kept in Git LFS, and the repository holds a pointer only, "
                "which a plan would take for the file; GitHub's API doesn't give the file: keep it "
                "in the repository itself (git lfs migrate export)"
            )
        return content

    def facts(self, folder: str) -> ModuleFacts | None:
        """What a folder's files say; nothing as yet for one that is reached the first time."""
        if folder not in self._facts:
            if folder not in self._reached:
                self._reached[folder] = self._terraform_files(folder)
            return ModuleFacts() if self._reached[folder] else None
        return self._facts[folder]

    def reached_bytes(self) -> int:
        """What the files have that `read_reached` would fetch; a link counts for itself."""
        entries = self.snapshot.listing.entries
        paths = (path for found in self._reached.values() for path in found)
        return sum(entries[path].size for path in paths if path in entries)

    def read_reached(self) -> bool:
        """Read the folders that were reached since, fetching all at once; False for none."""
        reached, self._reached = self._reached, {}
        self.snapshot.fetch(path for paths in reached.values() for path in paths)
        for folder, paths in reached.items():
            self._facts[folder] = self._read(paths)
        return any(reached.values())

    def _terraform_files(self, folder: str) -> list[str]:
        found = self.find(folder)
        if found is None or found.kind != "folder":
            return []
        names = filter(is_terraform_file, self.names(found.path))
        return [name if found.path == "." else f"{found.path}/{name}" for name in names]

    def _read(self, paths: Sequence[str]) -> ModuleFacts | None:
        files = {p.rpartition("/")[2]: f for p in paths if (f := self.find(p)) is not None}
        names = [name for name, found in files.items() if found.kind != "folder"]
        if not names:
            return None
        return read_folder(
            names, lambda name: self.snapshot.read(files[name].path), sources_only=True
        )

    def _refuse_inside_submodule(self, path: str) -> None:
        """Where nothing is: a submodule would be silence, not the absence that it seems."""
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            entry = self.snapshot.listing.entries.get(self.snapshot.resolve(above) or "")
            if entry is not None and entry.kind == "submodule":
                raise _submodule(path)


class _Opened(NamedTuple):
    connection: Connection
    repo: str
    sha: str
    commit: Commit


def _closure(job: Job, commit: Commit, workspace: Workspace, deadline: float) -> Closure:
    """Follow the modules in rounds: each reads all folders that the one before has reached."""
    limit, used = workspace.limit_bytes, 0
    while True:
        enforce_deadline(job, deadline)
        closure = closure_of(job.root, commit.facts)
        used += commit.reached_bytes()
        if used >= limit:
            raise quota_exceeded("source", limit)
        if not commit.read_reached():
            break
    refuse_problems(closure)
    return closure


def _write(
    job: Job, commit: Commit, closure: Closure, workspace: Workspace, deadline: float
) -> None:
    named, limit = named_files(closure, job.variant), workspace.limit_bytes
    try:
        chosen = select(closure.folders, named, commit, limit)
    except QuotaExceeded as error:
        raise quota_exceeded("source", limit) from error
    enforce_deadline(job, deadline)
    attributes = commit.snapshot.attributes()
    files = [f.path for f in chosen.values() if f.kind != "folder"]
    commit.snapshot.fetch([*files, *attributes.above(files)])
    spare = limit - sum(max(f.size, ENTRY_BYTES) for f in chosen.values())

    def put(found: Found, target: Path) -> None:
        nonlocal spare
        enforce_deadline(job, deadline)
        content = attributes.converted(found.path, commit.read(found.path))
        spare -= len(content) - found.size
        if spare <= 0:
            raise quota_exceeded("source", limit)
        target.write_bytes(content)
        target.chmod(0o700 if found.kind == "executable" else 0o600)

    lay_out(chosen, workspace, put)


def _submodule(path: str) -> SourceRefused:
    return SourceRefused(
        f"{shown(path)}: is a git submodule or lies in one, and GitHub's API doesn't give what is "
        "in it: keep what a plan reads in the repository itself, or use a module source for it "
        "(git::https://...?ref=...)"
    )


def _refuse_odd_names(job: Job) -> None:
    """A job comes from Redis: what it names is put into URLs."""
    if not _REPOSITORY.fullmatch(job.source.repo) or ".." in job.source.repo:
        reason = f"{job.source.repo!r} is no repository's name: it is owner/name"
    elif not _COMMIT.fullmatch(job.source.sha):
        reason = f"{job.source.repo}: {job.source.sha!r} is no commit's SHA"
    else:
        return
    raise CheckFailed("source", ErrorKind.JOB_REFUSED, reason)
