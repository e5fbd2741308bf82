"""A store whose records are read once while pages are made of them."""

import threading
from collections.abc import Iterator

from driftfleet.store.objects import Listed, ObjectStore

# A record takes 3 kB, and 1 MB at most. What has no room is read again.
_MOST_BYTES = 48 << 20


class RememberedObjects:
    """An `ObjectStore` that keeps what was read below ``prefix`` until somebody takes it."""

    def __init__(self, objects: ObjectStore, prefix: str, most_bytes: int = _MOST_BYTES) -> None:
        self._objects = objects
        self._prefix = prefix
        self._left = most_bytes
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        body = self._objects.get(key)
        if body is not None and key.startswith(self._prefix):
            with self._lock:
                if len(body) <= self._left:
                    self._kept[key] = body
                    self._left -= len(body)
        return body

    def take(self, key: str) -> bytes | None:
        """What was read before, or is there now; it is not kept any longer."""
        with self._lock:
            body = self._kept.pop(key, None)
            self._left += len(body or b"")
        return self._objects.get(key) if body is None else body

    def put(self, key: str, body: bytes) -> None:
        self._objects.put(key, body)

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        return self._objects.put_if(key, body, tag)

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        return self._objects.get_tagged(key)

    def delete(self, key: str) -> None:
        self._objects.delete(key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        return self._objects.keys(prefix, after)

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        return self._objects.listing(prefix, after)

    def describe(self, key: str) -> str:
        return self._objects.describe(key)
