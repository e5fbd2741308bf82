"""Objects in memory, for tests and dry runs."""

import threading
from collections.abc import Iterator

from driftfleet.store.objects import Listed


class MemoryObjects:
    """An `ObjectStore` that lasts as long as it is held."""

    def __init__(self) -> None:
        # By key: the object, and which write it is of.
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._writes = 0
        self._lock = threading.Lock()

    def put(self, key: str, body: bytes) -> None:
        with self._lock:
            self._write(key, body)

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        with self._lock:
            present = self._objects.get(key)
            if (present[1] if present else None) != tag:
                return False
            self._write(key, body)
            return True

    def get(self, key: str) -> bytes | None:
        found = self._objects.get(key)
        return found[0] if found else None

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        return self._objects.get(key)

    def delete(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        return (listed.key for listed in self.listing(prefix, after))

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        with self._lock:
            present = [Listed(key, write) for key, (_, write) in self._objects.items()]
        return iter(
            sorted(one for one in present if one.key.startswith(prefix) and one.key > after)
        )

    def describe(self, key: str) -> str:
        return f"memory://{key}"

    def _write(self, key: str, body: bytes) -> None:
        self._writes += 1
        self._objects[key] = (body, str(self._writes))
