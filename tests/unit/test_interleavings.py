"""Producers and workers die between any two of their steps, and every sweep comes to its end.

Each step of theirs is one call of the ledger or the store, which are whole or not at all; here they
come in any order. What a worker does is written down anew, in the order of `worker.answering`.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from driftfleet.cap_settings import CapSettings
from driftfleet.closing import close_sweep
from driftfleet.jobs import Job
from driftfleet.ledger import LEASE_SECONDS, Answer, Ask, MemoryLedger, OpenSweep
from driftfleet.results import Result, Verdict
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects
from driftfleet.sweep_id import asked_at, new_sweep_id
from driftfleet.sweeps import SweepManifest, SweepRecord
from producer.broker import Broker
from producer.mending import Mending
from producer.sweep import open_record
from tests.ledgers import job

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ROOTS = ("a", "b", "c", "d")
CAPS = CapSettings(account=1)
CAPPED = {"a": ("account:prod",), "b": ("account:prod",)}
VISIBILITY_SECONDS = 120
# What two of a fleet do next; each `next` of one is a step, after which it may be dead.
Steps = Iterator[None]


class Counting(ResultStore):
    """Counts how often each sweep was closed."""

    def __init__(self) -> None:
        super().__init__(MemoryObjects())
        self.closed: Counter[str] = Counter()

    def close_sweep(self, record: SweepRecord) -> bool:
        closed = super().close_sweep(record)
        self.closed[record.sweep_id] += closed
        return closed


class Queue(Broker):
    """What kombu keeps in Redis: messages that wait, and those that somebody has taken."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.waiting: list[tuple[Job, bool]] = []
        # By tag: the message, and when it comes back where nobody says that he lives.
        self.taken: dict[int, tuple[Job, float]] = {}
        self._ledger = ledger

    def identities(self) -> set[str]:
        ledger = self._ledger
        known = [one for one, _ in self.waiting] + [one for one, _ in self.taken.values()]
        known += [one for _, one in ledger._later.values()]
        known += itertools.chain.from_iterable(ledger._parked.values())
        return {one.identity for one in known}

    def send(self, jobs: list[Job]) -> None:
        self.waiting += [(one, False) for one in jobs]


