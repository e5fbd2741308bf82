"""Brings what the fleet needs into the mirror, beside what is there, which is never changed."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from driftfleet.durable import sync_to_disk
from driftfleet.errors import PermanentError
from driftfleet.mirror.hashes import archive_hash, fresh_package_hash
from driftfleet.mirror.layout import Package, bytes_of, is_version, unpacked
from driftfleet.mirror.needs import Need
from driftfleet.mirror.records import PackageRecord, read_record, record_bytes, record_path
from driftfleet.mirror.room import MirrorDiskFull, require_room
from driftfleet.mirror.sources import Fetched, Source
from driftfleet.mirror.unpack import PackageRefused, copy, remove, seal, unpack

Action = Literal["added", "present", "recorded", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one package, or of a need for which no version was found (no ``package``).

    ``message`` says why it ``failed``, or what a person should know of it. ``recorded`` is one that
    somebody else had put there, and that fits a lock file.
    """

    action: Action
    address: str
    wanted: str
    package: Package | None = None
    record: PackageRecord | None = None
    bytes: int = 0
    message: str = ""
    roots: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wanted:
    """A version to have, and what each root's lock file says it hashes to."""

    address: str
    version: str
    roots: tuple[str, ...] = ()
    locks: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def hashes(self) -> frozenset[str]:
        return frozenset().union(*self.locks.values())


