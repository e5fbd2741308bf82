"""A repository at its newest commit -> what there is to check in it, with few requests.

Unchanged: one conditional request. Changed: the commit, its tree, and the blobs that are new. Seen
for the first time: its record, the commit, the tree, and the files that matter as one archive.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from driftfleet.cache import Cache
from driftfleet.errors import GitHubNotFound, SourceRefused
from driftfleet.github.client import GitHub
from driftfleet.github.newest import facts_of, newest_commit
from driftfleet.github.paths import shown
from driftfleet.github.snapshot import Snapshot
from driftfleet.globs import folder_matches
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Source
from driftfleet.settings import CacheSettings, DiscoverySettings
from driftfleet.tree import IGNORED_FOLDERS, Tree
from producer.discovery import Discovery, discover
from producer.found import Found, Outlook, Trouble
from producer.memory import Memory, Remembered, discovery_key
from producer.repositories import Wanted
from producer.version_files import paths_for

# A hostile repository has thousands, and an honest one none.
_MOST_GAPS = 5


@dataclass(frozen=True)
class Access:
    """What it takes to look at repositories; ``cache`` opens one for each: it is for one thread."""

    github: GitHub
    cache: Callable[[], Cache]
    memory: Memory
    settings: CacheSettings
    now: Callable[[], datetime]


def look_at(wanted: Wanted, access: Access, settings: DiscoverySettings) -> Outlook:
    """Look at one repository.

    Raises
    ------
    GitHubRefused
        It is not there, or empty, or may not be read.
    SourceRefused
        It holds what can't be taken.
    GitHubUnavailable
        GitHub did not answer in time.
    """
    known = access.memory.recall(wanted.name, wanted.ref)
    if known is not None and wanted.listed is None and known.is_fresh(access.now()):
        # A 404: renamed once more, deleted, or its ref is. Its record tells which.
        with suppress(GitHubNotFound):
            return _look_at_newest(wanted, known.full_name, known.asked_at, access, settings)
    facts = wanted.listed or facts_of(access.github, wanted.name)
    if facts.disabled or (facts.archived and not wanted.archived):
        state = "disabled" if facts.disabled else "archived"
        return Outlook(messages=(f"{facts.full_name}: is {state}, and left out",))
    return _look_at_newest(wanted, facts.full_name, access.now(), access, settings)


def _look_at_newest(
    wanted: Wanted, full_name: str, asked_at: datetime, access: Access, settings: DiscoverySettings
) -> Outlook:
    known = access.memory.recall(wanted.name, wanted.ref)
    known_sha = known.sha if known else None
    sha = newest_commit(access.github, full_name, wanted.ref, known_sha) or known_sha or ""
    key = discovery_key(sha, settings.include, settings.exclude)
    if known is not None and known.discovery_key == key:
        discovery, gaps = known.discovery, known.gaps
    else:
        discovery, gaps = _discover(full_name, sha, access, settings)
    seen = Remembered(
        full_name=full_name,
        asked_at=asked_at,
        sha=sha,
        discovery_key=key,
        discovery=discovery,
        gaps=gaps,
    )
    if seen != known:
        access.memory.note(wanted.name, wanted.ref, seen)
    source = Source(kind="github", repo=full_name, ref=wanted.ref, sha=sha)
    return Outlook(
        found=(Found(source, discovery),),
        troubles=tuple(Trouble(full_name, f"{full_name}: {gap}") for gap in gaps),
        messages=_renamed(wanted.name, full_name),
    )


def _discover(
    full_name: str, sha: str, access: Access, settings: DiscoverySettings
) -> tuple[Discovery, tuple[str, ...]]:
    """What a commit holds, and in sentences what of it can't be looked at."""
    snapshot = Snapshot(access.github, full_name, sha, access.cache(), access.settings)
    snapshot.fetch(paths_that_matter(snapshot), refuse_large=False)
    found = discover(_Readable(snapshot), settings.include, settings.exclude)
    return found, _gaps(snapshot.listing.gaps, settings.exclude)


def _gaps(gaps: Mapping[str, str], exclude: Iterable[str]) -> tuple[str, ...]:
    """Roots may lie in them. Not where nobody wants to have any looked for."""
    exclude = tuple(exclude)
    wanted = {
        folder: reason
        for folder, reason in gaps.items()
        if IGNORED_FOLDERS.isdisjoint(folder.split("/"))
        and not any(folder_matches(folder, glob) for glob in exclude)
    }
    count = _MOST_GAPS if len(wanted) > _MOST_GAPS + 1 else len(wanted)
    told = tuple(
        f"{shown(folder)}: {wanted[folder]}; what is left out is not checked: mend it, or leave "
        "the folder out (discovery.exclude)"
        for folder in sorted(wanted)[:count]
    )
    more = len(wanted) - count
    return (*told, f"{more} more folders can't be listed whole, either") if more else told


class _Readable:
    """A tree in which a file that is refused is one that can't be read.

    It is then an error of its folder, and keeps no other root of the repository from being judged.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def paths(self) -> Iterator[str]:
        return self._tree.paths()

    def identify(self, path: str) -> bytes:
        return self._tree.identify(path)

    def read(self, path: str) -> bytes:
        try:
            return self._tree.read(path)
        except SourceRefused as error:
            raise PermissionError(errno.EACCES, error.message, path) from error


def paths_that_matter(tree: Tree) -> list[str]:
    """The Terraform files, and the version files beside and above them."""
    paths = list(tree.paths())
    wanted = [path for path in paths if is_terraform_file(path.rpartition("/")[2])]
    folders = {path.rpartition("/")[0] or "." for path in wanted}
    return wanted + paths_for(paths, folders)


def _renamed(name: str, full_name: str) -> tuple[str, ...]:
    if name.lower() == full_name.lower():
        return ()
    return (f"{name}: is now {full_name}, and is looked at under that name: name it so",)
