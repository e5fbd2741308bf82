"""Follows a sweep through Redis and the store until every check is answered."""

import contextlib
from collections.abc import Iterable
from datetime import datetime

from driftfleet.errors import BrokerUnavailable, ContractError, StoreUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, Ledger, Running
from driftfleet.results import CheckError, ErrorKind, Result, error_result
from driftfleet.store import ResultStore

# Enough to know that something moves.
_MOST_LOOKED_AT = 2_000


class Follower:
    """The checks of one sweep that are still pending, and the results of the others."""

    def __init__(self, jobs: Iterable[Job], ledger: Ledger, store: ResultStore) -> None:
        self.pending = {job.identity: job for job in jobs}
        self._sweep_id = next(iter(self.pending.values())).sweep_id
        self._ledger = ledger
        self._store = store
        self._read = 0

    def poll(self) -> list[Result]:
        """The results that came since the last call. Raises `BrokerUnavailable`."""
        answers = self._ledger.answers(self._sweep_id, self._read)
        if not answers and self._read and not self._ledger.answers(self._sweep_id, self._read - 1):
            # Redis has lost its memory: what comes now is counted from the beginning.
            self._read = 0
        self._read += len(answers)
        results: list[Result] = []
        for answer in answers:
            job = self.pending.pop(answer.check, None)
            if job is not None:
                results.append(self._result(job, answer))
        return results

    def is_worked_on(self) -> bool:
        """Whether somebody works on any of it, for this sweep or another that asked first.

        Raises `BrokerUnavailable`.
        """
        return bool(self._ledger.leased(list(self.pending)[:_MOST_LOOKED_AT]))

    def catch_up(self) -> list[Result] | None:
        """The rest, where the store says that the sweep is closed: nothing more comes then.

        Raises `StoreUnavailable`.
        """
        record = self._store.sweep(self._sweep_id)
        if record is None or record.closed_at is None:
            return None
        results = [self._last_word(job, record.started_at) for job in self.pending.values()]
        self.pending.clear()
        return results

    def _last_word(self, job: Job, since: datetime) -> Result:
        result = self._store.answer_of(job, since)
        return result or lost(job, "the sweep was closed before any worker answered")

    def running(self) -> dict[str, Running]:
        """What runs now, by identity. Raises `BrokerUnavailable`."""
        return self._ledger.running(self._sweep_id)

    def progress(self) -> tuple[object, ...]:
        """Differs when a check was answered, begun, or has come to another phase."""
        phases = sorted((c, r.phase, r.started_at) for c, r in self.running().items())
        return (self._read, *phases)

    def abandon(self, reason: str) -> list[Result]:
        """Answer what is pending with the error `worker_lost`; for when no worker will.

        Raises `StoreUnavailable`. Redis may be gone by then.
        """
        results = [lost(job, reason) for job in self.pending.values()]
        for result in results:
            key = self._store.add(result)
            answer = Answer.of(result, key)
            with contextlib.suppress(BrokerUnavailable):  # then nobody else follows it either
                self._ledger.answer(result.job, answer)
        self.pending.clear()
        return results

    def _result(self, job: Job, answer: Answer) -> Result:
        if answer.superseded_by:
            reason = (
                "a newer commit was asked for before a worker took this one: see the sweep "
                f"{answer.superseded_by}"
            )
            return _error(job, ErrorKind.CANCELLED, reason, transient=True)
        try:
            result = self._store.get(answer.key)
        except StoreUnavailable as error:
            return self._unread(job, answer, error.message)
        except ContractError as error:
            place = self._store.describe(answer.key)
            message = (
                f"a worker answered '{answer.verdict}', and {place} is no result of this version"
            )
            return _error(job, ErrorKind.WORKER_CONFIG, f"{message}: {error.message}")
        return self._unread(job, answer, "it is not there") if result is None else result

    def _unread(self, job: Job, answer: Answer, reason: str) -> Result:
        return _error(
            job,
            ErrorKind.WORKER_CONFIG,
            f"a worker answered '{answer.verdict}', but not where this command reads results "
            f"({self._store.describe(answer.key)}: {reason}). Give the workers and this command "
            "the same results.store (DRIFTFLEET_RESULTS__STORE), a place that all of them reach; "
            f"here it is {self._store.describe('')}",
        )


def lost(job: Job, reason: str) -> Result:
    """The answer to a job that no worker answered."""
    return _error(job, ErrorKind.WORKER_LOST, reason, transient=True)


def _error(job: Job, kind: ErrorKind, message: str, *, transient: bool = False) -> Result:
    error = CheckError(phase="store", kind=kind, message=message, transient=transient)
    return error_result(job, error, worker="scan")