def sync(
    mirror: Path,
    staging: Path,
    needs: Iterable[Need],
    *,
    platforms: Sequence[str],
    source: Source,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """Have every needed version for each of the platforms; ``tell`` gets each outcome at once.

    ``staging`` is a folder on the mirror's disk that only we use. What fails for one provider does
    not end the others; a disk that is full or refuses does.

    Raises
    ------
    MirrorDiskFull, OSError
        The disk doesn't take it. Nothing half-done is in the mirror.
    """
    return _Sync(mirror, staging, tuple(platforms), source, tell).run(needs)


class _Sync:
    def __init__(
        self,
        mirror: Path,
        staging: Path,
        platforms: tuple[str, ...],
        source: Source,
        tell: Callable[[Outcome], None],
    ) -> None:
        self._mirror = mirror
        self._staging = staging
        self._platforms = platforms
        self._source = source
        self._tell = tell
        self._outcomes: list[Outcome] = []
        self._there = frozenset(unpacked(mirror))

    def run(self, needs: Iterable[Need]) -> list[Outcome]:
        for wanted in self._chosen(needs):
            for platform in self._platforms:
                self._have(wanted, Package(wanted.address, wanted.version, platform))
        return self._outcomes

    def _chosen(self, needs: Iterable[Need]) -> list[_Wanted]:
        """The versions, each once, whatever needs it."""
        found: dict[tuple[str, str], _Wanted] = {}
        for need in needs:
            try:
                version = need.version or self._source.newest(
                    need.address, need.constraint, self._platforms
                )
            except MirrorDiskFull:
                raise
            except (PermanentError, ValueError) as error:
                message = str(error)
                self._note(Outcome("failed", need.address, need.wanted, None, None, 0, message,
                                   need.roots))  # fmt: skip
                continue
            assert is_version(version)
            key = (need.address, version)
            before = found.get(key, _Wanted(*key))
            roots = tuple(dict.fromkeys((*before.roots, *need.roots)))
            found[key] = _Wanted(*key, roots, {**before.locks, **need.locks})
        return [found[key] for key in sorted(found)]

    def _have(self, wanted: _Wanted, package: Package) -> None:
        try:
            outcome = self._present(wanted, package) or self._bring(wanted, package)
        except MirrorDiskFull:
            raise
        except PermanentError as error:
            outcome = self._outcome("failed", wanted, package, message=error.message)
        self._note(outcome)

    def _present(self, wanted: _Wanted, package: Package) -> Outcome | None:
        """What there is to say of a package that is there; None where none is."""
        if package not in self._there:
            return None
        folder = self._mirror / package.path
        if record := read_record(self._mirror, package):
            if not (misfits := _misfits(wanted, record)):
                return self._outcome("present", wanted, package, record)
            raise PackageRefused(f"it is in the mirror, and its hash is not that in {misfits}")
        h1 = fresh_package_hash(folder)
        if h1 in wanted.hashes:
            self._write_record(package, PackageRecord(h1))
            return self._outcome("recorded", wanted, package, PackageRecord(h1))
        return self._outcome(
            "present", wanted, package,
            message="was not brought by a sync, and no lock file records it: it can't be verified",
        )  # fmt: skip

    def _bring(self, wanted: _Wanted, package: Package) -> Outcome:
        fetched = self._source.fetch(package, wanted.hashes)
        folder = self._staging / "package"
        try:
            zh = self._unpack(fetched, folder, wanted)
            vouched = tuple(sorted(wanted.hashes)) if fetched.locked else ()
            record = PackageRecord(fresh_package_hash(folder), zh, vouched)
            known = tuple(filter(None, (record.h1, zh)))
            if wanted.hashes and wanted.hashes.isdisjoint((*known, *vouched)):
                raise PackageRefused(_unknown(wanted, known))
            seal(folder)
            self._place(folder, package, record)
        finally:
            remove(folder)
        misfits = _misfits(wanted, record)
        message = f"its hash is not that in {misfits}" if misfits else ""
        at = self._mirror / package.path
        return self._outcome("added", wanted, package, record, size=bytes_of(at), message=message)

    def _unpack(self, fetched: Fetched, folder: Path, wanted: _Wanted) -> str | None:
        """Make the folder; the archive's hash, where there is an archive."""
        if fetched.path.is_dir():
            copy(fetched.path, folder)
            return None
        archive = fetched.path
        if not archive.is_relative_to(self._staging):
            # What is verified must be what is unpacked: in its own place others may change it.
            archive = self._staging / "archive.zip"
            require_room(self._staging, [fetched.path.stat().st_size])
            _copy_file(fetched.path, archive)
        zh = archive_hash(archive)
        recorded = {one for one in wanted.hashes if one.startswith("zh:")}
        if recorded and zh not in recorded:
            raise PackageRefused(_unknown(wanted, (zh,)))
        unpack(archive, folder)
        archive.unlink()
        return zh

    def _place(self, folder: Path, package: Package, record: PackageRecord) -> None:
        """Rename into the mirror; from then on it is there, with its record, and whole."""
        target = self._mirror / package.path
        _make_folders(self._mirror, target.parent)
        # First: a package without its record would pass for one of unknown origin.
        self._write_record(package, record)
        os.rename(folder, target)
        target.chmod(0o555)
        sync_to_disk(target.parent, os.O_DIRECTORY)

    def _write_record(self, package: Package, record: PackageRecord) -> None:
        staged = self._staging / "record.json"
        staged.write_bytes(record_bytes(record))
        staged.chmod(0o444)
        os.rename(staged, record_path(self._mirror, package))

    def _outcome(
        self,
        action: Action,
        wanted: _Wanted,
        package: Package,
        record: PackageRecord | None = None,
        *,
        size: int = 0,
        message: str = "",
    ) -> Outcome:
        return Outcome(
            action, wanted.address, wanted.version, package, record, size, message, wanted.roots
        )

    def _note(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._tell(outcome)


def _misfits(wanted: _Wanted, record: PackageRecord) -> str:
    """The roots whose lock files don't allow the package, for a person; "" for none."""
    return _named([root for root, hashes in wanted.locks.items() if not record.fits(hashes)])


def _unknown(wanted: _Wanted, known: Sequence[str]) -> str:
    return (
        f"it was thrown away: its hash ({', '.join(known)}) is none of those in the lock files of "
        f"{_named(list(wanted.locks))}. Where those were written on another platform, add this one "
        "to them: `terraform providers lock -platform=OS_ARCH`. Else somebody has changed it"
    )


def _named(roots: list[str]) -> str:
    more = f" and {len(roots) - 3} more" if len(roots) > 3 else ""
    return ", ".join(sorted(roots)[:3]) + more


def _make_folders(mirror: Path, folder: Path) -> None:
    """Make the folders of a package readable by all, whatever the umask is."""
    missing = []
    while folder != mirror and not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir()
        one.chmod(0o755)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(1 << 20):
            writer.write(chunk)
