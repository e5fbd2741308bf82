"""Puts sweeps into the queue: what was asked for is kept before it is sent."""

from datetime import UTC, datetime

from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Ledger
from driftfleet.results import SweepRecord
from driftfleet.settings import Settings
from driftfleet.store import ResultStore
from producer.follow import Follower
from producer.found import Found, Trouble
from producer.sweep import close_record, jobs_of, new_sweep_id, open_record
from producer.watch import Sweep


class SweepQueue:
    """Takes sweeps: their record first, so that what was sent is always known.

    ``kind`` says in their ids who asked, such as ``enqueue``.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, store: ResultStore, kind: str = "enqueue"
    ) -> None:
        # Celery takes its time to import.
        from driftfleet.celery_app import build_app  # noqa: PLC0415

        self._settings = settings
        self._kind = kind
        self._ledger = ledger
        self._store = store
        self._app = build_app(settings)

    def ask(self, found: Found) -> Sweep:
        """Ask for all checks of a repository. Raises `BrokerUnavailable`, `StoreUnavailable`."""
        now = datetime.now(UTC)
        jobs = jobs_of(found, new_sweep_id(self._kind, now), self._settings)
        record = open_record(jobs, jobs[0].sweep_id, now)
        self._store.put_sweep(record)
        try:
            self._ledger.open(record.sweep_id, [job.identity for job in jobs])
            self._send(jobs)
        except BrokerUnavailable:
            self._store.put_sweep(close_record(record, {}, datetime.now(UTC)))
            raise
        return Sweep(record, Follower(jobs, self._ledger, self._store))

    def note(self, trouble: Trouble) -> SweepRecord:
        """A sweep that can ask for nothing has a record, too: silence would look like all is well.

        Raises `StoreUnavailable`.
        """
        now = datetime.now(UTC)
        record = close_record(
            open_record([], new_sweep_id(self._kind, now), now, [trouble]), {}, now
        )
        self._store.put_sweep(record)
        return record

    def _send(self, jobs: list[Job]) -> None:
        from kombu.exceptions import OperationalError  # noqa: PLC0415

        from driftfleet.celery_app import send  # noqa: PLC0415

        try:
            send(self._app, jobs)
        except OperationalError as error:
            raise BrokerUnavailable(f"Redis did not take the jobs: {error}") from error
