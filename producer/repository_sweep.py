"""A sweep of one repository as the schedule asks for it: look at it, and ask for what is due."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from driftfleet.errors import (
    ConfigurationError,
    DriftfleetError,
    GitHubRefused,
    RepositoryEmpty,
    SourceRefused,
    TransientError,
)
from driftfleet.github.host import host_of
from driftfleet.jobs import Job
from driftfleet.latest import LatestRecord
from driftfleet.ledger import Judged, Ledger
from driftfleet.places import place
from driftfleet.schedule_settings import schedule_of
from driftfleet.settings import Settings
from driftfleet.store import ResultStore
from driftfleet.swept import Swept, swept_key
from producer.access import open_access
from producer.cache_place import kept_or_temporary_cache
from producer.found import Outlook, Trouble
from producer.log_lines import logged_progress
from producer.look import Access, look_at
from producer.notebook import Notebook
from producer.repositories import Wanted
from producer.schedule import due_jobs, is_overdue, slot_name
from producer.sweep_queue import SweepQueue
from producer.tick import SWEEP_SECONDS, sweep_guard

log = structlog.get_logger()

# A repository that could not be looked at is looked at again after this.
_AGAIN_SECONDS = 300
_LONGEST_SECONDS = 3600
# Records of roots that are read at the same time: on S3 each takes its tens of milliseconds.


@dataclass(frozen=True)
class RepositorySweep:
    """What it takes to sweep repositories. ``queue`` takes what is asked for."""

    settings: Settings
    environment: Mapping[str, str]
    ledger: Ledger
    store: ResultStore
    notebook: Notebook
    queue: SweepQueue

    def run(self, wanted: Wanted) -> int:
        """Sweep one; how many checks were asked for. What is in the way is told in the log."""
        structlog.contextvars.bind_contextvars(repo=wanted.name)
        guard = sweep_guard(wanted.name, wanted.ref)
        self.notebook.hold(guard, SWEEP_SECONDS)
        try:
            asked = self._sweep(wanted) if self._is_due(wanted) else 0
        except DriftfleetError as error:
            again_seconds = _again_seconds(error)
            log.error("repository_not_swept", reason=error.message, again_seconds=again_seconds)
            self.notebook.hold(guard, again_seconds)
            return 0
        self.notebook.again(guard)
        return asked

    def _is_due(self, wanted: Wanted) -> bool:
        """Whether it is so still: what asked for it may have been delivered twice."""
        known = self._known(wanted)
        if known is None:
            return True
        now = datetime.fromtimestamp(self.ledger.now(), UTC)
        schedule = schedule_of(self.settings.schedule, wanted.rule.schedule)
        name = slot_name(host_of(self.settings.github).name, wanted.name, wanted.ref)
        return is_overdue(schedule, name, now, known.swept_at, known.first_seen)

    def _sweep(self, wanted: Wanted) -> int:
        now = datetime.fromtimestamp(self.ledger.now(), UTC)
        outlook = self._look(wanted)
        for trouble in outlook.troubles:
            self._note_trouble(trouble)
        jobs = self._jobs(outlook)
        schedule = schedule_of(self.settings.schedule, wanted.rule.schedule)
        latest = self._latest(jobs)
        self._note_roots(jobs, latest, wanted, now)
        due = due_jobs(jobs, latest, schedule.left_out_for, now)
        sweep_id = ""
        if due and (sweep_id := self._under_way(wanted, jobs[0].source.sha)):
            # Another one would only join its checks: a slow fleet would have hundreds of them open.
            log.warning("repository_still_swept", sweep=sweep_id)
            due = []
        elif due:
            sweep_id = self.queue.ask(due, schedule.deadline).record.sweep_id
        self._note(wanted, jobs, sweep_id, now)
        log.info("repository_swept", sweep=sweep_id, checks=len(jobs), asked=len(due))
        return len(due)

    def _look(self, wanted: Wanted) -> Outlook:
        with open_look(self.settings, self.environment) as access:
            try:
                return look_at(wanted, access, self.settings.discovery)
            except RepositoryEmpty:
                return Outlook()
            except (GitHubRefused, SourceRefused) as error:
                # It is so until somebody changes it: the next slot is soon enough.
                reason = f"{wanted.name}: can't be looked at: {error.message}"
                return Outlook(troubles=(Trouble(wanted.name, reason),))

    def _jobs(self, outlook: Outlook) -> list[Job]:
        jobs: list[Job] = []
        for found in outlook.found:
            try:
                wanted = self.queue.jobs(found)
            except ConfigurationError as error:
                # Not for want of something that may come back: it is so until somebody changes it.
                self._note_trouble(Trouble(found.name, f"{found.name}: {error.message}"))
                continue
            if outlook.is_whole(found):
                self.queue.note_roots(found, wanted)
            jobs += wanted
        return jobs

    def _note_trouble(self, trouble: Trouble) -> None:
        log.error("repository_in_trouble", reason=trouble.reason)
        self.queue.note(trouble)

    def _note_roots(
        self, jobs: list[Job], latest: Mapping[str, LatestRecord], wanted: Wanted, now: datetime
    ) -> None:
        """What the whole fleet is counted by: roots that are gone are no longer in it."""
        judged = {Judged.name(job): Judged(None, now.timestamp()) for job in jobs}
        for job in jobs:
            if record := latest.get(place(job)):
                at = record.result.finished_at.timestamp()
                judged[Judged.name(job)] = Judged(record.result.verdict, at)
        self.ledger.note_roots(jobs[0].source.slug if jobs else wanted.name, judged)

    def _under_way(self, wanted: Wanted, sha: str) -> str:
        """Its last sweep, where that was of this commit and isn't closed yet; else empty."""
        known = self._known(wanted)
        if known is None or known.sha != sha:
            return ""
        still = {one.sweep_id for one in self.ledger.open_sweeps()}
        return known.sweep_id if known.sweep_id in still else ""

    def _known(self, wanted: Wanted) -> Swept | None:
        return self.notebook.swept_of(swept_key(wanted.name, wanted.ref))

    def _latest(self, jobs: list[Job]) -> dict[str, LatestRecord]:
        """The newest record of each root and variant, by its place."""
        records = self.store.latest_of_each(jobs)
        return {place(job): one for job, one in zip(jobs, records, strict=True) if one}

    def _note(self, wanted: Wanted, jobs: list[Job], sweep_id: str, now: datetime) -> None:
        known = self._known(wanted)
        swept = Swept(
            repo=wanted.name,
            ref=wanted.ref,
            sha=jobs[0].source.sha if jobs else "",
            sweep_id=sweep_id,
            swept_at=now,
            checks=len(jobs),
            first_seen=known.first_seen if known else now,
        )
        self.store.keep(swept.key, swept)
        self.notebook.note_swept({swept.key: swept})


def _again_seconds(error: DriftfleetError) -> float:
    """After how long it is looked at again: as soon as the other side lets us, where it says so."""
    asked = error.retry_after_seconds if isinstance(error, TransientError) else None
    return min(max(_AGAIN_SECONDS, asked or 0), _LONGEST_SECONDS)


@contextmanager
def open_look(settings: Settings, environment: Mapping[str, str]) -> Iterator[Access]:
    """The access to GitHub that a service has; what it waits for is told in the log.

    It waits no longer than a worker does: in the time of a command all that the producer can do at
    once would wait, and no tick would be done. Raises `ConfigurationError`, `SecretUnavailable`.
    """
    progress = logged_progress()
    patience = {"patience_seconds": settings.github.worker_patience_seconds}
    github = settings.github.model_copy(update=patience)
    settings = settings.model_copy(update={"github": github})
    with (
        kept_or_temporary_cache(settings, environment, progress) as folder,
        open_access(settings, environment, folder, progress.message) as access,
    ):
        yield access
