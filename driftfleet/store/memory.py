"""Objects in memory, for tests and dry runs."""

from collections.abc import Iterator


class MemoryObjects:
    """An `ObjectStore` that lasts as long as it is held."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def put(self, key: str, body: bytes) -> None:
        self._objects[key] = body

    def get(self, key: str) -> bytes | None:
        return self._objects.get(key)

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self._objects if key.startswith(prefix)))

    def describe(self, key: str) -> str:
        return f"memory://{key}"
