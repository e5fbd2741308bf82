"""Root modules in repositories on GitHub, at the commit that their job names."""

import errno
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from driftfleet.closure import Closure, closure_of, holds_values, with_values
from driftfleet.errors import CheckFailed, SourceRefused
from driftfleet.github.lfs import is_pointer
from driftfleet.github.paths import shown
from driftfleet.github.snapshot import Snapshot
from driftfleet.hcl import READ_BYTES, TOO_LARGE, Allowance, ModuleFacts, is_terraform_file
from driftfleet.jobs import Job
from driftfleet.module_folders import read_folder
from driftfleet.results import ErrorKind
from worker.github_connection import Connection, LazyConnection
from worker.selection import (
    ENTRY_BYTES,
    Found,
    QuotaExceeded,
    backend_files,
    named_files,
    select,
    values_in,
)
from worker.source import enforce_deadline, explained, in_time, lay_out, refuse_problems
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
        with explained(job), in_time(job, deadline), self._connection.until(deadline):
            commit = self._commit(job)
            commit.snapshot.renew()
            if commit.find(job.root) is None:
                raise CheckFailed(
                    "source",
                    ErrorKind.SOURCE_MISSING,
                    f"{job.source.repo} at {job.source.sha[:12]}: there is no folder {job.root}",
                )
            closure = _closure(job, commit, workspace, deadline)
            return _write(job, commit, closure, workspace, deadline)

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
    """A commit as a selection sees it; see `worker.selection.Contents`.

    ``facts`` are those of the folders that were read: they are the same for all its roots.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.facts: dict[str, ModuleFacts | None] = {}

    def real(self, path: str) -> str | None:
        """Where a path leads with all links followed; None for nothing."""
        found = self.snapshot.resolve(path)
        if found is None:
            self._refuse_inside_submodule(path)
        return found

    def find(self, path: str) -> Found | None:
        real = self.real(path)
        if real is None:
            return None
        entry = self.snapshot.listing.entries.get(real)
        if entry is None:
            return Found(real, "folder")
        if entry.kind == "submodule":
            raise _submodule(path)
        assert entry.kind != "link"
        return Found(real, entry.kind, entry.size)

    def names(self, folder: str) -> Iterator[str]:
        return self.snapshot.names(folder)

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

    def bring(self, chosen: Mapping[str, Found]) -> None:
        """Fetch what of these files isn't there, with the attributes that count for them."""
        files = [f for f in chosen.values() if f.kind in ("file", "executable")]
        needed = [f.path for f in files if not f.spare]
        wanted = [*needed, *self.snapshot.attributes().above(needed)]
        spare = [f.path for f in files if f.spare]
        with suppress(SourceRefused):
            wanted += [*spare, *self.snapshot.attributes().above(spare)]
        self.snapshot.fetch(wanted)

    def _refuse_inside_submodule(self, path: str) -> None:
        """Where nothing is: a submodule would be silence, not the absence that it seems."""
        parts = path.split("/")
        for length in range(1, len(parts)):
            above = "/".join(parts[:length])
            entry = self.snapshot.listing.entries.get(self.snapshot.resolve(above) or "")
            if entry is not None and entry.kind == "submodule":
                raise _submodule(path)


