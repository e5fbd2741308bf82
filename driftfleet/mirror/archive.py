"""A package's folder -> a zip file that is made while it is sent: on no disk, in little memory.

Its files are stored, not packed, under fixed times and modes, in the order of their names: the same
package is the same archive everywhere, and its length is known before its first byte (ADR 14).
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from driftfleet.mirror.layout import Package
from driftfleet.mirror.unpack import MOST_FILES, PackageRefused

_CHUNK = 256 << 10
# Sizes and checksums follow the data (bit 3), names are UTF-8 (bit 11).
_VERSION, _FLAGS, _STORED, _TIME, _DATE = 20, 0x0808, 0, 0, 0x0021
_UNIX = 3 << 8
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<4s3L")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
# From here on an archive has another form, zip64; the largest provider takes a sixth of it.
_MOST_BYTES = (1 << 32) - 1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PackageChanged(Exception):
    """A package went or changed while it was sent."""


class _Member(NamedTuple):
    path: str
    size: int
    runs: bool

    @property
    def name(self) -> bytes:
        return os.fsencode(self.path)

    @property
    def mode(self) -> int:
        return stat.S_IFREG | (0o755 if self.runs else 0o644)


class PackageArchive:
    """The archive of a package of ``mirror``; no link is followed. Close it.

    Raises
    ------
    OSError
        There is no such package, or it can't be read.
    PackageRefused
        It holds something other than files and folders, or is too large for an archive.
    """

    def __init__(self, mirror: Path, package: Package) -> None:
        self._folder = _open_beneath(os.fspath(mirror), package.path)
        try:
            self._members = sorted(self._list())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._folder)

    @property
    def length_bytes(self) -> int:
        """What all of `chunks` come to."""
        fixed = _LOCAL.size + _DESCRIPTOR.size + _CENTRAL.size
        return _END.size + sum(fixed + 2 * len(m.name) + m.size for m in self._members)

    def chunks(self) -> Iterator[bytes]:
        """The archive, a piece at a time. Raises `PackageChanged` and ``OSError``."""
        at, directory = 0, []
        for member in self._members:
            yield (head := _local(member))
            checksum = 0
            for chunk in self._read(member):
                checksum = zlib.crc32(chunk, checksum)
                yield chunk
            directory.append(_central(member, checksum, at))
            at += len(head) + member.size + _DESCRIPTOR.size
            yield _DESCRIPTOR.pack(b"PK\x07\x08", checksum, member.size, member.size)
        size = sum(map(len, directory))
        count = len(directory)
        end = _END.pack(b"PK\x05\x06", 0, 0, count, count, size, at, 0)
        yield b"".join((*directory, end))

    def _list(self) -> Iterator[_Member]:
        total = files = 0
        for at, folders, names, folder in os.fwalk(".", dir_fd=self._folder):
            for name in (*folders, *names):
                path = os.path.normpath(f"{at}/{name}")
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    continue
                if not stat.S_ISREG(status.st_mode):
                    raise PackageRefused(f"{path}: is neither a file nor a folder")
                files += 1
                total += status.st_size + 2 * len(path) + _CENTRAL.size + _LOCAL.size
                if files > MOST_FILES or total > _MOST_BYTES - _LOCAL.size:
                    raise PackageRefused("it is larger than an archive can be that is sent")
                yield _Member(path, status.st_size, bool(status.st_mode & 0o111))

    def _read(self, member: _Member) -> Iterator[bytes]:
        folder = _open_beneath(".", os.path.dirname(member.path), self._folder)
        try:
            descriptor = os.open(os.path.basename(member.path), _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        left = member.size
        with open(descriptor, "rb", buffering=0) as file:
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise PackageChanged(f"{member.path} has become shorter")
                left -= len(chunk)
                yield chunk


def _open_beneath(top: str, path: str, folder: int | None = None) -> int:
    """Open a folder below ``top`` without following any link of ``path``."""
    # What a person names may be a link itself.
    opened = os.open(top, _FOLDER & ~os.O_NOFOLLOW, dir_fd=folder)
    for part in filter(None, path.split("/")):
        try:
            inner = os.open(part, _FOLDER, dir_fd=opened)
        finally:
            os.close(opened)
        opened = inner
    return opened


def _local(member: _Member) -> bytes:
    head = (_VERSION, _FLAGS, _STORED, _TIME, _DATE, 0, 0, 0, len(member.name), 0)
    return _LOCAL.pack(b"PK\x03\x04", *head) + member.name


def _central(member: _Member, checksum: int, at: int) -> bytes:
    made = (_UNIX | _VERSION, _VERSION, _FLAGS, _STORED, _TIME, _DATE)
    sizes = (checksum, member.size, member.size, len(member.name), 0, 0, 0, 0)
    return _CENTRAL.pack(b"PK\x01\x02", *made, *sizes, member.mode << 16, at) + member.name
