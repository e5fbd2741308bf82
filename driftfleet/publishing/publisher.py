"""The dashboard: read what there is, make what changed, write it in an order that never misleads.

Whoever looks meanwhile, and wherever this ends, finds whole pages whose links lead somewhere: what
is led to is written before what leads there, and what nothing leads to any more is removed last.

Two may do it at once. Each takes what it is about to write out of the manifest first, and puts the
new manifest there only where nobody else has done so meanwhile; else it can't know whose pages are
there, and makes those again that it wrote.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from driftfleet.day import DayRecord, day_of
from driftfleet.errors import ConfigurationError, ContractError, StoreUnavailable
from driftfleet.fleet_status import FleetStatus
from driftfleet.github.host import host_of
from driftfleet.latest import LatestRecord
from driftfleet.model import decode_record
from driftfleet.publishing.manifest import (
    MANIFEST_KEY,
    Manifest,
    digest,
    makeup,
    read_manifest,
)
from driftfleet.publishing.plan import OURS, Plan, Planner
from driftfleet.publishing.remembered import RememberedObjects
from driftfleet.publishing.writing import delete_all, write_all
from driftfleet.report.assets import assets
from driftfleet.report.edition import Edition
from driftfleet.report.front import front_page
from driftfleet.report.links import INDEX_KEY, SITE, SWEEPS_KEY, sweep_page_key
from driftfleet.report.pages import render
from driftfleet.report.root import Surroundings, root_page
from driftfleet.report.sweep import sweep_page, sweeps_page
from driftfleet.settings import Settings
from driftfleet.store.catalog import FleetReader
from driftfleet.store.days import keep_day, read_days
from driftfleet.store.objects import ObjectStore
from driftfleet.sweeps import SweepRecord

_MOST_ROUNDS = 8
_LATEST = "latest/"


@dataclass(frozen=True)
class Published:
    """What was done. ``roots`` have a page each; ``pages`` were written, ``removed`` are gone."""

    roots: int
    pages: int
    removed: int


def publish(
    objects: ObjectStore, settings: Settings, now: datetime, *, roots_at_once: int = 5000
) -> Published:
    """Make the pages of the fleet as it is, those that are as they should be left alone.

    Each time that ``roots_at_once`` pages of roots were written it is noted that they are there:
    whoever is ended in the middle of a large fleet has not made them for nothing.

    Raises
    ------
    StoreUnavailable
        The store gave or took something not, or others publish all the time. What was written is
        in order, and the next one goes on.
    """
    doubtful: frozenset[str] = frozenset()
    for _ in range(_MOST_ROUNDS):
        work = _Round(objects, settings, now, doubtful, roots_at_once)
        if (published := work.run()) is not None:
            return published
        doubtful |= work.written
    raise StoreUnavailable(
        f"{objects.describe(MANIFEST_KEY)} was changed by others each of {_MOST_ROUNDS} times"
    )


class _Round:
    """One go at it. ``written`` are the pages that it may have written."""

    def __init__(
        self,
        objects: ObjectStore,
        settings: Settings,
        now: datetime,
        doubtful: frozenset[str],
        roots_at_once: int,
    ) -> None:
        self._objects = RememberedObjects(objects, _LATEST)
        self._edition = Edition(at=now, settings=settings.report)
        self._github_url = _github_url(settings)
        self._today = now.astimezone(UTC).date()
        self._doubtful = doubtful
        # Two that note what they made would each stop the other at its next note. So whoever met
        # another one notes nothing more, and only the ends of two rounds can meet.
        self._roots_at_once = None if doubtful else roots_at_once
        self._known = Manifest()
        self._tag: str | None = None
        self._there: frozenset[str] = frozenset()
        self.written: frozenset[str] = frozenset()

    def run(self) -> Published | None:
        """Do it; None where somebody else did the same meanwhile."""
        self._known, self._tag = read_manifest(self._objects)
        reader = FleetReader(self._objects)
        fleet = reader.read()
        reader.keep()
        self._there = frozenset(self._objects.keys(f"{SITE}/"))
        plan = self._planner(self._known).plan(fleet, self._edition.at)
        days = read_days(self._objects, self._edition.at, self._known.days)
        try:
            self._begin(plan)
            pages = self._write_pages(plan) + self._write_fronts(fleet, plan, days)
        except _Moved:
            return None
        removed = self._remove(plan)
        over = {day.date: day for day in days if day.date < self._today}
        told = plan.manifest.model_copy(update={"days": over})
        if not self._objects.put_if(MANIFEST_KEY, told.encode(), self._tag):
            return None
        return Published(roots=len(plan.roots), pages=pages, removed=removed)

    def _planner(self, manifest: Manifest) -> Planner:
        shown = self._edition.settings
        base = digest(makeup(), shown.stale_after, shown.old_after, self._github_url)
        return Planner(
            self._objects,
            base=base,
            manifest=manifest,
            there=self._there,
            doubtful=self._doubtful,
            today=self._today,
        )

    def _begin(self, plan: Plan) -> None:
        """Say that nobody knows any more what these pages are. Raises `_Moved`."""
        roots = frozenset(plan.new_roots)
        sweeps = frozenset(page.sweep.sweep_id for page in plan.new_sweeps)
        self.written = roots | frozenset(map(sweep_page_key, sweeps))
        without = self._known.without(roots, sweeps)
        if self._tag is None or without != self._known:
            self._say(without)

    def _say(self, known: Manifest) -> None:
        """Put a manifest there that is true for now. Raises `_Moved`."""
        body = known.encode()
        if not self._objects.put_if(MANIFEST_KEY, body, self._tag):
            raise _Moved
        found = self._objects.get_tagged(MANIFEST_KEY)
        if found is None or found[0] != body:
            raise _Moved
        self._known, self._tag = known, found[1]

    def _write_pages(self, plan: Plan) -> int:
        """What pages load; a stand-in for what they lead to; roots; then what leads to roots."""
        loaded = [(one.key, one.body) for one in assets() if one.key not in self._there]
        write_all(self._objects, loaded)
        for key in (INDEX_KEY, SWEEPS_KEY):
            if key not in self._there:
                self._objects.put(key, render("begun.html", key, self._edition).encode())
        write_all(self._objects, self._first_sweeps(plan))
        written = self._write_roots(plan)
        return written + write_all(
            self._objects,
            (
                (sweep_page_key(one.sweep.sweep_id), self._sweep(one.sweep, one.pages))
                for one in plan.new_sweeps
            ),
        )

    def _first_sweeps(self, plan: Plan) -> Iterator[tuple[str, bytes]]:
        """Pages of sweeps that are not there yet, without links to pages of roots that aren't."""
        for one in plan.new_sweeps:
            key = sweep_page_key(one.sweep.sweep_id)
            if key not in self._there:
                led_to = {t: page for t, page in one.pages.items() if page in self._there}
                yield key, self._sweep(one.sweep, led_to)

    def _write_roots(self, plan: Plan) -> int:
        written, step = 0, self._roots_at_once or max(1, len(plan.new_roots))
        for first in range(0, len(plan.new_roots), step):
            if first:
                there = {key: plan.roots[key].made_of for key in plan.new_roots[:first]}
                pages = {**self._known.pages, **there}
                self._say(self._known.model_copy(update={"pages": pages}))
            some = plan.new_roots[first : first + step]
            written += write_all(self._objects, self._roots(plan, some))
        return written

    def _roots(self, plan: Plan, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for key in keys:
            page = plan.roots[key]
            body = self._objects.take(page.root.key)
            try:
                latest = decode_record(LatestRecord, body or b"")
            except ContractError as error:
                # It was there and right when the fleet was read.
                raise _Moved from error
            around = Surroundings(self._github_url, has_sweep=page.has_sweep)
            yield key, root_page(page.root.key, latest, around, self._edition).encode()

    def _sweep(self, sweep: SweepRecord, pages: Mapping[str, str]) -> bytes:
        return sweep_page(sweep, pages, self._edition).encode()

    def _write_fronts(self, fleet: FleetStatus, plan: Plan, days: Sequence[DayRecord]) -> int:
        """What leads to everything, when everything is there."""
        edition = self._edition
        lines = [plan.manifest.sweeps[name].line for name in plan.manifest.recent]
        listed = sweeps_page([line for line in lines if line], edition)
        self._objects.put(SWEEPS_KEY, listed.encode())
        self._objects.put(INDEX_KEY, front_page(fleet, days, edition).encode())
        keep_day(self._objects, day_of(fleet, edition.at, edition.settings.stale_after))
        return 2

    def _remove(self, plan: Plan) -> int:
        """What nothing leads to any more."""
        sweeps = {sweep_page_key(k) for k, one in plan.manifest.sweeps.items() if one.made_of}
        kept = {SWEEPS_KEY, *(one.key for one in assets()), *sweeps, *plan.roots}
        # What else is beside them is somebody else's, such as a bucket's page of errors.
        old = [key for key in self._there if key.startswith(OURS) and key not in kept]
        delete_all(self._objects, old)
        return len(old)


class _Moved(Exception):
    """Somebody else has changed what was read, or the manifest."""


def _github_url(settings: Settings) -> str:
    try:
        return host_of(settings.github).web_url
    except ConfigurationError:
        # None is named; and what is wrong with a name is told to whoever asks that server.
        return ""