class Reading:
    """One root's way through a commit: which folders it has reached, and not yet read.

    Nothing of it outlives its root: what ends that one, another one hasn't reached. ``enforce``
    is called before each file that is read, and raises where the time is over.
    """

    def __init__(self, commit: Commit, enforce: Callable[[], None]) -> None:
        self._commit = commit
        self._enforce = enforce
        self._allowance = Allowance()
        self._cut: dict[str, ModuleFacts | None] = {}
        self._reached: dict[str, list[str]] = {}

    def facts(self, folder: str) -> ModuleFacts | None:
        """What a folder's files say; nothing as yet for one that is reached the first time."""
        for known in (self._commit.facts, self._cut):
            if folder in known:
                return known[folder]
        if folder not in self._reached:
            self._enforce()
            self._reached[folder] = self._terraform_files(folder)
        return ModuleFacts() if self._reached[folder] else None

    def reached_bytes(self) -> int:
        """What the files have that `read_reached` would fetch; a link counts for itself."""
        entries = self._commit.snapshot.listing.entries
        paths = (path for found in self._reached.values() for path in found)
        return sum(entries[path].size for path in paths if path in entries)

    def read_reached(self) -> bool:
        """Read the folders that were reached since, fetching all at once; False for none."""
        reached, self._reached = self._reached, {}
        self._commit.snapshot.fetch(path for paths in reached.values() for path in paths)
        for folder, paths in reached.items():
            facts = self._read(paths)
            # What was too much after all that this root had read need not be for the next one.
            known = self._cut if facts is not None and facts.skipped else self._commit.facts
            known[folder] = facts
        return any(reached.values())

    def _terraform_files(self, folder: str) -> list[str]:
        found = self._commit.find(folder)
        if found is None or found.kind != "folder":
            return []
        names = filter(is_terraform_file, self._commit.names(found.path))
        return [name if found.path == "." else f"{found.path}/{name}" for name in names]

    def _read(self, paths: Sequence[str]) -> ModuleFacts | None:
        found = {p.rpartition("/")[2]: f for p in paths if (f := self._commit.find(p)) is not None}
        names = [name for name, file in found.items() if file.kind != "folder"]

        def read(name: str) -> bytes:
            self._enforce()
            if found[name].size > READ_BYTES:
                raise OSError(errno.EFBIG, TOO_LARGE)
            return self._commit.snapshot.read(found[name].path)

        if not names:
            return None
        return read_folder(names, read, sources_only=True, allowance=self._allowance)


class _Opened(NamedTuple):
    connection: Connection
    repo: str
    sha: str
    commit: Commit


def _closure(job: Job, commit: Commit, workspace: Workspace, deadline: float) -> Closure:
    """Follow the modules in rounds: each reads all folders that the one before has reached."""
    limit, used = workspace.limit_bytes, 0
    reading = Reading(commit, partial(enforce_deadline, job, deadline))
    while True:
        enforce_deadline(job, deadline)
        closure = closure_of(job.root, reading.facts, commit.real)
        used += reading.reached_bytes()
        if used >= limit:
            raise quota_exceeded("source", limit)
        if not reading.read_reached():
            break
    refuse_problems(closure)
    return closure


def _write(
    job: Job, commit: Commit, closure: Closure, workspace: Workspace, deadline: float
) -> Closure:
    chosen = _chosen(job, commit, closure, workspace.limit_bytes)
    enforce_deadline(job, deadline)
    commit.bring(chosen)
    complete = with_values(closure, job.root, _values(job, commit, chosen))
    if complete != closure:
        chosen = _chosen(job, commit, complete, workspace.limit_bytes)
        commit.bring(chosen)
    attributes = commit.snapshot.attributes()
    spare = workspace.limit_bytes - sum(max(f.size, ENTRY_BYTES) for f in chosen.values())

    def put(found: Found, target: Path) -> None:
        nonlocal spare
        enforce_deadline(job, deadline)
        content = attributes.converted(found.path, commit.read(found.path))
        spare -= len(content) - found.size
        if spare <= 0:
            raise quota_exceeded("source", workspace.limit_bytes)
        target.write_bytes(content)

    lay_out(chosen, workspace, put)
    return complete


def _chosen(job: Job, commit: Commit, closure: Closure, limit: int) -> dict[str, Found]:
    try:
        named = named_files(closure, job.variant)
        return select(closure, named, commit, limit, root=job.root)
    except QuotaExceeded as error:
        raise quota_exceeded("source", limit) from error


def _values(job: Job, commit: Commit, chosen: Mapping[str, Found]) -> Iterator[str]:
    """The texts that give the root's variables their values."""
    yield from values_in(job.variant)
    prefix = "" if job.root == "." else f"{job.root}/"
    named = {*job.variant.var_files, *backend_files(job.variant)}
    for path, found in chosen.items():
        beside = path.startswith(prefix) and holds_values(path.removeprefix(prefix))
        wanted = beside or path in named
        if wanted and found.kind in ("file", "executable") and found.size <= READ_BYTES:
            yield commit.snapshot.read(found.path).decode("utf-8", "replace")


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
