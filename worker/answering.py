"""A job that came from the queue, to its end: begin, check, store, note; or back into the queue.

In this order nothing is lost: the result is stored before it is noted, and noted before the message
is acknowledged. Whatever dies between, the job comes back, and the second answer changes nothing.
"""

import contextlib
import random
import time
from datetime import UTC, datetime

import structlog

from driftfleet.errors import BrokerUnavailable, StoreUnavailable, TransientError
from driftfleet.jobs import Job
from driftfleet.ledger import LEASE_SECONDS, Begun, Running
from driftfleet.results import CheckError, ErrorKind, Result, error_result
from driftfleet.sweep_id import asked_at
from worker.check import check, log_answered
from worker.desk import Desk, GiveBack, by_time_of_redis
from worker.drain import Interrupted, Interruption
from worker.lease import Lease, is_dead, new_token
from worker.retries import Retry, may_try_again, policy_of_answer, policy_of_failure
from worker.room import Refusal, Ticket, expected_memory

log = structlog.get_logger()

# A job that takes its worker down is delivered again twice, and then answered.
MOST_DELIVERIES = 3
_LOST = (
    f"{MOST_DELIVERIES} workers died while they planned this root, most often for want of memory: "
    "look at the workers' logs, and give them more memory or a lower worker.concurrency"
)
# Another plan may end soon; then the job is another worker's.
_ROOM_SECONDS = 5.0
_POLL_SECONDS = 0.5
_NO_ROOM_SECONDS = 15.0


class NoRoom(Exception):
    """This worker has no memory or disk for the plan now; another one may."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def attend(desk: Desk, job: Job, waited_seconds: float, *, again: bool) -> None:
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
        begun = _begin(desk, job, token)
    except BrokerUnavailable as error:
        raise GiveBack(error.message) from error
    if begun.outcome == "start":
        _Course(desk, job, token, begun).run(waited_seconds, again=again)
    elif begun.outcome == "held":
        log.info("check_runs_elsewhere", seconds=round(begun.seconds, 1))
        desk.put_off(job, begun.seconds + 1)
    elif begun.outcome == "full":
        log.info("check_waits_for_cap", cap=begun.cap)
    else:
        log.info("check_not_wanted")
        desk.close(begun.done)


def _begin(desk: Desk, job: Job, token: str) -> Begun:
    limits = desk.caps.limits(job.caps)
    begun = desk.ledger.begin(job, token, limits)
    if begun.outcome == "held" and is_dead(begun.holder):
        begun = desk.ledger.begin(job, token, limits, over=begun.holder)
    return begun


class _Course:
    """One start of one check, which is leased to us."""

    def __init__(self, desk: Desk, job: Job, token: str, begun: Begun) -> None:
        self._desk = desk
        self._job = job
        self._token = token
        self._begun = begun
        self._clock_behind_seconds = begun.now - time.time()

    def run(self, waited_seconds: float, *, again: bool) -> None:
        try:
            self._run(waited_seconds, again=again)
        except MemoryError:
            # It may be the job's own doing, and would go on for ever.
            self._release(innocent=False)
            raise
        except BaseException:
            # Ended from outside, or not answered: this start was innocent of it.
            self._release()
            raise

    def _run(self, waited_seconds: float, *, again: bool) -> None:
        if self._begun.tries > MOST_DELIVERIES:
            self._settle(self._failed(ErrorKind.WORKER_LOST, _LOST), None)
            return
        policy: Retry | None
        try:
            if (again or self._job.attempt > 1 or self._begun.tries > 1) and self._is_answered():
                return
            with self._admitted():
                result = self._checked(waited_seconds)
            policy = policy_of_answer(result.error)
        except NoRoom as error:
            self._wait_elsewhere(error.refusal)
            return
        except Exception as error:
            policy = policy_of_failure(error)
            if policy is not None and self._may_try_again(policy):
                self._put_off(policy, error)
                return
            result = self._given_up(error, policy)
            policy = None
        self._settle(result, policy)

    def _admitted(self) -> Ticket:
        """Room for the plan, waited for only as long as it takes another one to end.

        For disk too, though that comes back less soon: who refuses at once takes all that waits
        away from workers that have room. Raises `NoRoom`.
        """
        tries = self._begun.tries - 1
        usual = self._desk.tools.settings.plan_memory_bytes if tries else None
        expected = expected_memory(self._begun.peak_memory_bytes, tries, otherwise_bytes=usual)
        left = _ROOM_SECONDS
        while True:
            answer = self._desk.room.admit(expected)
            if isinstance(answer, Ticket):
                return answer
            if left <= 0 or self._desk.drain.over:
                raise NoRoom(answer)
            left -= _POLL_SECONDS
            self._desk.sleep(_POLL_SECONDS)

    def _wait_elsewhere(self, refusal: Refusal) -> None:
        log.warning("check_waits_for_room", what=refusal.kind, reason=refusal.message)
        self._release()
        self._desk.put_off(self._job, _NO_ROOM_SECONDS * random.uniform(0.7, 1.3))  # noqa: S311

    def _checked(self, waited_seconds: float) -> Result:
        desk, interruption = self._desk, Interruption()
        with (
            Lease(
                self._job, self._token, desk.ledger, lambda: desk.drain.over, interruption.interrupt
            ),
            interruption,
        ):
            try:
                return check(self._job, desk.tools, self._report, waited_seconds)
            except Interrupted:
                # It may have come between two steps of ours: what a program still says must not
                # be taken for the next one's.
                desk.tools.programs.close()
                raise

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
            result = by_time_of_redis(result, self._clock_behind_seconds)
            if self._is_late():
                return
            result, key = self._stored(result)
        except StoreUnavailable as error:
            stored = policy_of_failure(error)
            assert stored is not None
            self._put_off(stored, error)
            return
        self._desk.note(self._job, result, key, self._token)
        log_answered(result)

    def _is_late(self) -> bool:
        """Whether somebody else has answered it since we began, while we were frozen.

        Then nobody holds the lease any more, and who has asked anew meanwhile is not to be answered
        with what we saw before.
        """
        began = self._begun.now
        try:
            if self._desk.ledger.now() - began < LEASE_SECONDS:
                return False
        except BrokerUnavailable:
            return False
        known = self._desk.store.answer_of(self._job, datetime.fromtimestamp(began, UTC))
        if known is None:
            return False
        log.warning("answer_dropped", reason="somebody else has answered this check meanwhile")
        self._release()
        return True

    def _stored(self, result: Result) -> tuple[Result, str]:
        try:
            return result, self._desk.store.add(result)
        except StoreUnavailable:
            raise
        except Exception as error:
            # What can't be kept as it is gets an answer as well, or it would come back for ever.
            broken = by_time_of_redis(self._given_up(error, None), self._clock_behind_seconds)
            return broken, self._desk.store.add(broken)

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

    def _release(self, *, innocent: bool = True) -> None:
        with contextlib.suppress(BrokerUnavailable):
            self._desk.ledger.release(self._job, self._token, innocent=innocent)
