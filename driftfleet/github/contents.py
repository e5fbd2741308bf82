"""The contents of a commit's files: from this host's store, else from GitHub in few requests."""

from collections.abc import Iterable
from contextlib import closing
from functools import cached_property, partial
from urllib.parse import quote

from driftfleet.blobs import blob_hash
from driftfleet.cache import Cache
from driftfleet.errors import GitHubUnavailable, SourceRefused
from driftfleet.github.archive import ArchiveRefused, Limits, read_archive
from driftfleet.github.client import GitHub
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.paths import shown
from driftfleet.github.urls import repository_path
from driftfleet.hcl import is_terraform_file
from driftfleet.settings import CacheSettings

_RAW = "application/vnd.github.raw+json"
# What the store can't take stays in memory up to this, and is fetched again beyond it.
_MEMORY_BYTES = 64 << 20
# What lies beside Terraform files is taken along from an archive up to this size.
_TAKEN_ALONG_BYTES = 256 << 10
# The archive of so many bytes of files takes about as long as ``cache.blobs_at_most`` blobs.
_BYTES_FOR_THESE = 32 << 20
# Where the archive can't be taken so many blobs are fetched in its stead: ten minutes, at worst.
_MOST_INSTEAD = 5_000
# Of a listing with gaps nobody knows how many members its archive has.
_MOST_MEMBERS = 1_000_000


