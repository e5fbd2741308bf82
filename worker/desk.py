"""What it takes to answer jobs, and what is done with an answer: it is stored, noted, told."""

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from driftfleet.cap_settings import CapSettings
from driftfleet.closing import close_sweep
from driftfleet.errors import BrokerUnavailable, DriftfleetError, TransientError
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, Ledger, Recent
from driftfleet.metrics import Meter
from driftfleet.results import Result
from driftfleet.store import ResultStore
from worker.drain import Drain
from worker.lease import new_token
from worker.room import Room
from worker.tools import Tools

log = structlog.get_logger()


class GiveBack(Exception):
    """The job could neither be answered nor put off: its message is to come back."""


@dataclass(frozen=True)
class Desk:
    """``attempts`` is how often what may pass is tried."""

    tools: Tools
    store: ResultStore
    ledger: Ledger
    drain: Drain
    caps: CapSettings
    attempts: int
    room: Room
    meter: Meter
    sleep: Callable[[float], None] = time.sleep

    def put_off(self, job: Job, seconds: float) -> None:
        """Have the job put into the queue again after a while. Raises `GiveBack`."""
        try:
            self.ledger.put_off(job, seconds)
        except BrokerUnavailable as error:
            raise GiveBack(error.message) from error

    def refuse(self, job: Job, result: Result) -> None:
        """Answer a job that can't be taken, if somebody waits for its answer. Raises `GiveBack`.

        Where the store is away the message is dropped: the producer finds the check missing.
        """
        token = new_token()
        try:
            begun = self.ledger.begin(job, token, {})
        except BrokerUnavailable as error:
            raise GiveBack(error.message) from error
        if begun.outcome != "start":
            # Whoever can send a message could write into the store otherwise.
            return
        try:
            key = self.store.add(by_time_of_redis(result, begun.now - time.time()))
            self.note(job, result, key, token)
        except TransientError as error:
            log.warning("refusal_not_stored", reason=error.message)
            self._leave(job, token)
        except GiveBack:
            self._leave(job, token)
            raise

    def _leave(self, job: Job, token: str) -> None:
        with contextlib.suppress(BrokerUnavailable):
            self.ledger.release(job, token)

    def note(self, job: Job, result: Result, key: str, token: str) -> None:
        """Note an answer that is stored, and close the sweeps whose last one it is.

        Raises `GiveBack`: whoever gets the message next finds the answer in the store.
        """
        answer = Answer.of(result, key)
        recent = Recent(
            title=job.title,
            verdict=result.verdict,
            error=result.error.kind.value if result.error else "",
            seconds=result.timings_seconds.total,
            finished_at=result.finished_at.timestamp(),
            worker=result.worker,
        )
        try:
            settled = self.ledger.answer(job, answer, token, recent, result.cost.peak_memory_bytes)
        except BrokerUnavailable as error:
            raise GiveBack(error.message) from error
        if settled.first:
            self._measure(result)
        self.close(settled.done)

    def close(self, sweeps: Iterable[str]) -> None:
        """Close sweeps that wait for nothing more; what is in the way is told in the log."""
        for sweep in sweeps:
            try:
                if close_sweep(sweep, self.ledger, self.store) is not None:
                    self.meter.sweep_closed()
            except DriftfleetError as error:
                # The producer closes what nobody did, within a minute.
                log.warning("sweep_not_closed", sweep=sweep, reason=error.message)

    def _measure(self, result: Result) -> None:
        timings = result.timings_seconds
        self.meter.check_answered(
            result.verdict,
            result.error.kind if result.error else None,
            plan_seconds=timings.plan or None,
            total_seconds=timings.total,
            wait_seconds=timings.wait,
            cpu_seconds=result.cost.cpu_seconds,
            peak_memory_bytes=result.cost.peak_memory_bytes,
        )


def by_time_of_redis(result: Result, behind_seconds: float) -> Result:
    """Clocks of workers differ, and which of two answers is newer must not hang on that."""
    behind = timedelta(seconds=behind_seconds)
    moved = {"started_at": result.started_at + behind, "finished_at": result.finished_at + behind}
    return result.model_copy(update=moved)
