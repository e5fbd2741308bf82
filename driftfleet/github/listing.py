"""All files of a repository at a commit, by path, and how a cache keeps them. Pure."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from driftfleet.github.paths import join

Kind = Literal["file", "executable", "link", "submodule"]
_MODES: dict[Kind, str] = {
    "file": "100644 blob",
    "executable": "100755 blob",
    "link": "120000 blob",
    "submodule": "160000 commit",
}
_KINDS = {mode.encode(): kind for kind, mode in _MODES.items()}
_EMPTY_FOLDER = b"040000 tree"
_MAGIC = b"driftfleet-listing 1"

_ENCODED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Entry:
    """What a commit has at a path.

    ``size`` is in bytes, of a link that of its target's text. A submodule's ``sha`` is a commit.
    """

    path: str
    kind: Kind
    sha: str
    size: int


class Listing:
    """The entries of a commit by path, and the folders, of which ``.`` is the top. Immutable."""

    def __init__(
        self, tree_sha: str, entries: Iterable[Entry], empty_folders: Iterable[str] = ()
    ) -> None:
        self.tree_sha = tree_sha
        self.entries: Mapping[str, Entry] = {entry.path: entry for entry in entries}
        self._empty = tuple(empty_folders)
        self.folders: frozenset[str] = _folders(self._empty, self.entries)

    @cached_property
    def total_bytes(self) -> int:
        """What all files and links hold together."""
        return sum(entry.size for entry in self.entries.values())

    @cached_property
    def has_links(self) -> bool:
        return any(entry.kind == "link" for entry in self.entries.values())

    @cached_property
    def _index(self) -> dict[str, dict[str, Entry | None]]:
        index: dict[str, dict[str, Entry | None]] = {folder: {} for folder in self.folders}
        for path in self.folders - {"."}:
            above, _, name = path.rpartition("/")
            index[above or "."][name] = None
        for path, entry in self.entries.items():
            above, _, name = path.rpartition("/")
            index[above or "."][name] = entry
        return index

    def children(self, folder: str) -> Mapping[str, Entry | None]:
        """What lies directly in a folder, by name; None is a folder. Empty where there is none."""
        return self._index.get(folder, {})

    def beneath(self, folder: str) -> Iterator[Entry]:
        """What lies in a folder and in all folders below it."""
        waiting = [folder]
        while waiting:
            above = waiting.pop()
            for name, entry in self.children(above).items():
                if entry is None:
                    waiting.append(join(above, name))
                else:
                    yield entry

    def encode(self) -> bytes:
        """The listing as bytes that `decode` reads: the lines of ``git ls-tree -rz -l``, packed."""
        lines = [
            f"{_MODES[entry.kind]} {entry.sha} {entry.size}\t{entry.path}"
            for entry in self.entries.values()
        ]
        lines += [f"{_EMPTY_FOLDER.decode()} - 0\t{folder}" for folder in self._empty]
        body = zlib.compress("\0".join(lines).encode(), 1)
        head = b"%s %s" % (_MAGIC, self.tree_sha.encode())
        return b"%s %s\n%s" % (head, _digest(head, body), body)


def decode(encoded: bytes) -> Listing:
    """The listing that was encoded. Raises ``ValueError`` where one byte is another."""
    first, _, body = encoded.partition(b"\n")
    head, _, digest = first.rpartition(b" ")
    magic, _, tree_sha = head.rpartition(b" ")
    if magic != _MAGIC or digest != _digest(head, body):
        raise ValueError("is no listing, or was changed")
    unpacked = zlib.decompressobj().decompress(body, _ENCODED_BYTES)
    entries, empty = [], []
    for line in unpacked.split(b"\0") if unpacked else ():
        about, _, path = line.partition(b"\t")
        mode, _, numbers = about.rpartition(b" ")[0].rpartition(b" ")
        if mode == _EMPTY_FOLDER:
            empty.append(path.decode())
        else:
            size = int(about.rpartition(b" ")[2])
            entries.append(Entry(path.decode(), _KINDS[mode], numbers.decode(), size))
    return Listing(tree_sha.decode(), entries, empty)


def _digest(head: bytes, body: bytes) -> bytes:
    return hashlib.sha256(head + body).hexdigest().encode()


def _folders(empty: Iterable[str], paths: Iterable[str]) -> frozenset[str]:
    found = {".", *empty}
    for path in (*empty, *paths):
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)
