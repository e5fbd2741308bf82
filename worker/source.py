"""Where a root module's files come from, by the kind of its job's source."""

import errno
import os
import posixpath
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

from driftfleet.closure import Closure
from driftfleet.errors import (
    CheckFailed,
    CredentialsRefused,
    DriftfleetError,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    SourceRefused,
)
from driftfleet.jobs import Job
from driftfleet.results import ErrorKind
from worker.selection import Found
from worker.workspace import Workspace


class RootSource(Protocol):
    """A place that holds repositories."""

    def fetch(self, job: Job, workspace: Workspace, deadline: float) -> Closure:
        """Write the root's closure below ``workspace.source``, as it lies in the repository.

        ``deadline`` is a time of ``time.monotonic``.

        Raises
        ------
        CheckFailed
            In the phase ``source``: the same job would fail again.
        TransientError
            It may work later.
        """

    def secrets(self) -> Sequence[str]:
        """What this source authenticates with, as far as it is known by now: never to be shown."""


class Sources:
    """Gives each job to the source of its kind."""

    def __init__(self, sources: Mapping[str, RootSource]) -> None:
        self._sources = dict(sources)

    def fetch(self, job: Job, workspace: Workspace, deadline: float) -> Closure:
        source = self._sources.get(job.source.kind)
        if source is None:
            raise CheckFailed("source", ErrorKind.JOB_REFUSED, _LACKING[job.source.kind])
        return source.fetch(job, workspace, deadline)

    def secrets(self) -> Sequence[str]:
        return [secret for source in self._sources.values() for secret in source.secrets()]


# As where people apply: `archive_file` packs modes. The workspace itself is closed to others.
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755

_NO_NAME = "is too long, or no name for a file here"
_UNUSABLE = {
    errno.ENAMETOOLONG: _NO_NAME,
    errno.EILSEQ: _NO_NAME,
    errno.EINVAL: _NO_NAME,
    errno.EEXIST: "is two things at once",
    errno.ENOTDIR: "lies below a file",
    errno.EISDIR: "is two things at once",
    errno.ELOOP: "is a symbolic link that leads in a circle",
}
_LACKING = {
    "github": "this worker is told of no GitHub: set github.url (DRIFTFLEET_GITHUB__URL) and "
    "github.token for it, as they are set for whoever sends its jobs",
    "local": "this worker takes no folders of its machine",
}

# What ends a fetch for good -> how it is answered, and what is said before the reason.
_FAILURES: tuple[tuple[type[DriftfleetError], ErrorKind, str], ...] = (
    (
        GitHubNotFound,
        ErrorKind.SOURCE_MISSING,
        "there is no such repository or commit, or our token may not see it",
    ),
    (CredentialsRefused, ErrorKind.CREDENTIALS, ""),
    (GitHubRefused, ErrorKind.SOURCE_REFUSED, "can't be fetched"),
    (SourceRefused, ErrorKind.SOURCE_REFUSED, ""),
)


@contextmanager
def explained(job: Job) -> Iterator[None]:
    """Turn what can't be taken into a `CheckFailed` that names repository and commit."""
    try:
        yield
    except tuple(kind for kind, _, _ in _FAILURES) as error:
        _, answer, words = next(row for row in _FAILURES if isinstance(error, row[0]))
        parts = [_title(job), words, error.message]
        message = ": ".join(part for part in parts if part)
        raise CheckFailed("source", answer, message) from error


def refuse_problems(closure: Closure) -> None:
    """A module source that leads out of the repository would lead out of the workspace, too."""
    if closure.problems:
        raise CheckFailed("source", ErrorKind.MODULE_FETCH, "; ".join(closure.problems))


def enforce_deadline(job: Job, deadline: float) -> None:
    """Raise `CheckFailed` (``timeout``) where the check's time is over."""
    if time.monotonic() >= deadline:
        raise CheckFailed(
            "source",
            ErrorKind.TIMEOUT,
            "the check's time was over while its files were fetched and read (it has "
            f"{job.limits.timeout_seconds:,} s for everything); raise limits.timeout_seconds, or "
            "find out why the source answers slowly, or which large files the root reaches",
        )


@contextmanager
def in_time(job: Job, deadline: float) -> Iterator[None]:
    """Answer with ``timeout`` what GitHub did not give before the check's time was over."""
    try:
        yield
    except GitHubUnavailable:
        enforce_deadline(job, deadline)
        raise


def lay_out(
    chosen: Mapping[str, Found],
    workspace: Workspace,
    put: Callable[[Found, Path], None],
) -> None:
    """Make the folders and files of a selection; ``put`` writes one file's bytes.

    Raises `SourceRefused` for a name that this machine can't or mustn't have.
    """
    top = workspace.source.resolve()
    real = {top.parent}
    for path, found in sorted(chosen.items()):
        if not _is_plain(path):
            raise SourceRefused(f"{path!r}: is no path that a file may have")
        target = top / path
        try:
            # Whatever is chosen: what would be written elsewhere by way of a link isn't written.
            if target.parent not in real and target.parent.resolve() != target.parent:
                raise SourceRefused(f"{path[:200]}: lies below a symbolic link")
            real.add(target.parent)
            if found.kind == "folder":
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if found.kind == "link":
                target.symlink_to(os.path.relpath(found.path, posixpath.dirname(path) or "."))
                continue
            put(found, target)
        except SourceRefused:
            if not found.spare:
                raise
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise
            raise SourceRefused(f"{path[:200]}: {_UNUSABLE[error.errno]}") from error
        # It may not be there: in a folder somebody may work, and remove what was seen in it.
        with suppress(FileNotFoundError):
            target.chmod(_FOLDER_MODE if found.kind == "executable" else _FILE_MODE)
    for folder, _, _ in os.walk(workspace.source):
        os.chmod(folder, _FOLDER_MODE)


def _is_plain(path: str) -> bool:
    """Whether a path stays below its folder, and can be encoded at all."""
    if path in ("", "."):
        return path == "."
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    parts = PurePosixPath(path).parts
    inside = "/".join(parts) == path and not path.startswith("/") and ".." not in parts
    return inside and b"\0" not in encoded


def _title(job: Job) -> str:
    at_commit = job.source.kind == "github" and job.source.sha
    commit = f" at {job.source.sha[:12]}" if at_commit else ""
    return f"{job.source.repo}{commit}"
