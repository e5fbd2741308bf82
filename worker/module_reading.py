"""The Terraform files in a mirrored repository at a commit, and the module sources in them."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from driftfleet.closure import closure_of
from driftfleet.hcl import is_terraform_file
from driftfleet.module_folders import TreeModules
from worker.module_git import Git, GitFailed

_HEX = re.compile(r"[0-9a-f]{7,64}")
_FULL = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Beyond this it is left to terraform to find out what modules want.
_MOST_FILES = 5000
_FILE_BYTES = 2 << 20
_FOLDER_BYTES = 16 << 20
_BATCH = 200


def is_full_sha(ref: str) -> bool:
    """Whether a ref names one commit for ever."""
    return _FULL.fullmatch(ref) is not None


def commit_of(git: Git, repository: Path, ref: str) -> str | None:
    """The commit that ``git checkout REF`` takes after a clone; None where that isn't certain."""
    names = [f"refs/tags/{ref}", f"refs/heads/{ref}"] if ref else ["HEAD"]
    if _HEX.fullmatch(ref):
        names.append(ref)
    found = {_parsed(git, repository, name) for name in names} - {None}
    return found.pop() if len(found) == 1 else None


def has_commit(git: Git, repository: Path, sha: str) -> bool:
    """Whether a clone would bring the commit along: a branch or tag leads to it."""
    try:
        return not git.local(repository, "rev-list", "--max-count=1", sha, "--not", "--all")
    except GitFailed:
        return False


def nested_sources(git: Git, repository: Path, commit: str, folder: str) -> list[tuple[str, str]]:
    """The (folder, source) pairs of a module and of the local modules that it calls.

    Raises `GitFailed` where the repository can't be read.
    """
    tree = CommitTree(git, repository, commit)
    modules = TreeModules(tree)
    return list(closure_of(folder or ".", modules.facts).remote)


def _parsed(git: Git, repository: Path, name: str) -> str | None:
    wanted = f"{name}^{{commit}}"
    try:
        found = git.local(
            repository, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted
        )
    except GitFailed:
        return None
    sha = found.decode("ascii", "replace").strip()
    return sha if is_full_sha(sha) else None


class CommitTree:
    """The Terraform files of a commit. A folder's files are read with its first.

    Raises `GitFailed` where they are more, or larger, than modules are: it is for a worker's
    memory, and anybody's repository.
    """

    def __init__(self, git: Git, repository: Path, commit: str) -> None:
        self._git = git
        self._repository = repository
        listing = git.local(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
        self._entries = dict(_terraform_files(listing))
        if len(self._entries) > _MOST_FILES:
            raise GitFailed(f"there are more than {_MOST_FILES:,} Terraform files")
        # Of the folder that was read last.
        self._blobs: dict[str, bytes] = {}

    def paths(self) -> Iterator[str]:
        return iter(self._entries)

    def read(self, path: str) -> bytes:
        if path not in self._entries:
            raise FileNotFoundError(path)
        sha, _ = self._entries[path]
        if sha not in self._blobs:
            self._fetch(path.rpartition("/")[0])
        return self._blobs[sha]

    def identify(self, path: str) -> bytes:
        return self._entries[path][0].encode()

    def kept(self) -> Iterable[bytes]:
        """The contents that are in memory now."""
        return self._blobs.values()

    def _fetch(self, folder: str) -> None:
        entries = {p: e for p, e in self._entries.items() if p.rpartition("/")[0] == folder}
        for path, (_, size) in entries.items():
            if size > _FILE_BYTES:
                raise GitFailed(f"{path} has {size:,} bytes, more than the {_FILE_BYTES:,} read")
        # Copies of one file, too: each of them is looked through.
        total = sum(size for _, size in entries.values())
        if total > _FOLDER_BYTES:
            raise GitFailed(
                f"the Terraform files in {folder or 'the top folder'} have {total:,} bytes, more "
                f"than the {_FOLDER_BYTES:,} read"
            )
        self._blobs = {}
        wanted = list(dict(entries.values()).items())
        for at in range(0, len(wanted), _BATCH):
            self._show(dict(wanted[at : at + _BATCH]))

    def _show(self, batch: dict[str, int]) -> None:
        """Read blobs in one go: `git show` prints them one after the other, as they are."""
        text = self._git.local(self._repository, "show", "--no-textconv", "--no-color", *batch)
        start = 0
        for sha, size in batch.items():
            content = text[start : start + size]
            if _blob_sha(content, len(sha)) != sha:
                raise GitFailed(f"{self._repository}: the object {sha} is not what it should be")
            self._blobs[sha] = content
            start += size


def _terraform_files(listing: bytes) -> Iterator[tuple[str, tuple[str, int]]]:
    """(path, (sha, size)) of each regular Terraform file in what ``ls-tree -r -z -l`` prints."""
    for line in listing.split(b"\0"):
        described, _, name = line.partition(b"\t")
        path = name.decode("utf-8", "surrogateescape")
        if described.startswith(b"100") and is_terraform_file(path.rpartition("/")[2]):
            _, _, sha, size = described.split()
            yield path, (sha.decode(), int(size))


def _blob_sha(content: bytes, digits: int) -> str:
    # git's own hash, whose strength is not ours to choose.
    algorithm = "sha256" if digits == 64 else "sha1"
    header = b"blob %d\0" % len(content)
    return hashlib.new(algorithm, header + content, usedforsecurity=False).hexdigest()
