"""A job that came from the queue, to its end: begin, check, store, note; or back into the queue.

In this order nothing is lost: the result is stored before it is noted, and noted before the message
is acknowledged. Whatever dies between, the job comes back, and the second answer changes nothing.
"""

import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta

import structlog

from driftfleet.cap_settings import CapSettings
from driftfleet.closing import close_sweep
from driftfleet.errors import BrokerUnavailable, StoreUnavailable, TransientError
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, Begun, Ledger, Recent, Running
from driftfleet.results import CheckError, ErrorKind, Result, error_result
from driftfleet.store import ResultStore
from driftfleet.sweep_id import asked_at
from worker.check import check, log_answered
from worker.drain import Drain, Interruption
from worker.lease import Lease, is_dead, new_token
from worker.retries import Retry, may_try_again, policy_of_answer, policy_of_failure
from worker.tools import Tools

log = structlog.get_logger()

# A job that takes its worker down is delivered again twice, and then answered.
MOST_DELIVERIES = 3
_LOST = (
    f"{MOST_DELIVERIES} workers died while they planned this root, most often for want of memory: "
    "look at the workers' logs, and give them more memory or a lower worker.concurrency"
)


class GiveBack(Exception):
    """The job could neither be answered nor put off: its message is to come back."""


@dataclass(frozen=True)
class Answering:
    """What it takes to answer jobs. ``attempts`` is how often what may pass is tried."""

    tools: Tools
    store: ResultStore
    ledger: Ledger
    drain: Drain
    caps: CapSettings
    attempts: int

    def attend(self, job: Job, waited_seconds: float, *, again: bool) -> None:
        """Answer a job, or see to it that it comes back. ``again``: it was delivered before.

        Raises
        ------
        GiveBack
            Redis took nothing.
        Interrupted
            The worker ends; the lease is given back.
        """
        token = new_token()
        try:
            begun = self._begin(job, token)
        except BrokerUnavailable as error:
            raise GiveBack(error.message) from error
        if begun.outcome == "start":
            _Course(self, job, token, begun).run(waited_seconds, again=again)
        elif begun.outcome == "held":
            log.info("check_runs_elsewhere", seconds=round(begun.seconds, 1))
            self.put_off(job, begun.seconds + 1)
        elif begun.outcome == "full":
            log.info("check_waits_for_cap", cap=begun.cap)
        else:
            log.info("check_not_wanted")

    def put_off(self, job: Job, seconds: float) -> None:
        """Have the job put into the queue again after a while. Raises `GiveBack`."""
        try:
            self.ledger.put_off(job, seconds)
        except BrokerUnavailable as error:
            raise GiveBack(error.message) from error

    def refuse(self, result: Result) -> None:
        """Answer a job that can't be taken. Raises `GiveBack`."""
        try:
            key = self.store.add(result)
        except StoreUnavailable as error:
            raise GiveBack(error.message) from error
        self.note(result.job, result, key, "")

    def note(self, job: Job, result: Result, key: str, token: str) -> None:
        """Note an answer that is stored, and close the sweeps whose last one it is.

        Raises `GiveBack`: whoever gets the message next finds the answer in the store.
        """
        answer = Answer(check=job.identity, verdict=result.verdict, key=key)
        recent = Recent(
            title=job.title,
            verdict=result.verdict,
            error=result.error.kind.value if result.error else "",
            seconds=result.timings_seconds.total,
            finished_at=result.finished_at.timestamp(),
            worker=result.worker,
        )
        try:
            settled = self.ledger.answer(job, answer, token, recent)
        except BrokerUnavailable as error:
            raise GiveBack(error.message) from error
        for sweep in settled.done:
            try:
                close_sweep(sweep, self.ledger, self.store)
            except TransientError as error:
                # The producer closes what nobody did, within a minute.
                log.warning("sweep_not_closed", sweep=sweep, reason=error.message)

    def _begin(self, job: Job, token: str) -> Begun:
        limits = self.caps.limits(job.caps)
        begun = self.ledger.begin(job, token, limits)
        if begun.outcome == "held" and is_dead(begun.holder):
            begun = self.ledger.begin(job, token, limits, over=begun.holder)
        return begun


