"""What is done each minute: mend what was lost, look who is due, ask for it.

It works out everything from what is stored, so any number of beats may send it, it may be done
twice, and one that nobody did is made up for by the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import structlog

from driftfleet.closing import want_report
from driftfleet.cron import last_fire
from driftfleet.errors import BrokerUnavailable, ContractError
from driftfleet.ledger import Ledger
from driftfleet.schedule_settings import schedule_of
from driftfleet.settings import Settings
from driftfleet.store import ResultStore
from driftfleet.swept import Swept, swept_key
from producer.mending import Mended, Mending
from producer.notebook import Notebook
from producer.parallel import Done, each
from producer.repositories import Wanted
from producer.schedule import is_due, order, slot_name

log = structlog.get_logger()

# How old the list of the fleet's repositories may grow.
ROSTER_SECONDS = 600
# What a sweep may take: then it is asked for again, by whoever finds it due.
SWEEP_SECONDS = 900
# What it may wait until somebody takes it: after an outage hundreds wait.
_QUEUED_SECONDS = 3600
_LISTING_SECONDS = 300
_TICK_SECONDS = 60
_REPORT_AT_LEAST_SECONDS = 3600
_MIRROR_SECONDS = 7 * 86_400
# After a fleet was down all of it is due at once: so many begin within a minute.
_MOST_SWEEPS = 120
# Records that are read from the store in one tick, where Redis has forgotten them.
_MOST_READ = 500
_READERS = 16


@dataclass(frozen=True)
class Ticked:
    """What a tick did. ``swept`` is what is known of the repositories that are watched."""

    mended: Mended
    sweeps: int
    swept: tuple[Swept, ...]


@dataclass(frozen=True)
class Tick:
    """``start_sweep``, ``start_listing`` and the like ask the producer to do so."""

    settings: Settings
    host: str
    ledger: Ledger
    store: ResultStore
    notebook: Notebook
    mending: Mending
    start_sweep: Callable[[Wanted], None]
    start_listing: Callable[[], None]
    start_mirror_sync: Callable[[], None]
    start_report: Callable[[], None]

    def run(self) -> Ticked:
        """Do it. Raises `BrokerUnavailable` and `StoreUnavailable`: the next tick goes on."""
        now = datetime.fromtimestamp(self.ledger.now(), UTC)
        mended = self.mending.run()
        self._mirror(now)
        self._report()
        if not self.settings.repositories:
            return Ticked(mended, 0, ())
        roster = self.notebook.roster(self.settings.repositories)
        stale = self.notebook.once("roster-age", ROSTER_SECONDS)
        if roster is None or stale:
            self._once("listing", _LISTING_SECONDS, self.start_listing)
        known = self._known(roster or [], now)
        sweeps = self._start_due(roster or [], known, now)
        return Ticked(mended, sweeps, tuple(known.values()))

    def _start_due(self, roster: list[Wanted], known: dict[str, Swept], now: datetime) -> int:
        wanted = {_key(one): one for one in roster}
        due = [known[key] for key in wanted if self._due(wanted[key], known.get(key), now)]
        started = 0
        for swept in order(due):
            if started >= _MOST_SWEEPS:
                log.warning("sweeps_wait", due=len(due), started=started)
                break
            guard = sweep_guard(swept.repo, swept.ref)
            one = wanted[swept.key]
            started += self._once(guard, _QUEUED_SECONDS, lambda one=one: self.start_sweep(one))  # type: ignore[misc]
        return started

    def _once(self, name: str, seconds: int, start: Callable[[], None]) -> bool:
        """Start something that nobody has started within that time; whether it was."""
        if not self.notebook.once(name, seconds):
            return False
        try:
            start()
        except BrokerUnavailable:
            # It was not taken: the next tick may.
            self.notebook.again(name)
            raise
        return True

    def _due(self, one: Wanted, swept: Swept | None, now: datetime) -> bool:
        if swept is None:
            return False
        schedule = schedule_of(self.settings.schedule, one.rule.schedule)
        name = slot_name(self.host, one.name, one.ref)
        return is_due(schedule, name, now, swept.swept_at, swept.first_seen)

    def _known(self, roster: list[Wanted], now: datetime) -> dict[str, Swept]:
        """What is known of each repository; one that is new waits for its slot from now on."""
        remembered = self.notebook.swept()
        known = {key: remembered[key] for one in roster if (key := _key(one)) in remembered}
        forgotten = [one for one in roster if _key(one) not in known][:_MOST_READ]
        read = each(forgotten, lambda one: self._stored(one, now), _READERS)
        found = {_key(event.item): event.result for event in read if isinstance(event, Done)}
        self.notebook.note_swept(found)
        return known | found

    def _stored(self, one: Wanted, now: datetime) -> Swept:
        try:
            record = self.store.record(Swept, _key(one))
        except ContractError as error:
            log.error("swept_unreadable", repo=one.name, reason=error.message)
            record = None
        if record is None or record.key != _key(one):
            record = Swept(repo=one.name, ref=one.ref, first_seen=now)
            self.store.keep(record.key, record)
        return record

    def _mirror(self, now: datetime) -> None:
        at = self.settings.mirror.sync_at
        slot = last_fire(at, ZoneInfo("UTC"), now) if at else None
        # The word that it was begun is forgotten after that time, and begins it no more.
        if slot is None or (now - slot).total_seconds() >= _MIRROR_SECONDS:
            return
        self._once(f"mirror:{slot:%Y%m%dT%H%M}", _MIRROR_SECONDS, self.start_mirror_sync)

    def _report(self) -> None:
        """The dashboard, where a sweep was closed; and each hour, so that it shows what is stale.

        A request that is lost, or failed, is made again: the mark stays until the pages are made.
        """
        if not self.settings.report.enabled:
            return
        if self.notebook.once("report-hour", _REPORT_AT_LEAST_SECONDS):
            want_report(self.ledger)
        if self.notebook.report_wanted() is not None:
            # Ticks are not a minute apart to the second.
            apart = int(self.settings.report.every.total_seconds()) - _TICK_SECONDS // 2
            self._once("report", apart, self.start_report)


def sweep_guard(repo: str, ref: str) -> str:
    """What keeps a repository from being swept twice at once."""
    return f"sweep:{repo.lower()}@{ref}"


def _key(one: Wanted) -> str:
    return swept_key(one.name, one.ref)
