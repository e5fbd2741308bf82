"""What of the mirror no root needs, and its removal."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from driftfleet.mirror.constraint import newest
from driftfleet.mirror.layout import Package, bytes_of, unpacked
from driftfleet.mirror.needs import Need
from driftfleet.mirror.records import record_path
from driftfleet.mirror.unpack import remove


@dataclass(frozen=True)
class Unneeded:
    """A package that no root needs, and what it takes on the disk."""

    package: Package
    bytes: int


def unneeded(mirror: Path, needs: Iterable[Need]) -> list[Unneeded]:
    """The packages that none of the ``needs`` chooses, on any platform; sorted.

    A constraint chooses the newest that satisfies it among those that are there for the platform,
    as terraform will. Raises ``OSError`` where a folder can't be read.
    """
    there = unpacked(mirror)
    kept = {package for need in needs for package in _chosen(need, there)}
    return [
        Unneeded(package, bytes_of(mirror / package.path))
        for package in there
        if package not in kept
    ]


def prune(mirror: Path, staging: Path, packages: Iterable[Package]) -> None:
    """Remove packages, each at once for whoever looks. Raises ``OSError``."""
    for package in packages:
        folder = mirror / package.path
        taken = staging / "pruned"
        # Without the right to write to a folder it can't be moved: its `..` changes.
        folder.chmod(0o755)
        os.rename(folder, taken)
        record_path(mirror, package).unlink(missing_ok=True)
        remove(taken)
        _remove_empty(mirror, folder.parent)


def _chosen(need: Need, there: list[Package]) -> set[Package]:
    same = [package for package in there if package.address == need.address]
    if need.version:
        return {package for package in same if package.version == need.version}
    versions = defaultdict(list)
    for package in same:
        versions[package.platform].append(package.version)
    return {
        Package(need.address, version, platform)
        for platform, found in versions.items()
        if (version := newest(found, need.constraint)) is not None
    }


def _remove_empty(mirror: Path, folder: Path) -> None:
    while folder != mirror:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