class _Course:
    """One start of one check, which is leased to us."""

    def __init__(self, desk: Answering, job: Job, token: str, begun: Begun) -> None:
        self._desk = desk
        self._job = job
        self._token = token
        self._begun = begun
        # Clocks of workers differ, and which of two answers is newer must not hang on that.
        self._clock_behind = timedelta(seconds=begun.now - time.time())

    def run(self, waited_seconds: float, *, again: bool) -> None:
        kept = False
        try:
            self._run(waited_seconds, again=again)
            kept = True
        finally:
            if not kept:
                # Ended from outside, or not answered: this start was innocent of it.
                self._release()

    def _run(self, waited_seconds: float, *, again: bool) -> None:
        if self._begun.tries > MOST_DELIVERIES:
            self._settle(self._failed(ErrorKind.WORKER_LOST, _LOST), None)
            return
        policy: Retry | None
        try:
            if (again or self._job.attempt > 1 or self._begun.tries > 1) and self._is_answered():
                return
            result = self._checked(waited_seconds)
            policy = policy_of_answer(result.error)
        except Exception as error:
            policy = policy_of_failure(error)
            if policy is not None and self._may_try_again(policy):
                self._put_off(policy, error)
                return
            result = self._given_up(error, policy)
            policy = None
        self._settle(result, policy)

    def _checked(self, waited_seconds: float) -> Result:
        desk, interruption = self._desk, Interruption()
        with (
            Lease(
                self._job, self._token, desk.ledger, lambda: desk.drain.over, interruption.interrupt
            ),
            interruption,
        ):
            result = check(self._job, desk.tools, self._report, waited_seconds)
        return result.model_copy(
            update={
                "started_at": result.started_at + self._clock_behind,
                "finished_at": result.finished_at + self._clock_behind,
            }
        )

    def _settle(self, result: Result, policy: Retry | None) -> None:
        """Store an answer and note it, or try again where it may be another the next time."""
        if policy is not None and self._may_try_again(policy):
            log_answered(result, tried_again="yes")
            self._put_off(policy, None)
            return
        lease = Lease(self._job, self._token, self._desk.ledger, lambda: False, lambda _: None)
        if not lease.is_ours():
            log.warning("answer_dropped", reason="somebody else works on this check by now")
            return
        try:
            key = self._desk.store.add(result)
        except StoreUnavailable as error:
            stored = policy_of_failure(error)
            assert stored is not None
            self._put_off(stored, error)
            return
        self._desk.note(self._job, result, key, self._token)
        log_answered(result)

    def _is_answered(self) -> bool:
        """Whether it was answered before, and only the noting of it was lost."""
        since = asked_at(self._job.sweep_id)
        known = since and self._desk.store.answer_of(self._job, since)
        if not known:
            return False
        log.info("check_was_answered", verdict=known.verdict.value)
        self._desk.note(self._job, known, known.history_key, self._token)
        return True

    def _may_try_again(self, policy: Retry) -> bool:
        return may_try_again(policy, self._job.attempt, self._desk.attempts)

    def _put_off(self, policy: Retry, error: Exception | None) -> None:
        asked = error.retry_after_seconds if isinstance(error, TransientError) else None
        wait = policy.jittered_seconds(self._job.attempt, asked)
        log.warning(
            "check_tried_again",
            reason=str(error) if error else "its answer may be another then",
            after_seconds=round(wait, 1),
            attempt=self._job.attempt,
        )
        self._release()
        self._desk.put_off(self._job.model_copy(update={"attempt": self._job.attempt + 1}), wait)

    def _given_up(self, error: Exception, policy: Retry | None) -> Result:
        """The answer to a job that failed in a way that `check` couldn't explain."""
        if isinstance(error, GiveBack):
            raise error
        if policy is None or policy.spent is ErrorKind.INTERNAL:
            # `check` explains all that a root can do; what comes here is our own bug.
            log.exception("answer_broke")
            message = f"driftfleet itself failed ({type(error).__name__}); see the worker's log"
            return self._failed(ErrorKind.INTERNAL, message)
        message = self._desk.tools.redactor(self._job)(f"{error} (tried {self._job.attempt} times)")
        failure = CheckError(phase="source", kind=policy.spent, message=message, transient=True)
        return error_result(self._job, failure, self._desk.tools.name)

    def _failed(self, kind: ErrorKind, message: str) -> Result:
        error = CheckError(phase="plan", kind=kind, message=message, transient=True)
        return error_result(self._job, error, self._desk.tools.name)

    def _report(self, phase: str) -> None:
        running = Running(
            title=self._job.title,
            phase=phase,
            worker=self._desk.tools.name,
            started_at=self._begun.now,
        )
        try:
            self._desk.ledger.note(self._job.sweep_id, self._job.identity, running)
        except BrokerUnavailable as error:
            # Who watches sees nothing for a while; the check itself goes on.
            log.warning("progress_not_noted", reason=error.message)

    def _release(self) -> None:
        with contextlib.suppress(BrokerUnavailable):
            self._desk.ledger.release(self._job, self._token)
