"""The seam to storage: bytes by key."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Listed(NamedTuple):
    """What a listing tells of an object without reading it.

    ``stamp`` is another one whenever the object was written anew with another content.
    """

    key: str
    stamp: str


class ObjectStore(Protocol):
    """Keeps objects by key. Keys are ``/``-separated and hold neither ``.`` nor ``..`` segments.

    Every call is one step for all processes that use the store.
    """

    def put(self, key: str, body: bytes) -> None:
        """Write an object whole or not at all; an existing one is replaced.

        Raises `StoreUnavailable` where it was not written.
        """

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        """Write an object only where the present one has ``tag``; None: where there is none.

        False where that isn't so, and nothing is written. Raises `StoreUnavailable`.
        """

    def get(self, key: str) -> bytes | None:
        """The object, or None where there is none. Raises `StoreUnavailable`."""

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object and the tag of this version of it, for `put_if`. Raises as `get` does."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine. Raises `StoreUnavailable`."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Every key that starts with ``prefix`` and sorts after ``after``, sorted.

        No more is listed than is consumed, where the place allows that. Raises `StoreUnavailable`.
        """

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        """`keys`, each with the stamp of its present version. No object is read for it."""

    def describe(self, key: str) -> str:
        """Where a person finds the object: a path or a URL."""
