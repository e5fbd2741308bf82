"""The seam to storage: bytes by key."""

from collections.abc import Iterator
from typing import Protocol


class ObjectStore(Protocol):
    """Keeps objects by key. Keys are ``/``-separated and hold neither ``.`` nor ``..`` segments."""

    def put(self, key: str, body: bytes) -> None:
        """Write an object whole or not at all; an existing one is replaced.

        Raises `StoreUnavailable` where it was not written.
        """

    def get(self, key: str) -> bytes | None:
        """The object, or None where there is none. Raises `StoreUnavailable`."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts with ``prefix``, sorted. Raises `StoreUnavailable`."""

    def describe(self, key: str) -> str:
        """Where a person finds the object: a path or a URL."""
