"""What of a folder of results is too old to be kept, and its removal beside running workers."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from driftfleet.errors import ContractError, StoreUnavailable
from driftfleet.model import decode_record
from driftfleet.places import history_start
from driftfleet.store.files import FileObjects
from driftfleet.store.records import ResultStore
from driftfleet.sweeps import SweepManifest, SweepRecord

# A year can be held against the one before.
DAYS_KEPT = timedelta(days=400)
# What a process that died in the middle of a write left. Nobody writes for so long.
_LEFTOVER_AFTER = timedelta(days=1)
_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\.tmp")
# Of whatever else is below `results/`, as of another program's folder, nothing goes.
_RESULT = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[A-Za-z0-9_-]{1,64}\.json")
# How far the clocks of workers may be apart.
_SKEW = timedelta(hours=2)
Kind = Literal["results", "sweeps", "days", "leftovers"]


@dataclass(frozen=True)
class Old:
    """An object that may go."""

    kind: Kind
    key: str
    size_bytes: int


class Retention:
    """Finds and removes what finished before ``before``.

    Kept are the newest result of each root and variant, and the one that its latest record is of;
    whatever an open sweep may be answered by; everything outside of history, closed sweeps and
    days. ``unreadable`` are sweeps that can't be read, which stay.
    """

    def __init__(self, folder: Path, before: datetime, now: datetime) -> None:
        self._folder = folder
        self._objects = FileObjects(folder)
        self._store = ResultStore(self._objects)
        self._now = now
        self._before = self._answered_before(before)
        self.unreadable: list[str] = []

    def old(self) -> Iterator[Old]:
        """What may go, folder by folder."""
        for names in _folders(self._folder / "results", self._folder):
            yield from self._old_results(names)
        for names in _folders(self._folder / "sweeps", self._folder):
            yield from self._old_sweeps(names)
        yield from self._old_days()
        yield from self._leftovers()

    def remove(self, one: Old) -> None:
        """Remove it. Raises `StoreUnavailable` where that fails."""
        self._objects.delete(one.key)

    def _answered_before(self, before: datetime) -> datetime:
        """No later than what any open sweep asked for can have been answered."""
        asked = [
            manifest.asked_at - _SKEW
            for key in self._objects.keys("open/")
            if (manifest := self._manifest(key)) is not None
        ]
        return min([before, *asked])

    def _manifest(self, key: str) -> SweepManifest | None:
        try:
            return self._store.record(SweepManifest, key)
        except ContractError as error:
            raise ContractError(
                f"{self._objects.describe(key)} can't be read ({error.message}): nobody knows what "
                "that sweep may still be answered by, and nothing is removed; if that is over, "
                "remove the file"
            ) from error

    def _old_results(self, keys: Sequence[str]) -> Iterator[Old]:
        """Of one root and variant, all but the newest. Keys sort by when they finished."""
        place = keys[0].removeprefix("results/").rpartition("/")[0]
        end = history_start(place, self._before)
        results = sorted(key for key in keys if _RESULT.fullmatch(key.rpartition("/")[2]))
        old = [key for key in results[:-1] if key < end]
        if not old:
            return
        shown = self._shown(place)
        yield from (self._sized("results", key) for key in old if key != shown)

    def _shown(self, place: str) -> str | None:
        """The result that the latest record is of: it may have finished before an older one."""
        try:
            latest = self._store.latest(f"latest/{place}.json")
        except ContractError:
            return None
        return latest.result.history_key if latest else None

    def _old_sweeps(self, keys: Sequence[str]) -> Iterator[Old]:
        for key in keys:
            # Written since: it can't have been closed before. Most needn't be read for that.
            if key.endswith(".json") and self._written(key) < self._before:
                try:
                    record = decode_record(SweepRecord, self._objects.get(key) or b"")
                except ContractError:
                    self.unreadable.append(key)
                    continue
                if record.closed_at is not None and record.closed_at < self._before:
                    yield self._sized("sweeps", key)

    def _old_days(self) -> Iterator[Old]:
        first = (self._now - DAYS_KEPT).date()
        for key in self._objects.keys("days/"):
            day = _day(key)
            if day is not None and day < first:
                yield self._sized("days", key)

    def _leftovers(self) -> Iterator[Old]:
        for folder, _, names in os.walk(self._folder):
            for name in filter(_LEFTOVER.fullmatch, names):
                key = (Path(folder) / name).relative_to(self._folder).as_posix()
                if self._written(key) < self._now - _LEFTOVER_AFTER:
                    yield self._sized("leftovers", key)

    def _written(self, key: str) -> datetime:
        found = self._objects.stat(key)
        return datetime.fromtimestamp(found.st_mtime, UTC) if found else self._now

    def _sized(self, kind: Kind, key: str) -> Old:
        found = self._objects.stat(key)
        return Old(kind, key, found.st_size if found else 0)


def _folders(top: Path, base: Path) -> Iterator[list[str]]:
    """The keys of each folder that holds any, a folder at a time: there may be a million."""
    for folder, _, names in os.walk(top, onerror=_refuse_to_guess):
        if keys := [
            (Path(folder) / name).relative_to(base).as_posix()
            for name in names
            if not name.startswith(".")
        ]:
            yield keys


def _refuse_to_guess(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise StoreUnavailable(f"{error.filename}: can't be listed: {error.strerror}") from error


def _day(key: str) -> date | None:
    try:
        return date.fromisoformat(key.removeprefix("days/").removesuffix(".json"))
    except ValueError:
        return None