class Fleet:
    """All of it, by one random generator."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seconds = NOON.timestamp()
        self.ledger = MemoryLedger(lambda: self.seconds)
        self.queue = Queue(self.ledger)
        self.store = Counting()
        self.asked: list[SweepManifest] = []
        self.at_work: list[Steps] = []
        # By token: what somebody who lives works on.
        self.planning: dict[str, Job] = {}
        self.tokens = itertools.count()
        self.forgot = False
        self.commits = itertools.count(1)
        self.commit = "0" * 40

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    # Who takes part.

    def ask(self) -> Steps:
        """A producer that asks for a sweep: `SweepQueue.ask`."""
        if self.random.random() < 0.5:
            self.commit = f"{next(self.commits):040}"
        roots = self.random.sample(ROOTS, self.random.randint(1, len(ROOTS)))
        # Two sweeps of a second can't be told apart by when they were asked for.
        self.seconds += 1
        sweep = new_sweep_id("sweep", self.now)
        jobs = tuple(
            job(root, sweep=sweep, sha=self.commit, caps=CAPPED.get(root, ())) for root in roots
        )
        deadline = self.now + timedelta(days=1)
        manifest = SweepManifest(sweep_id=sweep, jobs=jobs, asked_at=self.now, deadline=deadline)
        self.store.open_sweep(open_record(jobs, sweep, self.now), manifest)
        self.asked.append(manifest)
        yield
        opened = self.ledger.open(sweep, [Ask.of(one) for one in jobs])
        yield
        self.queue.send([one for one, send in zip(jobs, opened.send, strict=True) if send])
        yield
        known = OpenSweep(sweep_id=sweep, deadline=deadline.timestamp())
        answered = self.ledger.seal(known)
        for done in (*opened.done, *([sweep] if answered else ())):
            yield
            close_sweep(done, self.ledger, self.store)

    def work(self) -> Steps:
        """A worker that takes a message, to the end of its job."""
        if not self.queue.waiting:
            return
        one, again = self.queue.waiting.pop(0)
        tag, token = next(self.tokens), f"token{next(self.tokens)}"
        yield  # kombu's own gap: the message is nowhere
        self.queue.taken[tag] = (one, self.seconds + VISIBILITY_SECONDS)
        yield
        begun = self.ledger.begin(one, token, CAPS.limits(one.caps))
        yield
        if begun.outcome == "start":
            yield from self._plan(one, token, again or one.attempt > 1 or begun.tries > 1)
        elif begun.outcome == "held":
            self.ledger.put_off(one, begun.seconds + 1)
        elif begun.outcome == "unwanted":
            yield from self._close(begun.done)
        self.queue.taken.pop(tag, None)

    def _plan(self, one: Job, token: str, again: bool) -> Steps:
        since = asked_at(one.sweep_id)
        assert since is not None
        known = self.store.answer_of(one, since) if again else None
        if known is not None:
            yield from self._note(one, known.history_key, token)
            return
        self.planning[token] = one
        started = self.now
        self._see_that_all_is_in_order()
        try:
            for _ in range(self.random.randint(1, 4)):
                yield
                if not self.ledger.renew(one, token):
                    self.ledger.release(one, token)
                    return
            if self.random.random() < 0.2:
                self.ledger.release(one, token)
                yield
                self.ledger.put_off(one.model_copy(update={"attempt": one.attempt + 1}), 10)
                return
        finally:
            del self.planning[token]
        if not self.ledger.renew(one, token):
            return
        key = self.store.add(
            Result(job=one, verdict=Verdict.CLEAN, started_at=started, finished_at=self.now)
        )
        yield
        yield from self._note(one, key, token)

    def _note(self, one: Job, key: str, token: str) -> Steps:
        answer = Answer(check=one.identity, verdict=Verdict.CLEAN, key=key)
        settled = self.ledger.answer(one, answer, token)
        yield
        yield from self._close(settled.done)

    def _close(self, sweeps: tuple[str, ...]) -> Steps:
        for sweep in sweeps:
            close_sweep(sweep, self.ledger, self.store)
            yield

    def tick(self) -> None:
        Mending(self.ledger, self.store, self.queue, CAPS, self.queue.send).run()  # type: ignore[arg-type]

    # What happens.

    def step(self, dangers: float) -> None:
        """Somebody does something; or dies."""
        self.pass_by(self.random.choice((0, 0, 1, 5)))
        acts: list[Callable[[], None]] = [self._go_on] * 8 + [self._begin_work] * 4
        self.random.choice(acts)()
        if self.random.random() < dangers:
            self.random.choice(
                (self._die, self._die, self._freeze, self._lose, self.tick, self._forget)
            )()

    def pass_by(self, seconds: float, *, frozen: bool = False) -> None:
        self.seconds += seconds
        for token, one in () if frozen else self.planning.items():
            self.ledger.renew(one, token)
        self.queue.send(self.ledger.due(100))
        for tag, (one, at) in list(self.queue.taken.items()):
            if at <= self.seconds:
                del self.queue.taken[tag]
                self.queue.waiting.append((one, True))

    def _begin_work(self) -> None:
        if len(self.at_work) < 6:
            self.at_work.append(self.work())

    def _go_on(self) -> None:
        if self.at_work:
            one = self.random.choice(self.at_work)
            if next(one, "ended") == "ended":
                self.at_work.remove(one)

    def _die(self) -> None:
        if self.at_work:
            one = self.random.choice(self.at_work)
            self.at_work.remove(one)
            one.close()  # type: ignore[attr-defined]

    def _freeze(self) -> None:
        """All of them; the others' leases end, and messages come back."""
        self.forgot = True
        self.pass_by(VISIBILITY_SECONDS + LEASE_SECONDS, frozen=True)

    def _lose(self) -> None:
        if self.queue.waiting:
            self.queue.waiting.pop(self.random.randrange(len(self.queue.waiting)))

    def _forget(self) -> None:
        """FLUSHALL."""
        self.forgot = True
        self.queue.waiting.clear()
        self.queue.taken.clear()
        vars(self.ledger).update(vars(MemoryLedger(self.ledger.now)))

    def _see_that_all_is_in_order(self) -> None:
        if not self.forgot:
            # A dead worker's plan is ended with it.
            ran = Counter(one.identity for one in self.planning.values())
            assert max(ran.values()) == 1, "two plans of one check at once"
            capped = sum(bool(one.caps) for one in self.planning.values())
            assert capped <= 1, "more at once than the cap allows"

    def replaced(self, manifest: SweepManifest) -> set[str]:
        """The titles of those of which a newer commit was asked for later."""
        later = [
            one for other in self.asked[self.asked.index(manifest) + 1 :] for one in other.jobs
        ]
        commits = {(one.root, one.source.sha) for one in later}
        return {
            one.title
            for one in manifest.jobs
            if any(root == one.root and sha != one.source.sha for root, sha in commits)
        }

    def answered_before(self, manifest: SweepManifest) -> set[str]:
        """The titles of those of which the store has an answer from before."""
        return {one.title for one in manifest.jobs if self.store.answer_of(one, NOON)}

    def come_to_rest(self) -> None:
        """Nobody dies any more; a producer ticks each minute."""
        for _ in range(200):
            for one in list(self.at_work):
                for _ in one:
                    self.pass_by(0)
            self.at_work.clear()
            while self.queue.waiting:
                for _ in self.work():
                    pass
            self.pass_by(60)
            self.tick()
            if not list(self.store.open_sweeps()) and not self.ledger.open_sweeps():
                return
        raise AssertionError(f"open for ever: {list(self.store.open_sweeps())}")


