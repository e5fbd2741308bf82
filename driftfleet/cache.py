"""What was fetched and never changes, on this host's disk: safe to delete at any time."""

import contextlib
import hashlib
import math
import os
import threading
from collections import OrderedDict
from pathlib import Path

from driftfleet.blobs import BlobStore
from driftfleet.bounded import BoundedFolder
from driftfleet.errors import ConfigurationError
from driftfleet.github.listing import Listing, decode
from driftfleet.locks import turn

_FOLDERS = ("blobs", "trees", "fetches", "locks", "repositories", "modules")
# A listing of 200,000 entries has 10 MB; a pool child makes many checks of one commit.
_LISTINGS_IN_MEMORY = 2
_FETCHES_BYTES = 4 << 20


class Cache:
    """The cache's parts; ``folder`` holds one folder for each.

    Of ``limit_bytes`` a tenth is for listings. `open_cache` makes the folders. One object for a
    process: it keeps the listings that were used last in memory.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.blobs = BlobStore(folder / "blobs", limit_bytes - limit_bytes // 10)
        self._trees = BoundedFolder(folder / "trees", limit_bytes // 10)
        self._fetches = BoundedFolder(folder / "fetches", _FETCHES_BYTES)
        self._recent: OrderedDict[str, Listing] = OrderedDict()
        self._guard = threading.Lock()

    def listing(self, commit_sha: str) -> Listing | None:
        """The listing that `keep_listing` was given; one that was damaged is removed."""
        with self._guard:
            found = self._recent.get(commit_sha)
        if found is None:
            encoded = self._trees.get(commit_sha)
            if encoded is None:
                return None
            try:
                found = decode(encoded)
            except ValueError:
                self._trees.remove(commit_sha)
                return None
        self._remember(commit_sha, found)
        return found

    def keep_listing(self, commit_sha: str, listing: Listing) -> None:
        """Keep a listing in memory, and on the disk if it takes it."""
        self._remember(commit_sha, listing)
        self._trees.put(commit_sha, listing.encode())

    def fetched_singly(self, name: str) -> tuple[int, int]:
        """How many blobs, and bytes, were fetched one by one for ``name`` on this host."""
        try:
            count, size = (self._fetches.get(_key(name)) or b"0 0").split()
            return int(count), int(size)
        except ValueError:
            return 0, 0

    def note_singly(self, name: str, count: int, size: int) -> None:
        """Set what `fetched_singly` answers. To be called under the lock of that name."""
        self._fetches.put(_key(name), b"%d %d" % (count, size))

    def lock(
        self, name: str, deadline: float = math.inf
    ) -> contextlib.AbstractContextManager[None]:
        """Wait for, then hold, what one process (or thread) of this host may hold at a time.

        Until ``deadline``, of ``time.monotonic``. Raises as `driftfleet.locks.turn`: a failure of
        GitHub's that ends the block ends the waiting of others as well.
        """
        return turn(f"{self.folder}/locks/{_key(name)}", deadline)

    def _remember(self, commit_sha: str, listing: Listing) -> None:
        with self._guard:
            self._recent[commit_sha] = listing
            self._recent.move_to_end(commit_sha)
            while len(self._recent) > _LISTINGS_IN_MEMORY:
                self._recent.popitem(last=False)


def open_cache(folder: Path, limit_bytes: int) -> Cache:
    """Make the cache's folders, for our eyes only, where they are missing.

    Raises
    ------
    ConfigurationError
        They can't be made, or are somebody else's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _FOLDERS:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
            if (folder / name).lstat().st_uid != os.geteuid():
                raise ConfigurationError(
                    f"{folder / name} belongs to another user, who could change what is read from "
                    "it; name another folder with cache.folder (DRIFTFLEET_CACHE__FOLDER)"
                )
    except OSError as error:
        raise ConfigurationError(
            f"the cache {folder} can't be made: {error.strerror}; name a folder that can with "
            "cache.folder (DRIFTFLEET_CACHE__FOLDER)"
        ) from error
    return Cache(folder, limit_bytes)


def _key(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:40]