class Contents:
    """Reads blobs of one commit (repository and hash), verified; keeps them in the cache."""

    def __init__(
        self,
        github: GitHub,
        commit: tuple[str, str],
        listing: Listing,
        cache: Cache,
        settings: CacheSettings,
    ) -> None:
        self._github = github
        self._repo, self._sha = commit
        self._name = f"{github.host.name}/{self._repo}@{self._sha}".lower()
        self._listing = listing
        self._cache = cache
        self._settings = settings
        self._memory: dict[str, bytes] = {}
        self._memory_left = _MEMORY_BYTES
        # Why the archive of this commit can't be taken: it would be the same another time.
        self._refusal: str | None = None

    def peek(self, entry: Entry) -> bytes | None:
        """A content that this host has."""
        found = self._memory.get(entry.sha)
        return self._cache.blobs.get(entry.sha) if found is None else found

    def read(self, entry: Entry) -> bytes:
        """A content, which is fetched (again) where this host lacks it. Raises as `fetch`."""
        content = self.peek(entry)
        if content is None:
            self._refuse_large(entry)
            content = self._download(entry)
            self._keep(entry.sha, content)
        return content

    def fetch(self, entries: Iterable[Entry]) -> None:
        """Bring in what this host lacks: as single blobs, or as one archive where that is cheaper.

        One process of a host does it at a time for a commit; the next one finds it done.

        Raises
        ------
        SourceRefused
            A file is larger than ``cache.member_bytes``; or the archive holds what it should not,
            and the files are too many to be fetched one by one.
        GitHubRefused, GitHubUnavailable
            GitHub doesn't give it, or not now.
        """
        wanted = {entry.sha: entry for entry in entries}
        for entry in wanted.values():
            self._refuse_large(entry)
        if self._missing(wanted):
            with self._cache.lock(self._name, self._github.deadline):
                if missing := self._missing(wanted):
                    self._bring(missing)

    def _missing(self, wanted: dict[str, Entry]) -> dict[str, Entry]:
        return {
            sha: entry
            for sha, entry in wanted.items()
            if sha not in self._memory and not self._cache.blobs.has(sha, entry.size)
        }

    def _bring(self, missing: dict[str, Entry]) -> None:
        size = sum(entry.size for entry in missing.values())
        # Many checks of one commit that lack a few each lack much together.
        count_before, size_before = self._cache.fetched_singly(self._name)
        count, size = count_before + len(missing), size_before + size
        total, settings = self._listing.total_bytes, self._settings
        if prefers_archive(count, size, total, settings, earlier=count_before):
            self._from_archive(missing)
            self._enforce_count(missing)
            count, size = 0, 0
        self._cache.note_singly(self._name, count, size)
        self._singly(missing)

    def _singly(self, missing: dict[str, Entry]) -> None:
        fits = self._fits(missing)
        entries = list(missing.values())
        with closing(self._github.many(partial(self._download, e) for e in entries)) as contents:
            for entry, content in zip(entries, contents, strict=True):
                self._keep(entry.sha, content, in_memory=not fits)

    def _download(self, entry: Entry) -> bytes:
        path = f"{repository_path(self._repo)}/git/blobs/{quote(entry.sha, safe='')}"
        limit = self._settings.member_bytes
        content = self._github.get(path, accept=_RAW, limit_bytes=limit).content
        if blob_hash(content, len(entry.sha)) != entry.sha:
            raise GitHubUnavailable(
                f"{self._repo}: {shown(entry.path)}: GitHub's answer isn't the blob {entry.sha}: "
                "damaged on its way, or changed by a proxy"
            )
        return content

    def _from_archive(self, missing: dict[str, Entry]) -> None:
        """Take what the archive has of ``missing``, which is removed there.

        What ``.gitattributes`` leaves out or changes stays in it; so does all that follows where
        the archive is refused, for what nobody wants or for how large it is.
        """
        if self._refusal is not None:
            return
        try:
            try:
                self._read_archive(missing)
            except GitHubUnavailable as error:
                # It broke in the middle: what came was kept. Not where GitHub wants us to wait.
                if error.retry_after_seconds is not None or not missing:
                    raise
                self._read_archive(missing)
        except ArchiveRefused as error:
            self._refusal = error.message

    def _enforce_count(self, missing: dict[str, Entry]) -> None:
        """Single blobs are a way round a refused archive, but not for any number of them."""
        if self._refusal is not None and len(missing) > _MOST_INSTEAD:
            raise SourceRefused(
                f"{self._refusal}; and the {len(missing):,} files that are wanted are more than "
                f"{_MOST_INSTEAD:,}, which is as many as are fetched one by one"
            )

    def _limits(self) -> Limits:
        listing, settings = self._listing, self._settings
        if listing.gaps:
            return Limits(_MOST_MEMBERS, settings.member_bytes, settings.archive_bytes)
        members = len(listing.entries) + len(listing.folders) + 16
        # Twice what the files have, for line endings; and headers, which are up to 4 KB with names.
        most = 2 * listing.total_bytes + 8192 * members
        return Limits(members, settings.member_bytes, min(most, settings.archive_bytes))

    def _read_archive(self, missing: dict[str, Entry]) -> None:
        fits = self._fits(missing)
        along = self._taken_along() if fits else {}

        def wanted(path: str, size: int) -> bool:
            entry = self._entry(path)
            return (
                entry is not None
                and entry.size == size
                and (entry.sha in missing or entry.sha in along)
            )

        with self._github.archive(self._repo, self._sha) as chunks:
            for member in read_archive(chunks, self._limits(), wanted):
                sha = self._listing.entries[member.path].sha
                if blob_hash(member.content, len(sha)) == sha:
                    self._keep(sha, member.content, in_memory=not fits)
                    missing.pop(sha, None)
                    along.pop(sha, None)

    def _entry(self, path: str) -> Entry | None:
        """The listing's entry of a member. An archive never has more than its commit."""
        entry = self._listing.entries.get(path)
        known = path.isprintable() and "\ufffd" not in path
        if entry is None and known and not self._listing.may_hold(path):
            raise GitHubUnavailable(
                f"{self._repo}: {shown(path)} is in the archive of {self._sha}, but not in its "
                "listing, which therefore is not whole"
            )
        return entry

    def _taken_along(self) -> dict[str, Entry]:
        """What other checks of this commit are likely to want: it comes for free."""
        found = {
            entry.sha: entry
            for folder in self._terraform_folders
            for entry in self._listing.children(folder).values()
            if entry is not None
            and entry.kind in ("file", "executable")
            and entry.size <= _TAKEN_ALONG_BYTES
        }
        if sum(entry.size for entry in found.values()) > self._cache.blobs.limit_bytes // 2:
            return {}
        return self._missing(found)

    @cached_property
    def _terraform_folders(self) -> set[str]:
        paths = (path.rpartition("/") for path in self._listing.entries)
        return {folder or "." for folder, _, name in paths if is_terraform_file(name)}

    def _fits(self, missing: dict[str, Entry]) -> bool:
        """Whether the store takes all that, and the first is still there when the last has come."""
        return sum(e.size + 4096 for e in missing.values()) <= self._cache.blobs.limit_bytes // 2

    def _keep(self, sha: str, content: bytes, *, in_memory: bool = False) -> None:
        stored = self._cache.blobs.put(sha, content)
        if stored and not in_memory:
            return
        if sha not in self._memory and len(content) <= self._memory_left:
            self._memory_left -= len(content)
            self._memory[sha] = content

    def _refuse_large(self, entry: Entry) -> None:
        if entry.size > self._settings.member_bytes:
            raise SourceRefused(
                f"{shown(entry.path)}: has {entry.size:,} bytes, more than the "
                f"{self._settings.member_bytes:,} that cache.member_bytes allows"
            )


def prefers_archive(
    count: int, size: int, total: int, settings: CacheSettings, *, earlier: int = 0
) -> bool:
    """Whether ``count`` missing blobs of ``size`` bytes are better taken from the archive.

    ``total`` are the bytes of all files of the commit. Measured on repositories of 124 to 13,863
    files at 60 ms: blobs win below 150, and below 1,000 where they are a tenth of the bytes.
    ``earlier`` of them were fetched one by one before, by other checks of that commit. More checks
    will follow, so they end once as much was spent on blobs as the archive costs.
    """
    if count <= settings.blobs_at_most or total > settings.archive_bytes:
        return False
    if earlier >= settings.blobs_at_most * max(1, total / _BYTES_FOR_THESE):
        return True
    small = size < settings.small_share * total and count < settings.small_share_at_most
    return not small
