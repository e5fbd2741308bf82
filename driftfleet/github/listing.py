"""All files of a repository at a commit, by path, and how a cache keeps them. Pure."""

import hashlib
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from driftfleet.errors import SourceRefused
from driftfleet.github.paths import join, shown

Kind = Literal["file", "executable", "link", "submodule"]
_MODES: dict[Kind, str] = {
    "file": "100644 blob",
    "executable": "100755 blob",
    "link": "120000 blob",
    "submodule": "160000 commit",
}
_KINDS = {mode.encode(): kind for kind, mode in _MODES.items()}
_EMPTY_FOLDER = b"040000 tree"
_GAP = b"gap"
_MAGIC = b"driftfleet-listing 2"

# So much more than `tree_walk` lets a listing have is no listing.
_UNPACKED_BYTES = 1 << 30
# Zeros unpack to a thousand times their size.
_PIECE = 4096


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
    """The entries of a commit by path, and the folders, of which ``.`` is the top. Immutable.

    ``gaps`` are the folders of which something is left out, each with the reason for a person:
    what else lies in them is here.
    """

    def __init__(
        self,
        tree_sha: str,
        entries: Iterable[Entry],
        empty_folders: Iterable[str] = (),
        gaps: Mapping[str, str] | None = None,
    ) -> None:
        self.tree_sha = tree_sha
        self.entries: Mapping[str, Entry] = {entry.path: entry for entry in entries}
        self._empty = tuple(empty_folders)
        self.gaps: Mapping[str, str] = dict(gaps or {})
        self.folders: frozenset[str] = _folders((*self._empty, *self.gaps), self.entries)

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

    def refuse_gap(self, folder: str) -> None:
        """Raise `SourceRefused` where ``folder`` may hold more than the listing says."""
        if reason := self.gaps.get(folder):
            raise SourceRefused(f"{shown(folder)}: {reason}")

    def may_hold(self, path: str) -> bool:
        """Whether a path that is not here may be in the commit all the same: it lies in a gap."""
        if not self.gaps:
            return False
        # The deepest folder above it that is here; above that one all are.
        ends = [at for at, character in enumerate(path) if character == "/"]
        here = bisect_left(ends, True, key=lambda end: path[:end] not in self.folders)
        return (path[: ends[here - 1]] if here else ".") in self.gaps

    def encode(self) -> bytes:
        """The listing as bytes that `decode` reads: the lines of ``git ls-tree -rz -l``, packed."""
        # Line by line: all of them together may be as large as the listing itself.
        packer = zlib.compressobj(1)
        body = b"".join([*(packer.compress(line) for line in self._lines()), packer.flush()])
        head = b"%s %s" % (_MAGIC, self.tree_sha.encode())
        return b"%s %s\n%s" % (head, _digest(head, body), body)

    def _lines(self) -> Iterator[bytes]:
        for entry in self.entries.values():
            yield f"{_MODES[entry.kind]} {entry.sha} {entry.size}\t{entry.path}\0".encode()
        for folder in self._empty:
            yield f"{_EMPTY_FOLDER.decode()} - 0\t{folder}\0".encode()
        for folder, reason in self.gaps.items():
            yield f"{_GAP.decode()}\t{folder}\t{reason}\0".encode()


def decode(encoded: bytes) -> Listing:
    """The listing that was encoded. Raises ``ValueError`` where one byte is another."""
    first, _, body = encoded.partition(b"\n")
    head, _, digest = first.rpartition(b" ")
    magic, _, tree_sha = head.rpartition(b" ")
    if magic != _MAGIC or digest != _digest(head, body):
        raise ValueError("is no listing, or was changed")
    entries, empty, gaps = [], [], {}
    for line in _unpacked(body):
        about, _, path = line.partition(b"\t")
        mode, _, numbers = about.rpartition(b" ")[0].rpartition(b" ")
        if about == _GAP:
            folder, _, reason = path.rpartition(b"\t")
            gaps[folder.decode()] = reason.decode()
        elif mode == _EMPTY_FOLDER:
            empty.append(path.decode())
        else:
            size = int(about.rpartition(b" ")[2])
            entries.append(Entry(path.decode(), _KINDS[mode], numbers.decode(), size))
    return Listing(tree_sha.decode(), entries, empty, gaps)


def _unpacked(body: bytes) -> Iterator[bytes]:
    """The lines, without ever holding all of them."""
    unpacker, rest, left = zlib.decompressobj(), b"", _UNPACKED_BYTES
    for at in range(0, len(body), _PIECE):
        piece = unpacker.decompress(body[at : at + _PIECE])
        left -= len(piece)
        if left < 0:
            raise ValueError("is too large for a listing")
        *lines, rest = (rest + piece).split(b"\0")
        yield from lines


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
