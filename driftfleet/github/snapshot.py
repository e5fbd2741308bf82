"""A repository on GitHub at a commit, as a `Tree`."""

import errno
import os
from collections.abc import Iterable, Iterator

from driftfleet.cache import Cache
from driftfleet.errors import SourceRefused
from driftfleet.github.attributes import Attributes
from driftfleet.github.client import GitHub
from driftfleet.github.contents import Contents
from driftfleet.github.links import Links, LinksExhausted
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.paths import LONGEST_PATH, shown
from driftfleet.github.tree_walk import read_listing
from driftfleet.hcl import is_terraform_file
from driftfleet.settings import CacheSettings
from driftfleet.tree import IGNORED_FOLDERS, decides_plan


class _TargetMissing(Exception):
    def __init__(self, link: Entry) -> None:
        super().__init__(link.path)
        self.link = link


class Snapshot:
    """A commit's files. Nothing is asked of GitHub until it is needed, and then only that.

    All methods raise `GitHubUnavailable` and `GitHubRefused` where GitHub has to be asked. For one
    thread. Links inside the repository work; one that leads out of it, is absolute or never ends
    is a `SourceRefused` that names it. So is what may lie where the listing has a gap.
    """

    def __init__(
        self, github: GitHub, repo: str, sha: str, cache: Cache, settings: CacheSettings
    ) -> None:
        self.repo = repo
        self.sha = sha
        self._github = github
        self._cache = cache
        self._settings = settings
        self._listing: Listing | None = None
        self._known_contents: Contents | None = None
        self._known_links: Links | None = None
        self._targets: dict[str, str] = {}
        self._resolved: dict[str, str | SourceRefused | None] = {}

    @property
    def listing(self) -> Listing:
        """Everything there is, from the cache or from GitHub."""
        # No `cached_property`: before Python 3.12 all snapshots of a process share its lock, and
        # one that GitHub is slow to answer for would hold the others.
        if self._listing is None:
            self._listing = self._read_listing()
        return self._listing

    def _read_listing(self) -> Listing:
        found = self._cache.listing(self.sha)
        if found is None:
            name = f"{self._github.host.name}/{self.repo}@{self.sha} listing"
            with self._cache.lock(name, self._github.deadline):
                found = self._cache.listing(self.sha)
                if found is None:
                    found = read_listing(self._github, self.repo, self.sha)
                    self._cache.keep_listing(self.sha, found)
        return found

    def fetch(self, paths: Iterable[str], *, refuse_large: bool = True) -> None:
        """Bring these files in, so that reading them asks nothing of GitHub.

        What is no file, or is not there, is passed over: reading it tells. So is a link that is
        refused, and without ``refuse_large`` a file that exceeds ``cache.member_bytes``.

        Raises
        ------
        SourceRefused
            A file exceeds ``cache.member_bytes``: nothing is fetched.
        """
        found = self._resolve(paths).values()
        entries = (self.listing.entries.get(path) for path in found if isinstance(path, str))
        self._fetch((e for e in entries if e is not None), refuse_large=refuse_large)

    def read(self, path: str) -> bytes:
        """A file's bytes, through links.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        SourceRefused
            It can't be taken: a link that is refused, a submodule, or too large.
        """
        return self._contents.read(self._file(path))

    def paths(self) -> Iterator[str]:
        """Files and links to files outside `IGNORED_FOLDERS`.

        A link counts until it is known to lead to a folder, which only matters where its name
        decides what a plan is.
        """
        listing = self.listing
        ignored = {f for f in listing.folders if not IGNORED_FOLDERS.isdisjoint(f.split("/"))}
        paths = [p for p in listing.entries if (p.rpartition("/")[0] or ".") not in ignored]
        links = [p for p in paths if listing.entries[p].kind == "link" and _matters(p)]
        if links:
            self._expect(paths, links)
        found = self._resolve(links)
        for path in paths:
            target = found.get(path, path)
            if not isinstance(target, str) or not self._is_folder(target):
                yield path

    def identify(self, path: str) -> bytes:
        """What changes with a file's content, which is not fetched for it. Raises as `read`."""
        return bytes.fromhex(self._file(path).sha)

    def resolve(self, path: str) -> str | None:
        """The path of the file, folder or submodule that ``path`` leads to; None for nothing.

        Raises `SourceRefused`.
        """
        found = self._resolve((path,))[path]
        if isinstance(found, SourceRefused):
            raise SourceRefused(found.message)
        return found

    def names(self, folder: str) -> Iterator[str]:
        """The names in a folder, which a link may lead to; none where there is no such folder.

        Where the listing has a gap, `SourceRefused` comes after those that are known: who finds
        among them what it looks for needs no more.
        """
        found = self.resolve(folder)
        if found is not None:
            yield from self.listing.children(found)
            self.listing.refuse_gap(found)

    def renew(self) -> None:
        """Let links be followed as if none had been: for the next root of this commit."""
        self._links.renew()

    @property
    def _links(self) -> Links:
        if self._known_links is None:
            self._known_links = Links(self.listing, self._target)
        return self._known_links

    def attributes(self) -> Attributes:
        """What a checkout makes of the files; `read` gives them as the commit has them."""
        return Attributes(self.listing, self.read, self._settings.member_bytes)

    @property
    def _contents(self) -> Contents:
        if self._known_contents is None:
            commit = (self.repo, self.sha)
            self._known_contents = Contents(
                self._github, commit, self.listing, self._cache, self._settings
            )
        return self._known_contents

    def _file(self, path: str) -> Entry:
        found = self.resolve(path)
        entry = self.listing.entries.get(found or "")
        if entry is None:
            reason = errno.ENOENT if found is None else errno.EISDIR
            raise (FileNotFoundError if found is None else IsADirectoryError)(
                reason, os.strerror(reason), path
            )
        if entry.kind == "submodule":
            raise SourceRefused(
                f"{shown(path)}: is a submodule, whose content GitHub's API doesn't give"
            )
        return entry

    def _is_folder(self, path: str) -> bool:
        """Whether it is one, or a submodule, of a path that is there."""
        entry = self.listing.entries.get(path)
        return entry is None or entry.kind == "submodule"

    def _expect(self, paths: list[str], links: list[str]) -> None:
        """Where links must be read to tell files from folders, whoever asks wants the files too.

        Fetched together they are one archive at most.
        """
        entries = self.listing.entries
        wanted = [entries[p] for p in paths if is_terraform_file(p.rpartition("/")[2])]
        wanted += [entries[p] for p in links]
        self._fetch(wanted, refuse_large=False)

    def _fetch(self, entries: Iterable[Entry], *, refuse_large: bool) -> None:
        most = self._settings.member_bytes
        self._contents.fetch(
            e for e in entries if e.kind != "submodule" and (refuse_large or e.size <= most)
        )

    def _resolve(self, paths: Iterable[str]) -> dict[str, str | SourceRefused | None]:
        """Where paths lead. What links must be read for it is fetched together, level by level."""
        found: dict[str, str | SourceRefused | None] = {}
        waiting = list(paths)
        while waiting:
            lacking: dict[str, Entry] = {}
            unresolved = []
            for path in waiting:
                try:
                    found[path] = self._follow(path)
                except _TargetMissing as missing:
                    lacking[missing.link.sha] = missing.link
                    unresolved.append(path)
            self._learn(lacking.values())
            waiting = unresolved
        return found

    def _follow(self, path: str) -> str | SourceRefused | None:
        if path not in self._resolved:
            try:
                self._resolved[path] = self._links.resolve(path)
            except LinksExhausted as error:
                return error
            except SourceRefused as error:
                self._resolved[path] = SourceRefused(error.message)
        return self._resolved[path]

    def _learn(self, links: Iterable[Entry]) -> None:
        links = list(links)
        self._contents.fetch(links)
        for link in links:
            target = self._contents.read(link)
            self._targets[link.sha] = target.decode(errors="surrogateescape")

    def _target(self, link: Entry) -> str:
        target = self._targets.get(link.sha)
        if target is None:
            if link.size > LONGEST_PATH:
                raise SourceRefused(f"{shown(link.path)}: the symbolic link is longer than a path")
            if link.size > self._settings.member_bytes:
                raise SourceRefused(
                    f"{shown(link.path)}: the symbolic link is longer than cache.member_bytes"
                )
            raise _TargetMissing(link)
        return target


def _matters(path: str) -> bool:
    return decides_plan(path.rpartition("/")[2])