@pytest.mark.parametrize("seed", range(60))
def test_every_sweep_ends_once_and_the_newest_commit_is_the_latest(seed: int) -> None:
    fleet = Fleet(seed)
    for _ in range(6):
        fleet.at_work.append(fleet.ask())
        for _ in range(fleet.random.randint(5, 80)):
            fleet.step(dangers=0.05)
    fleet.come_to_rest()
    for manifest in fleet.asked:
        record = fleet.store.sweep(manifest.sweep_id)
        assert record is not None
        assert fleet.store.closed[manifest.sweep_id] == 1
        # That a newer commit replaced it, or that an answer counts which came just before it was
        # asked for, only Redis knew, and may have forgotten.
        known = (
            fleet.replaced(manifest) | fleet.answered_before(manifest) if fleet.forgot else set()
        )
        assert set(record.missing) <= known
        assert {*record.answered, *record.superseded, *record.missing} == set(record.asked)
    for root in ROOTS:
        newest = [one for manifest in fleet.asked for one in manifest.jobs if one.root == root]
        if newest:
            latest = fleet.store.latest_of(newest[-1])
            assert latest is not None
            assert latest.result.job.source.sha == newest[-1].source.sha


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_left_in_redis_of_what_was_answered(seed: int) -> None:
    fleet = Fleet(1000 + seed)
    for _ in range(6):
        fleet.at_work.append(fleet.ask())
        for _ in range(fleet.random.randint(5, 80)):
            fleet.step(dangers=0.05)
    fleet.come_to_rest()
    fleet.pass_by(10_000)
    for _ in range(3):
        while fleet.queue.waiting:
            for _ in fleet.work():
                pass
        fleet.pass_by(100)
    ledger = fleet.ledger
    left = {
        "want": ledger._want,
        "joined": {k: v for k, v in ledger._joined.items() if v},
        "outdated": ledger._outdated,
        "tries": +ledger._tries,
        "later": ledger._later,
        "parked": {k: v for k, v in ledger._parked.items() if v},
        "pending": {k: v for k, v in ledger._pending.items() if v},
        "running": {k: v for k, v in ledger._running.items() if v},
    }
    assert {name: value for name, value in left.items() if value} == {}
