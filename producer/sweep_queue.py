"""Puts sweeps into the queue: what is asked for is kept in the store before it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from driftfleet.closing import close_sweep, want_report
from driftfleet.errors import BrokerUnavailable, TransientError
from driftfleet.jobs import Job
from driftfleet.ledger import Ask, Ledger, OpenSweep
from driftfleet.repository_roots import roots_of
from driftfleet.settings import Settings
from driftfleet.store import ResultStore
from driftfleet.sweep_id import new_sweep_id
from driftfleet.sweeps import SweepManifest, SweepRecord
from producer.follow import Follower
from producer.found import Found, Trouble
from producer.sending import Sender
from producer.sweep import close_record, jobs_of, open_record

log = structlog.get_logger()


@dataclass(frozen=True)
class Sweep:
    """A sweep that was asked for, and who follows it."""

    record: SweepRecord
    follower: Follower


class SweepQueue:
    """Takes sweeps. ``kind`` says in their ids who asked, such as ``enqueue``.

    ``urgent`` ones go before all that waits.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        store: ResultStore,
        sender: Sender,
        *,
        kind: str = "enqueue",
        urgent: bool = False,
    ) -> None:
        self._settings = settings
        self._kind = kind
        self._ledger = ledger
        self._store = store
        self._sender = sender
        self._urgent = urgent

    def jobs(self, found: Found) -> list[Job]:
        """What a sweep of all that was found would ask for."""
        return jobs_of(found, new_sweep_id(self._kind, self._now()), self._settings)

    def note_roots(self, found: Found, jobs: Sequence[Job]) -> None:
        """Keep which roots there are: one that is among them no more isn't part of the fleet.

        ``jobs`` are those of all that was found. Raises `StoreUnavailable`.
        """
        roots = roots_of(found.source, jobs, self._now())
        self._store.keep(roots.key, roots)

    def ask(self, jobs: Sequence[Job], deadline_after: timedelta | None = None) -> Sweep:
        """Ask for checks of one repository, the most important first.

        ``deadline_after`` is when the sweep is closed whatever is missing; by default as
        `schedule.deadline` says.

        Raises
        ------
        BrokerUnavailable
            Redis did not take them; the sweep is closed then.
        StoreUnavailable
            The store did not take the sweep; nothing was sent.
        """
        now = self._now()
        deadline = now + (deadline_after or self._settings.schedule.deadline)
        record = open_record(jobs, jobs[0].sweep_id, now).model_copy(update={"deadline": deadline})
        manifest = SweepManifest(
            sweep_id=record.sweep_id, jobs=tuple(jobs), asked_at=now, deadline=deadline
        )
        self._store.open_sweep(record, manifest)
        try:
            self._enqueue(jobs, record, manifest)
        except BrokerUnavailable:
            self._store.close_sweep(close_record(record, (), datetime.now(UTC)))
            raise
        return Sweep(record, Follower(jobs, self._ledger, self._store))

    def note(self, trouble: Trouble) -> SweepRecord:
        """A sweep that can ask for nothing has a record, too: silence would look like all is well.

        Raises `StoreUnavailable`.
        """
        now = datetime.now(UTC)
        record = close_record(
            open_record([], new_sweep_id(self._kind, now), now, [trouble]), (), now
        )
        self._store.put_sweep(record)
        want_report(self._ledger)
        return record

    def _enqueue(self, jobs: Sequence[Job], record: SweepRecord, manifest: SweepManifest) -> None:
        opened = self._ledger.open(
            record.sweep_id, [Ask.of(job) for job in jobs], urgent=self._urgent
        )
        places = [n for n, send in enumerate(opened.send) if send]
        self._sender.send(
            [jobs[n] for n in places], positions=[0] * len(places) if self._urgent else places
        )
        answered = self._ledger.seal(
            OpenSweep(
                sweep_id=record.sweep_id,
                source=record.source,
                asked=len(jobs),
                asked_at=manifest.asked_at.timestamp(),
                deadline=manifest.deadline.timestamp(),
            )
        )
        for done in (*opened.done, *([record.sweep_id] if answered else ())):
            try:
                close_sweep(done, self._ledger, self._store)
            except TransientError as error:
                # All was asked for: the producer closes what nobody did, within a minute.
                log.warning("sweep_not_closed", sweep=done, reason=error.message)

    def _now(self) -> datetime:
        """By Redis, for whose answers count is decided by it."""
        return datetime.fromtimestamp(self._ledger.now(), UTC)
