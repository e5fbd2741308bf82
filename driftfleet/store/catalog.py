"""The status of every root, from what changed since it was written down last.

A fleet's latest records are too many to read each time. Their listing tells a stamp of each; the
catalog keeps every root's line with the stamp it is of, so only what was written since is read.
It is a cache: without it, or with a broken one, everything is read, and the same comes out.
"""

import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

import structlog
from pydantic import Field

from driftfleet.errors import ContractError
from driftfleet.fleet_status import FleetStatus, fleet_status
from driftfleet.latest import LatestRecord
from driftfleet.model import Record, decode_record
from driftfleet.repository_roots import RepositoryRoots
from driftfleet.root_status import RootStatus, status_of
from driftfleet.store.objects import ObjectStore
from driftfleet.store.reading import read_each

log = structlog.get_logger()

CATALOG_KEY = "catalog/fleet.json.gz"
# A hundred thousand roots have about a hundred million: more is none that we wrote.
_MOST_BYTES = 1 << 28
_GZIP = 16 + zlib.MAX_WBITS
KeptT = TypeVar("KeptT", bound=Record)


class _Kept(Record, Generic[KeptT]):
    stamp: str
    of: KeptT


class _Catalog(Record):
    # No default, which would be left out: what has no schema could be of any later one.
    schema_version: Literal[1]
    roots: dict[str, _Kept[RootStatus]] = Field(default_factory=dict)
    looks: dict[str, _Kept[RepositoryRoots]] = Field(default_factory=dict)


class FleetReader:
    """Reads the status of the whole fleet. Everything may raise `StoreUnavailable`.

    ``changed`` are the keys of the latest records that were read anew, in the last `read`.
    """

    def __init__(self, objects: ObjectStore, most_catalog_bytes: int = _MOST_BYTES) -> None:
        self._objects = objects
        self._most_bytes = most_catalog_bytes
        self._catalog = _Catalog(schema_version=1)
        self._unreadable: dict[str, str] = {}
        self.changed: tuple[str, ...] = ()

    def read(self) -> FleetStatus:
        """The status as it is now."""
        kept = self._kept()
        self._unreadable = {}
        roots, self.changed = self._current("latest/", kept.roots, _status)
        looks, _ = self._current("roots/", kept.looks, _look)
        self._catalog = _Catalog(schema_version=1, roots=roots, looks=looks)
        return fleet_status(
            (one.of for one in roots.values()),
            (one.of for one in looks.values()),
            dict(sorted(self._unreadable.items())),
        )

    def keep(self) -> None:
        """Write the catalog, so that the next one reads less."""
        told = self._catalog.model_dump_json(exclude_defaults=True).encode()
        self._objects.put(CATALOG_KEY, gzip.compress(told, compresslevel=5, mtime=0))

    def _kept(self) -> _Catalog:
        """What was written down; nothing where that can't be read."""
        body = self._objects.get(CATALOG_KEY)
        if body is None:
            return _Catalog(schema_version=1)
        try:
            return decode_record(_Catalog, _unpacked(body, self._most_bytes))
        except (ContractError, zlib.error) as error:
            log.warning(
                "catalog_unreadable", where=self._objects.describe(CATALOG_KEY), reason=str(error)
            )
            return _Catalog(schema_version=1)

    def _current(
        self,
        prefix: str,
        kept: Mapping[str, _Kept[KeptT]],
        read: Callable[[str, bytes], KeptT],
    ) -> tuple[dict[str, _Kept[KeptT]], tuple[str, ...]]:
        """What is there now, and the keys of what is not as it was kept."""
        stamps = dict(self._objects.listing(prefix))
        same = {key: one for key, one in kept.items() if stamps.get(key) == one.stamp}
        changed = tuple(key for key in stamps if key not in same)
        found = read_each(changed, lambda key: self._read(key, read))
        new: dict[str, _Kept[KeptT]] = {
            key: _Kept(stamp=stamps[key], of=one)
            for key, one in zip(changed, found, strict=True)
            if one is not None
        }
        return {**same, **new}, changed

    def _read(self, key: str, read: Callable[[str, bytes], KeptT]) -> KeptT | None:
        body = self._objects.get(key)
        if body is None:
            return None
        try:
            return read(key, body)
        except ContractError as error:
            self._unreadable[key] = error.message
            return None


def _unpacked(body: bytes, most_bytes: int) -> bytes:
    packed = zlib.decompressobj(wbits=_GZIP)
    told = packed.decompress(body, most_bytes)
    if not packed.eof or packed.unused_data:
        raise ContractError(f"no gzip that is whole and has {most_bytes:,} bytes at most")
    return told


def _status(key: str, body: bytes) -> RootStatus:
    latest = decode_record(LatestRecord, body)
    if latest.result.latest_key != key:
        # Somebody's copy: as another root it would be counted, and never be judged again.
        raise ContractError(f"it is a record of {latest.result.job.title}")
    return status_of(key, latest)


def _look(_: str, body: bytes) -> RepositoryRoots:
    return decode_record(RepositoryRoots, body)
