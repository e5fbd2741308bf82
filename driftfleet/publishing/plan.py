"""What there is to show, and which pages of it are not as they should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import structlog

from driftfleet.errors import ContractError
from driftfleet.fleet_status import FleetStatus
from driftfleet.model import decode_record
from driftfleet.publishing.manifest import Manifest, SweepEntry, digest
from driftfleet.publishing.recent_sweeps import recent_sweeps
from driftfleet.publishing.writing import many_at_once
from driftfleet.report.links import SITE, SWEEPS_KEY, sweep_page_key
from driftfleet.report.root import page_of
from driftfleet.report.sweep import line_of, titles_on
from driftfleet.root_status import RootStatus
from driftfleet.store.objects import ObjectStore
from driftfleet.sweeps import SweepRecord

log = structlog.get_logger()

# Where no page is but ours.
OURS = tuple(f"{SITE}/{folder}/" for folder in ("roots", "sweeps", "assets"))


@dataclass(frozen=True)
class RootPage:
    """``made_of`` is the digest of all that is on the page."""

    root: RootStatus
    has_sweep: bool
    made_of: str


@dataclass(frozen=True)
class SweepPage:
    """A page to be made anew. ``pages`` are those of roots that it leads to, by title."""

    sweep: SweepRecord
    pages: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """The pages as they should be.

    ``roots`` are all of them by key; ``new_roots`` are the keys of those that are not so yet, and
    ``new_sweeps`` such pages of sweeps. ``manifest`` is what will be true in the end.
    """

    roots: Mapping[str, RootPage]
    new_roots: tuple[str, ...]
    new_sweeps: tuple[SweepPage, ...]
    manifest: Manifest


class Planner:
    """``base`` is a digest of what all pages are made of; ``there`` are the keys of the site.

    What is in ``doubtful`` is made anew, whatever the manifest says of it.
    """

    def __init__(
        self,
        objects: ObjectStore,
        *,
        base: str,
        manifest: Manifest,
        there: frozenset[str],
        doubtful: frozenset[str],
        today: date,
    ) -> None:
        self._objects = objects
        self._base = base
        self._manifest = manifest
        self._there = there
        self._doubtful = doubtful
        self._today = today
        # Once a day all are looked at: records of sweeps are removed when they are old.
        self._looks_again = manifest.made_on != today

    def plan(self, fleet: FleetStatus, now: datetime) -> Plan:
        """See what there is to do. Raises `StoreUnavailable`."""
        named = frozenset(root.sweep_id for root in fleet.roots)
        recent = recent_sweeps(self._objects, named, self._manifest.recent, now)
        by_title = {one.title: page_of(one.key) for one in fleet.roots}
        sweeps, new_sweeps = self._sweeps(named | self._lasting(by_title), recent, by_title)
        roots = {
            page_of(root.key): self._root(root, bool(sweeps[root.sweep_id].made_of))
            for root in fleet.roots
        }
        told = {key: page.made_of for key, page in roots.items()}
        shown = tuple(one for one in recent if sweeps[one].line)
        return Plan(
            roots=roots,
            new_roots=tuple(
                key for key, made_of in told.items()
                if self._is_wrong(key, made_of, self._manifest.pages.get(key, ""))
            ),
            new_sweeps=new_sweeps,
            manifest=Manifest(pages=told, sweeps=sweeps, recent=shown, made_on=self._today),
        )  # fmt: skip

    def _lasting(self, by_title: Mapping[str, str]) -> frozenset[str]:
        """The sweeps whose pages stay for now, whether they are shown or not.

        A page of a root that is about to be removed may lead to any of them, and they to it.
        """
        gone = self._there.difference(by_title.values())
        if not any(key.startswith(OURS[0]) for key in gone):
            return frozenset()
        return frozenset(name for name, one in self._manifest.sweeps.items() if one.made_of)

    def _root(self, root: RootStatus, has_sweep: bool) -> RootPage:
        made_of = digest(self._base, has_sweep, root.model_dump_json())
        return RootPage(root, has_sweep, made_of)

    def _is_wrong(self, key: str, made_of: str, was: str) -> bool:
        return made_of != was or key not in self._there or key in self._doubtful

    def _sweeps(
        self, named: frozenset[str], recent: tuple[str, ...], by_title: Mapping[str, str]
    ) -> tuple[dict[str, SweepEntry], tuple[SweepPage, ...]]:
        """Every sweep that is shown, and the pages of those that have to be made anew."""
        pages = frozenset(by_title.values())
        kept: dict[str, SweepEntry] = {}
        asked: list[str] = []
        for name in {*named, *recent}:
            entry = self._manifest.sweeps.get(name)
            if entry and self._still_true(name, entry, pages, is_listed=name in recent):
                kept[name] = entry if name in recent else entry.model_copy(update={"line": None})
            else:
                asked.append(name)
        new: list[SweepPage] = []
        for name, sweep in zip(asked, many_at_once(asked, self._read), strict=True):
            if sweep is None:
                kept[name] = SweepEntry(is_closed=True)
                continue
            page = SweepPage(
                sweep, {title: by_title[title] for title in titles_on(sweep) if title in by_title}
            )
            entry = self._entry(page, is_listed=name in recent)
            before = self._manifest.sweeps.get(name, SweepEntry())
            if self._is_wrong(sweep_page_key(name), entry.made_of, before.made_of):
                new.append(page)
            kept[name] = entry
        return kept, tuple(new)

    def _still_true(
        self, name: str, entry: SweepEntry, pages: frozenset[str], *, is_listed: bool
    ) -> bool:
        """Whether its record needn't be read: it is closed, and its page as it should be."""
        if not entry.is_closed or (is_listed and entry.line is None) or self._looks_again:
            return False
        if not entry.made_of:
            return True
        key = sweep_page_key(name)
        is_there = key in self._there and key not in self._doubtful
        return is_there and entry.made_of.startswith(self._base) and pages.issuperset(entry.links)

    def _entry(self, page: SweepPage, *, is_listed: bool) -> SweepEntry:
        links = tuple(sorted(page.pages.values()))
        return SweepEntry(
            made_of=f"{self._base}-{digest(page.sweep.model_dump_json(), *links)}",
            is_closed=page.sweep.closed_at is not None,
            links=links,
            line=line_of(page.sweep) if is_listed else None,
        )

    def _read(self, name: str) -> SweepRecord | None:
        """The record of a sweep; one that can't be read has no page, nor has one of another id."""
        key = f"sweeps/{name}.json"
        body = self._objects.get(key)
        if body is None or sweep_page_key(name) == SWEEPS_KEY:
            return None
        try:
            record = decode_record(SweepRecord, body)
        except ContractError as error:
            log.warning("sweep_unreadable", sweep=name, reason=error.message[:500])
            return None
        return record if record.sweep_id == name else None
