"""Whatever is asked of them, the ledger in memory and the one in Redis say the same.

And whatever happened before: what the producer's mending does brings every sweep to its end.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from driftfleet.jobs import Job
from driftfleet.ledger import LEASE_SECONDS, Ask, Begun, Ledger, OpenSweep
from tests.ledgers import MemoryMoments, RedisMoments, answer, job

SWEEPS = ("s1", "sweep-20260102T120000-aaaaaa", "sweep-20260102T120001-aaaaaa")
LIMITS = {"account:prod": 1, "bucket:states": 2}
CAPS = ((), ("account:prod",), ("bucket:states", "account:prod"), ("repository:unlimited",))
TOKENS = ("t1", "t2", "t3")

jobs = st.builds(
    lambda root, sha, sweep: job(root, sha=sha * 40, sweep=sweep, caps=CAPS["abcd".index(root)]),
    st.sampled_from("abcd"),
    st.sampled_from("12"),
    st.sampled_from(SWEEPS),
)
tokens = st.sampled_from(TOKENS)


class Agreement(RuleBasedStateMachine):
    """The same calls on both; every answer of theirs is compared."""

    server: redis.Redis

    def __init__(self) -> None:
        super().__init__()
        self.server.flushall()
        self.both = (MemoryMoments(), RedisMoments(self.server))
        self.sealed: set[str] = set()

    def same(self, call: Callable[[Ledger], Any]) -> Any:
        memory, in_redis = (call(one.ledger) for one in self.both)
        assert memory == in_redis
        return memory

    @rule(asked=st.lists(jobs, min_size=1, max_size=4), urgent=st.booleans())
    def open(self, asked: list[Job], urgent: bool) -> None:
        def call(ledger: Ledger) -> Any:
            told = ledger.open(asked[0].sweep_id, [Ask.of(one) for one in asked], urgent=urgent)
            return told.send, set(told.done)

        self.same(call)

    @rule(sweep=st.sampled_from(SWEEPS))
    def seal(self, sweep: str) -> None:
        self.sealed.add(sweep)
        self.same(lambda ledger: ledger.seal(OpenSweep(sweep_id=sweep, deadline=2e9)))

    @rule(sweep=st.sampled_from(SWEEPS), left=st.lists(jobs, max_size=3))
    def close(self, sweep: str, left: list[Job]) -> None:
        self.sealed.discard(sweep)
        self.same(lambda ledger: ledger.close(sweep, [one.identity for one in left]))

    @rule(one=jobs, token=tokens, over=st.sampled_from(("", *TOKENS)))
    def begin(self, one: Job, token: str, over: str) -> None:
        self.same(lambda ledger: _timeless(ledger.begin(one, token, LIMITS, over)))

    @rule(one=jobs, token=tokens)
    def renew(self, one: Job, token: str) -> None:
        self.same(lambda ledger: ledger.renew(one, token))

    @rule(one=jobs, token=tokens, innocent=st.booleans())
    def release(self, one: Job, token: str, innocent: bool) -> None:
        self.same(lambda ledger: ledger.release(one, token, innocent=innocent))

    @rule(one=jobs, token=st.sampled_from(("", *TOKENS)), peak=st.sampled_from((0, 7, 9)))
    def answer(self, one: Job, token: str, peak: int) -> None:
        def call(ledger: Ledger) -> Any:
            settled = ledger.answer(one, answer(one), token, peak_memory_bytes=peak)
            return settled.first, Counter(settled.done)

        self.same(call)

    @rule(one=jobs, seconds=st.sampled_from((0, 39)))
    def put_off(self, one: Job, seconds: int) -> None:
        self.same(lambda ledger: ledger.put_off(one, seconds))

    @rule()
    def due(self) -> None:
        self.same(_due)

    @rule(one=jobs)
    def put_back(self, one: Job) -> None:
        self.same(lambda ledger: ledger.put_back(one.sweep_id, Ask.of(one)))

    @rule(cap=st.sampled_from(tuple(LIMITS)))
    def unpark(self, cap: str) -> None:
        self.same(lambda ledger: ledger.unpark(cap, LIMITS[cap]))

    @rule(seconds=st.sampled_from((20, LEASE_SECONDS + 1)))
    def time_passes(self, seconds: float) -> None:
        for one in self.both:
            one.pass_by(seconds)

    @invariant()
    def they_look_the_same(self) -> None:
        for sweep in SWEEPS:
            self.same(lambda ledger, sweep=sweep: ledger.pending(sweep))
            self.same(
                lambda ledger, sweep=sweep: Counter(
                    one.model_dump_json() for one in ledger.answers(sweep)
                )
            )
        self.same(lambda ledger: ledger.leased(ALL))
        self.same(lambda ledger: {one.sweep_id for one in ledger.open_sweeps()})
        self.same(lambda ledger: set(ledger.parked()))

    def teardown(self) -> None:
        """The workers are gone, the queue is lost, and the producer mends."""
        for one in self.both:
            one.pass_by(LEASE_SECONDS + 1)
        waited = dict(zip(SWEEPS, map(self._pending, SWEEPS), strict=True))
        done: Counter[str] = Counter()
        for one in EVERY:
            if self.same(lambda ledger, one=one: ledger.put_back(one.sweep_id, Ask.of(one))):
                self._run(one, done)
        assert not any(map(self._pending, SWEEPS))
        # Who had something to wait for is told once at the most: a replaced one may not be.
        assert all(waited[sweep] and sweep in self.sealed for sweep in done)
        assert set(done.values()) <= {1}
        self.same(_due)

    def _pending(self, sweep: str) -> set[str]:
        return set(self.same(lambda ledger: ledger.pending(sweep)))

    def _run(self, one: Job, done: Counter[str]) -> None:
        token = f"last of {one.identity}"
        outcome = self.same(lambda ledger: ledger.begin(one, token, LIMITS).outcome)
        assert outcome == "start"
        told = self.same(lambda ledger: Counter(ledger.answer(one, answer(one), token).done))
        done.update(told)


EVERY = [
    job(root, sha=sha * 40, sweep=sweep, caps=CAPS["abcd".index(root)])
    for root in "abcd"
    for sha in "12"
    for sweep in SWEEPS
]
ALL = sorted({one.identity for one in EVERY})


def _timeless(begun: Begun) -> Begun:
    # In Redis some of the 20 are over that pass at a time; how much says how busy the machine is.
    left = 20.0 * math.ceil(round(begun.seconds, 3) / 20)
    return begun._replace(now=0.0, seconds=left, done=tuple(sorted(begun.done)))


def _due(ledger: Ledger) -> list[str]:
    return sorted(one.model_dump_json() for one in ledger.due(1000))


@pytest.mark.timeout(600)
def test_both_ledgers_say_the_same_to_the_same_calls(server: redis.Redis) -> None:
    Agreement.server = server
    run_state_machine_as_test(
        Agreement,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
