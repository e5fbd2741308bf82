"""What Terraform calls a provider package by: ``zh:`` of its archive, ``h1:`` of its files."""

import base64
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path


def archive_hash(archive: Path) -> str:
    """Terraform's ``zh:``: the SHA-256 of the zip file itself, in hex. Raises ``OSError``."""
    with archive.open("rb") as file:
        return "zh:" + hashlib.file_digest(file, "sha256").hexdigest()


def package_hash(package: Path) -> str:
    """Terraform's ``h1:`` of an unpacked provider (golang.org/x/mod/sumdb/dirhash, Hash1).

    It is worked out once while the files stay as they are: same inodes, sizes, and times, of which
    ctime can't be set by anybody.
    """
    stamps = []
    for path in _files(package):
        status = path.stat()
        name = path.relative_to(package).as_posix()
        stamps.append((name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return _hash(package, tuple(stamps))


def fresh_package_hash(package: Path) -> str:
    """The same, read from the disk now: a disk that goes bad changes no time of a file."""
    return _hash1(package, (path.relative_to(package).as_posix() for path in _files(package)))


def _files(package: Path) -> list[Path]:
    return sorted(path for path in package.rglob("*") if path.is_file())


@functools.lru_cache(maxsize=256)
def _hash(package: Path, stamps: tuple[tuple[str, int, int, int, int], ...]) -> str:
    return _hash1(package, (stamp[0] for stamp in stamps))


def _hash1(package: Path, names: Iterable[str]) -> str:
    total = hashlib.sha256()
    for name in sorted(names):
        with (package / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{digest}  {name}\n".encode())
    return "h1:" + base64.b64encode(total.digest()).decode()
