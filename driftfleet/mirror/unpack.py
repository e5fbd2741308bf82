"""A provider's archive, or another mirror's folder -> a folder of ours. What they hold is doubted.

An archive of a few kilobytes can unpack to a disk full, name files anywhere on the machine, or
bring a link through which the next file is written.
"""

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from driftfleet.errors import PermanentError
from driftfleet.mirror.room import require_room

# The largest provider there is (hashicorp/aws) has four files and 700 MiB.
MOST_FILES = 10_000
MOST_BYTES = 4 << 30
_MOST_DIRECTORY_BYTES = 4 << 20
_LONGEST_NAME = 1_000
_CHUNK = 1 << 20
_END_OF_DIRECTORY = b"PK\x05\x06"
_END_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_BYTES = 20


class PackageRefused(PermanentError):
    """A provider's package is not what it should be; the message says why."""


def unpack(archive: Path, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Unpack a provider's zip file into ``folder``, which is made. Modes are `seal`'s matter.

    Raises
    ------
    PackageRefused
        It is no zip file, is too large, or names what does not belong into a folder.
    MirrorDiskFull
        It would not fit on the disk.
    OSError
        The disk does not take it.
    """
    try:
        _require_small_directory(archive)
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(opened.infolist(), most_bytes)
            require_room(folder.parent, [entry.file_size for entry in entries])
            folder.mkdir(mode=0o700)
            left = most_bytes
            for entry in entries:
                with opened.open(entry) as source:
                    left -= _write(source, folder / entry.filename, left)
                if entry.external_attr >> 16 & 0o111:
                    (folder / entry.filename).chmod(0o700)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        raise PackageRefused(f"{archive.name} is no archive that can be read: {error}") from error
    except zlib.error as error:
        raise PackageRefused(f"{archive.name} is damaged: {error}") from error


def copy(source: Path, folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Copy an unpacked package into ``folder``, which is made. Raises as `unpack` does."""
    require_room(folder.parent, _sizes(source))
    folder.mkdir(mode=0o700)
    left, files = most_bytes, 0
    for at, names in _walk(source):
        for name in names:
            path = f"{at}/{name}"
            target = folder / os.path.relpath(path, source)
            files += 1
            if files > MOST_FILES:
                raise PackageRefused(f"{source}: has more than {MOST_FILES:,} files")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(path, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise PackageRefused(f"{path}: is neither a file nor a folder")
                left -= _write(file, target, left)
            if status.st_mode & 0o111:
                target.chmod(0o700)


def seal(folder: Path) -> None:
    """Make a package readable by all and writable by nobody, and have the disk keep it.

    The folder itself stays writable for its owner: only so can it be moved.
    """
    for at, folders, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            runs = path.stat().st_mode & 0o111 or name.startswith("terraform-provider-")
            path.chmod(0o555 if runs else 0o444)
        for name in folders:
            Path(at, name).chmod(0o555)
    folder.chmod(0o755)


def _sizes(source: Path) -> list[int]:
    found: list[int] = []
    for at, names in _walk(source):
        if len(found) + len(names) > MOST_FILES:
            break  # which `copy` refuses
        found += [os.lstat(f"{at}/{name}").st_size for name in names]
    return found


def _walk(source: Path) -> Iterator[tuple[str, list[str]]]:
    def fail(error: OSError) -> None:
        raise error

    for at, folders, names in os.walk(source, onerror=fail):
        for name in (*folders, *names):
            if os.path.islink(f"{at}/{name}"):
                raise PackageRefused(f"{at}/{name}: is a link, which no provider's package has")
        yield at, names


def _write(source: IO[bytes], target: Path, left: int) -> int:
    """Copy at most ``left`` bytes; whatever an archive says of a file's size."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > left:
                raise PackageRefused(_TOO_LARGE)
            file.write(chunk)
        file.flush()
        # A machine that loses its power may not be left with an empty file of the right name.
        os.fsync(file.fileno())
    return written


_TOO_LARGE = f"it unpacks to more than {MOST_BYTES >> 30} GiB, as no provider does"


def _require_small_directory(archive: Path) -> None:
    """Refuse a directory that takes memory by the gigabyte, before `zipfile` reads it."""
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES - _ZIP64_BYTES - (1 << 16)))
        tail = file.read()
    end = tail.rfind(_END_OF_DIRECTORY)
    if end < 0 or len(tail) - end < _END_BYTES:
        raise PackageRefused(f"{archive.name} is no zip file")
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    # An archive that needs zip64 has more files or bytes than any provider.
    zip64 = tail[max(0, end - _ZIP64_BYTES) : end].startswith(_ZIP64_LOCATOR)
    if zip64 or directory_bytes > _MOST_DIRECTORY_BYTES:
        raise PackageRefused(f"{archive.name}: has more files than a provider can have")


def _checked(entries: list[zipfile.ZipInfo], most_bytes: int) -> list[zipfile.ZipInfo]:
    if len(entries) > MOST_FILES:
        raise PackageRefused(f"it holds more than {MOST_FILES:,} files")
    if sum(entry.file_size for entry in entries) > most_bytes:
        raise PackageRefused(_TOO_LARGE)
    names = set()
    for entry in entries:
        # As it is stored: `filename` is cut at a NUL.
        if reason := _why_refused(entry):
            raise PackageRefused(f"its entry {entry.orig_filename!a} {reason}")
        if entry.filename in names:
            raise PackageRefused(f"it holds {entry.filename!a} twice")
        names.add(entry.filename)
    return [entry for entry in entries if not entry.is_dir()]


def _why_refused(entry: zipfile.ZipInfo) -> str | None:
    name = entry.orig_filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is neither a file nor a folder"
    parts = name.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or len(name) > _LONGEST_NAME:
        return "leads out of its folder"
    if "\\" in name or not name.isprintable():
        return "has a name that no provider's file has"
    return "is encrypted" if entry.flag_bits & 1 else None


def remove(folder: Path) -> None:
    """Remove a folder whatever its modes. Raises ``OSError``."""
    if not os.path.lexists(folder):
        return
    for at, _, _ in os.walk(folder):
        os.chmod(at, 0o700)
    shutil.rmtree(folder)
