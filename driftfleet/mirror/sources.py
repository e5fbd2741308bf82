"""Where packages come from: a folder that is a mirror itself, or what terraform downloads."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from driftfleet.errors import ConfigurationError, PermanentError
from driftfleet.mirror.constraint import newest
from driftfleet.mirror.layout import Package, packed, unpacked


class ProviderUnavailable(PermanentError):
    """The source does not have a provider, or does not give it; the message says why."""


@dataclass(frozen=True)
class Fetched:
    """A package as it came: a zip file, or a folder. It is still to be verified.

    ``locked`` says that terraform itself held the archive against the hashes of the lock files
    before it unpacked it.
    """

    path: Path
    locked: bool = False


class Source(Protocol):
    """What a sync downloads from. All methods raise `ProviderUnavailable`."""

    def newest(self, address: str, constraint: str, platforms: Iterable[str]) -> str:
        """The newest version that satisfies the constraint."""

    def fetch(self, package: Package, hashes: frozenset[str]) -> Fetched:
        """Get a package; ``hashes`` are those that lock files record for its version."""


class FolderSource:
    """A filesystem mirror, unpacked or packed or both. It is read by us: terraform would link it.

    Raises
    ------
    ConfigurationError
        There is no such folder, or it can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._archives = frozenset(packed(folder))
            self._packages = frozenset(unpacked(folder)) | self._archives
        except OSError as error:
            raise ConfigurationError(
                f"the source {folder} can't be read: {error.filename}: {error.strerror}"
            ) from error

    def newest(self, address: str, constraint: str, platforms: Iterable[str]) -> str:
        wanted = set(platforms)
        there = [p for p in self._packages if p.address == address]
        # One that is there for all of the platforms: workers of two kinds plan the same roots.
        whole = {p.version for p in there if wanted <= self._platforms(p)}
        found = newest(whole, constraint) or newest((p.version for p in there), constraint)
        if found is None:
            versions = ", ".join(sorted({p.version for p in there})) or "no version at all"
            raise ProviderUnavailable(f"{self._folder} has {versions} of it")
        return found

    def fetch(self, package: Package, hashes: frozenset[str]) -> Fetched:  # noqa: ARG002
        if package in self._archives:
            return Fetched(self._folder / package.archive)
        if package in self._packages:
            return Fetched(self._folder / package.path)
        versions = sorted(
            f"{p.version} {p.platform}" for p in self._packages if p.address == package.address
        )
        has = ", ".join(versions[:5]) or "none"
        raise ProviderUnavailable(f"{os.fspath(self._folder)} has {has} of it")

    def _platforms(self, package: Package) -> set[str]:
        same = (package.address, package.version)
        return {p.platform for p in self._packages if p[:2] == same}
