"""Contents by their git hash: what a repository holds never changes under its name."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from driftfleet.bounded import BoundedFolder


def blob_hash(content: bytes, length: int = 40) -> str:
    """Git's name for a content: 40 hexadecimal digits of SHA-1, or 64 of SHA-256."""
    algorithm = "sha1" if length == 40 else "sha256"
    digest = hashlib.new(algorithm, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()


class BlobStore:
    """Blobs on disk, shared by this host's processes and bounded in bytes.

    They are verified on the way in and on the way out, so that a killed writer, a full disk or a
    damaged one never makes a wrong byte. Nothing here raises for the disk's sake.
    """

    def __init__(
        self, folder: Path, limit_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._files = BoundedFolder(folder, limit_bytes, clock)
        self.limit_bytes = limit_bytes

    def has(self, sha: str, size: int | None = None) -> bool:
        """Whether the blob is there (and of that size); it counts as used now."""
        found = self._files.size(sha)
        return found is not None and size in (None, found)

    def get(self, sha: str) -> bytes | None:
        """The blob's content; None where it is not there. One that was damaged is removed."""
        content = self._files.get(sha)
        if content is not None and blob_hash(content, len(sha)) != sha:
            self._files.remove(sha)
            return None
        return content

    def put(self, sha: str, content: bytes) -> bool:
        """Keep a blob. False where it can't be kept now.

        Raises ``ValueError`` where ``sha`` isn't the content's hash.
        """
        if blob_hash(content, len(sha)) != sha:
            raise ValueError(f"the content isn't that of the blob {sha}")
        return self._files.size(sha) == len(content) or self._files.put(sha, content)

    def trim(self) -> None:
        """Remove the least recently used ones down to 80 % of the limit, if it is exceeded."""
        self._files.trim()
