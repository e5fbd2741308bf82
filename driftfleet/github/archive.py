"""Reads a ``tar.gz`` as it arrives: nothing is unpacked, and little is held. Pure.

The format is what ``git archive`` writes, POSIX's pax: https://pubs.opengroup.org/onlinepubs/
9699919799/utilities/pax.html#tag_20_92_13_01. `tarfile` would read a header of any size.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from driftfleet.errors import GitHubUnavailable, SourceRefused
from driftfleet.github.paths import LONGEST_PATH, check_path, shown, why_none

_BLOCK = 512
_PIECE = 256 << 10
# A path and a link's target, each at its longest, and their keywords.
_HEADER_BYTES = 2 * LONGEST_PATH + 1024
_KINDS = {b"0": "regular", b"\0": "regular", b"7": "regular", b"2": "link", b"5": "folder"}
_REFUSED = {b"1": "hard link", b"3": "device", b"4": "device", b"6": "pipe"}


class ArchiveRefused(SourceRefused):
    """The archive as a whole can't be taken. What is wanted may still be had in another way."""


@dataclass(frozen=True)
class Limits:
    """``members`` counts headers of any kind; ``total_bytes`` is what all unpacks to."""

    members: int
    member_bytes: int
    total_bytes: int


class Member(NamedTuple):
    """A wanted member: ``path`` is below the archive's one top folder.

    ``content`` is a link's target. A file's mode is not here: the tree has it.
    """

    path: str
    kind: Literal["regular", "link"]
    content: bytes


class _Header(NamedTuple):
    """``path`` is None where it is too long to be read."""

    path: str | None
    kind: bytes
    size: int
    target: bytes


def read_archive(
    chunks: Iterator[bytes], limits: Limits, wanted: Callable[[str, int], bool]
) -> Iterator[Member]:
    """The members that ``wanted(path, size)`` asks for, as they come.

    ``wanted`` is asked about every file and link whose path can be known. Memory is that of one
    wanted member.

    Raises
    ------
    ArchiveRefused
        A member that ``git archive`` doesn't write, or more than the limits allow.
    SourceRefused
        A wanted member is too large, or its name is odd.
    GitHubUnavailable
        The archive is damaged, or ends in the middle.
    """
    stream = _Stream(chunks, limits.total_bytes)
    for number, header in enumerate(_headers(stream)):
        if number >= limits.members:
            raise ArchiveRefused(f"the archive has more than {limits.members} members")
        kind = _kind(header)
        if header.path is None:
            stream.skip(_padded(header.size))
            continue
        path = _below_top(header.path, folder=kind == "folder")
        size = len(header.target) if kind == "link" else header.size
        if kind == "folder" or not wanted(path, size):
            stream.skip(_padded(header.size))
            continue
        # Git may hold odd names. They are refused where they count.
        check_path(path)
        if kind == "link":
            yield Member(path, "link", header.target)
            stream.skip(_padded(header.size))
        elif header.size > limits.member_bytes:
            raise SourceRefused(
                f"{shown(path)}: has {header.size:,} bytes, more than the {limits.member_bytes:,} "
                "that cache.member_bytes allows"
            )
        else:
            content = stream.read(header.size)
            stream.skip(_padded(header.size) - header.size)
            yield Member(path, "regular", content)


def _headers(stream: "_Stream") -> Iterator[_Header]:
    """One header for each member, what extends it applied."""
    extended: dict[str, bytes] | None = {}
    while (block := stream.read(_BLOCK)).strip(b"\0"):
        _check_sum(block)
        size, kind = _number(block[124:136]), block[156:157]
        if kind in (b"x", b"g"):
            if size > _HEADER_BYTES:
                # Folders nested a thousand deep make such paths.
                stream.skip(_padded(size))
                extended = None if kind == b"x" else extended
                continue
            records = _records(stream.read(size))
            stream.skip(_padded(size) - size)
            # What is said of all members, git says only the commit.
            if kind == b"x" and extended is not None:
                extended |= records
            continue
        if extended is None:
            extended = {}
            yield _Header(None, kind, size, b"")
            continue
        name, prefix = _text(block[:100]), _text(block[345:500])
        path = extended.get("path", prefix + b"/" + name if prefix else name)
        target = extended.get("linkpath", _text(block[157:257]))
        if "size" in extended:
            size = _decimal(extended["size"])
        extended = {}
        yield _Header(path.decode(errors="surrogateescape"), kind, size, target)


