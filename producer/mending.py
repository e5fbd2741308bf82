"""What the producer does each minute so that every sweep comes to its end.

The store says what was asked for; the ledger in Redis what of it waits and runs. Redis' transport
loses messages, Redis may lose its memory, workers die between two steps: here is where that is
noticed and mended. Nothing of it is wrong to do twice, or by two producers at once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from driftfleet.cap_settings import CapSettings
from driftfleet.closing import close_sweep
from driftfleet.errors import ContractError
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, Ask, Ledger, OpenSweep
from driftfleet.results import CheckError, ErrorKind, error_result
from driftfleet.store import ResultStore
from driftfleet.sweep_id import asked_at
from driftfleet.sweeps import SweepManifest
from producer.broker import Broker

log = structlog.get_logger()

# A sweep that is being asked for this moment is not one that Redis forgot.
_YOUNG_SECONDS = 90.0
# The queue may lose a message now and then, not this one every time.
MOST_PUT_BACK = 20
_LOST = (
    f"the queue lost this job {MOST_PUT_BACK} times: look at the log of Redis, and at "
    "`driftfleet doctor`"
)


class Mended(NamedTuple):
    """How many sweeps and checks were mended."""

    closed: int = 0
    overdue: int = 0
    rebuilt: int = 0
    put_back: int = 0


class Mending:
    """``send`` puts jobs into the queue."""

    def __init__(
        self,
        ledger: Ledger,
        store: ResultStore,
        broker: Broker,
        caps: CapSettings,
        send: Callable[[Sequence[Job]], None],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._broker = broker
        self._caps = caps
        self._send = send

    def run(self) -> Mended:
        """Mend what there is to mend. Raises `BrokerUnavailable`, `StoreUnavailable`."""
        for cap in self._ledger.parked():
            limit = self._caps.limits([cap]).get(cap)
            self._ledger.unpark(cap, limit if limit is not None else 1 << 30)
        rebuilt = self._rebuild()
        closed = overdue = put_back = 0
        lost, sent = self._lost(), set[str]()
        for sweep in self._ledger.open_sweeps():
            if sweep.deadline <= self._ledger.now():
                overdue += self._close(sweep.sweep_id, "its deadline has passed")
            elif not self._ledger.pending(sweep.sweep_id):
                closed += self._close(sweep.sweep_id, "whoever answered last did not")
            elif missing := lost.get(sweep.sweep_id):
                # Another sweep may wait for it, too.
                put_back += self._put_back(sweep.sweep_id, missing - sent, sent)
        return Mended(closed, overdue, rebuilt, put_back)

    def _close(self, sweep_id: str, why: str) -> int:
        record = close_sweep(sweep_id, self._ledger, self._store)
        if record is not None:
            log.warning("sweep_closed_late", sweep=sweep_id, reason=why)
        return record is not None

    def _lost(self) -> dict[str, set[str]]:
        """By sweep, the pending checks that nobody works on and the queue doesn't know."""
        sweeps = [sweep.sweep_id for sweep in self._ledger.open_sweeps()]
        pending = {sweep: self._ledger.pending(sweep) for sweep in sweeps}
        if not any(pending.values()):
            return {}
        # First what waits, then what runs: that is the way they go.
        known = self._broker.identities()
        found: dict[str, set[str]] = {}
        for sweep, identities in pending.items():
            missing = sorted(identities - known)
            if lost := set(missing) - self._ledger.leased(missing):
                found[sweep] = lost
        return found

    def _put_back(self, sweep_id: str, identities: set[str], sent: set[str]) -> int:
        manifest = self._manifest(sweep_id) if identities else None
        jobs = [job for job in manifest.jobs if job.identity in identities] if manifest else []
        if manifest and len(jobs) < len(identities):
            # What no sweep asked for would keep it open to its deadline.
            log.error("sweep_waits_for_strangers", sweep=sweep_id, count=len(identities))
            self._ledger.forget(sweep_id)
            return 0
        again: list[Job] = []
        for job in jobs:
            times = self._ledger.put_back(sweep_id, Ask.of(job))
            if times > MOST_PUT_BACK:
                self._give_up(job)
            elif times:
                again.append(job.model_copy(update={"attempt": times + 1}))
                sent.add(job.identity)
        if again:
            log.warning("checks_put_back", sweep=sweep_id, count=len(again))
            self._send(again)
        return len(again)

    def _give_up(self, job: Job) -> None:
        error = CheckError(phase="store", kind=ErrorKind.WORKER_LOST, message=_LOST, transient=True)
        # By Redis' clock, as all answers: a producer's that is ahead would keep newer ones out.
        now = datetime.fromtimestamp(self._ledger.now(), UTC)
        result = error_result(job, error, "producer", at=now)
        answer = Answer.of(result, self._store.add(result))
        for done in self._ledger.answer(job, answer).done:
            self._close(done, "its last check was given up")

    def _rebuild(self) -> int:
        """Ask again for what Redis has forgotten: FLUSHALL, a restart without its memory."""
        known = {sweep.sweep_id for sweep in self._ledger.open_sweeps()}
        forgotten = [
            self._manifest(name) for name in self._store.open_sweeps() if name not in known
        ]
        now = datetime.fromtimestamp(self._ledger.now(), UTC)
        rebuilt = 0
        # By target, what is asked for: the newest first, for the newer commit wins again.
        asked: dict[str, Job] = {}
        for manifest in sorted(filter(None, forgotten), key=lambda one: one.asked_at, reverse=True):
            if (now - manifest.asked_at).total_seconds() >= _YOUNG_SECONDS:
                self._ask_again(manifest, asked)
                rebuilt += 1
            for job in manifest.jobs:
                asked.setdefault(job.target, job)
        return rebuilt

    def _ask_again(self, manifest: SweepManifest, asked: Mapping[str, Job]) -> None:
        found = self._store.answers_of(manifest.jobs, manifest.asked_at)
        left = [job for job, answer in zip(manifest.jobs, found, strict=True) if answer is None]
        left = self._without_replaced(left, manifest, asked)
        opened = self._ledger.open(manifest.sweep_id, [Ask.of(job) for job in left])
        log.warning(
            "sweep_rebuilt", sweep=manifest.sweep_id, asked=len(manifest.jobs), left=len(left)
        )
        self._send(
            [
                job.model_copy(update={"attempt": 2})
                for job, send in zip(left, opened.send, strict=True)
                if send
            ]
        )
        sweep = OpenSweep(
            sweep_id=manifest.sweep_id,
            asked=len(manifest.jobs),
            asked_at=manifest.asked_at.timestamp(),
            deadline=manifest.deadline.timestamp(),
        )
        if self._ledger.seal(sweep):
            self._close(manifest.sweep_id, "all of it was answered when Redis forgot it")
        for done in opened.done:
            self._close(done, "a newer commit replaced the rest of it")

    def _without_replaced(
        self, jobs: list[Job], manifest: SweepManifest, asked: Mapping[str, Job]
    ) -> list[Job]:
        """Those of which no newer commit was asked for: planned now, they would be the latest."""
        left: list[Job] = []
        for job, latest in zip(jobs, self._store.latest_of_each(jobs), strict=True):
            known = [asked.get(job.target), latest.result.job if latest else None]
            newer = [one for one in known if one and _replaces(one, job, manifest.asked_at)]
            if not newer:
                left.append(job)
                continue
            self._ledger.open(manifest.sweep_id, [Ask.of(job)])
            self._ledger.answer(job, Answer(check=job.identity, superseded_by=newer[0].sweep_id))
        return left

    def _manifest(self, sweep_id: str) -> SweepManifest | None:
        try:
            return self._store.manifest(sweep_id)
        except ContractError as error:
            log.error("manifest_unreadable", sweep=sweep_id, reason=error.message)
            return None


def _replaces(newer: Job, job: Job, job_asked_at: datetime) -> bool:
    """Whether it is another commit of the same root, and was asked for later."""
    at = asked_at(newer.sweep_id)
    other = newer.target == job.target and newer.identity != job.identity
    return other and at is not None and at > job_asked_at