def _kind(header: _Header) -> str:
    kind = _KINDS.get(header.kind)
    if kind is None:
        what = _REFUSED.get(header.kind, f"member of the type {header.kind!r}")
        raise ArchiveRefused(f"{shown(header.path or '')}: the archive's entry is a {what}")
    return kind


def _below_top(path: str, *, folder: bool) -> str:
    """The path without the archive's top folder: relative and normalised."""
    bare = path.removesuffix("/") if folder else path
    for name in bare.split("/"):
        if reason := why_none(name):
            raise ArchiveRefused(f"{shown(bare)}: the name '{shown(name)}' {reason}")
    _, slash, below = bare.partition("/")
    if not slash and not folder:
        raise ArchiveRefused(f"{shown(bare)}: the archive's entry lies outside its top folder")
    return below


def _check_sum(block: bytes) -> None:
    # The sum is of the header with its own field blank.
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise _damaged("a header's sum is wrong")


def _number(field: bytes) -> int:
    """An octal number, or a large one in base 256."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise _damaged("a header's number is none") from None


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise _damaged("a size is no number")
    return int(digits)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _records(content: bytes) -> dict[str, bytes]:
    """A pax header: ``LENGTH KEY=VALUE`` lines, the length in bytes of the whole line."""
    records = {}
    at = 0
    while at < len(content):
        length, space, _ = content[at : at + 8].partition(b" ")
        end = at + (int(length) if length.isdigit() else 0)
        line = content[at + len(length) + 1 : end]
        if not space or end <= at or end > len(content) or not line.endswith(b"\n"):
            raise _damaged("an extended header can't be read")
        key, _, value = line[:-1].partition(b"=")
        records[key.decode(errors="replace")] = value
        at = end
    return records


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _damaged(reason: str) -> GitHubUnavailable:
    return GitHubUnavailable(f"the archive is damaged: {reason}")


class _Stream:
    """The unpacked bytes, a piece at a time."""

    def __init__(self, chunks: Iterator[bytes], total_bytes: int) -> None:
        self._chunks = chunks
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._packed = b""
        self._piece = b""
        self._at = 0
        self._total_bytes = total_bytes
        self._left = total_bytes

    def read(self, size: int) -> bytes:
        """Exactly that many bytes."""
        end = self._at + size
        if end <= len(self._piece):
            content = self._piece[self._at : end]
            self._at = end
            return content
        pieces = [self._piece[self._at :]]
        missing = size - len(pieces[0])
        while missing:
            self._next()
            pieces.append(self._piece[:missing])
            self._at = len(pieces[-1])
            missing -= self._at
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Pass over that many bytes without holding them."""
        while size > len(self._piece) - self._at:
            size -= len(self._piece) - self._at
            self._next()
        self._at += size

    def _next(self) -> None:
        self._piece, self._at = b"", 0
        while not self._piece:
            if self._unpacker.eof:
                raise _damaged("it ends in the middle")
            if not self._packed:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise _damaged("it ends in the middle")
                self._packed = chunk
            try:
                self._piece = self._unpacker.decompress(self._packed, _PIECE)
            except zlib.error as error:
                raise _damaged(f"it can't be unpacked ({error})") from error
            self._packed = self._unpacker.unconsumed_tail
        self._left -= len(self._piece)
        if self._left < 0:
            raise ArchiveRefused(
                f"the archive unpacks to more than {self._total_bytes:,} bytes, more than its "
                "files have or cache.archive_bytes allows"
            )
