"""A ledger that lasts as long as it is held: for tests, and for who needs no queue."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from driftfleet.jobs import Job
from driftfleet.ledger.records import (
    LEASE_SECONDS,
    MOST_RECENT,
    SEEN_SECONDS,
    Answer,
    Ask,
    Begun,
    Counts,
    Judged,
    Opened,
    OpenSweep,
    Recent,
    Running,
    Settled,
    WorkerSeen,
)
from driftfleet.sweep_id import asked_at


class MemoryLedger:
    """A `driftfleet.ledger.Ledger` in memory; ``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._open: dict[str, OpenSweep] = {}
        # What isn't sealed yet.
        self._opening: set[str] = set()
        self._pending: defaultdict[str, set[str]] = defaultdict(set)
        self._running: defaultdict[str, dict[str, Running]] = defaultdict(dict)
        self._answers: defaultdict[str, list[Answer]] = defaultdict(list)
        # By target: the identity that is wanted, and the sweep that asked first.
        self._want: dict[str, tuple[str, str]] = {}
        self._joined: defaultdict[str, set[str]] = defaultdict(set)
        # By identity: the sweep whose newer commit was asked for while it ran.
        self._outdated: dict[str, str] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._tries: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._caps: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._parked: defaultdict[str, list[Job]] = defaultdict(list)
        self._later: dict[str, tuple[float, Job]] = {}
        self._recent: list[Recent] = []
        self._peaks: dict[str, int] = {}
        self._roots: defaultdict[str, dict[str, Judged]] = defaultdict(dict)
        self._workers: dict[str, WorkerSeen] = {}
        self.report_wanted = False

    def open(self, sweep_id: str, asks: Sequence[Ask], *, urgent: bool = False) -> Opened:
        done: list[str] = []
        self._opening.add(sweep_id)
        send = tuple([self._ask(sweep_id, ask, done, urgent=urgent) for ask in asks])
        return Opened(send, tuple(dict.fromkeys(done)))

    def _ask(self, sweep_id: str, ask: Ask, done: list[str], *, urgent: bool) -> bool:
        self._pending[sweep_id].add(ask.identity)
        held, asker = self._want.get(ask.target, ("", ""))
        runs = self._holder(ask.identity) != ""
        if held == ask.identity:
            if asker != sweep_id:
                self._joined[ask.identity].add(sweep_id)
            return urgent and not runs
        if held and _asked_later(asker, sweep_id):
            if runs:
                self._joined[ask.identity].add(sweep_id)
                self._outdated[ask.identity] = asker
            else:
                self._supersede(ask.identity, sweep_id, asker, done)
            return False
        if held and self._holder(held):
            self._joined[held].add(asker)
            self._outdated[held] = sweep_id
        elif held:
            self._supersede(held, asker, sweep_id, done)
        self._outdated.pop(ask.identity, None)
        self._want[ask.target] = (ask.identity, sweep_id)
        return not runs

    def _supersede(self, identity: str, first: str, newer: str, done: list[str]) -> None:
        replaced = Answer(check=identity, superseded_by=newer)
        for sweep in {first, *self._joined.pop(identity, ())}:
            self._settle(sweep, replaced, done)
        for known in (self._tries, self._lost, self._outdated):
            known.pop(identity, None)

    def seal(self, sweep: OpenSweep) -> bool:
        if sweep.sweep_id not in self._opening:
            return False
        self._opening.remove(sweep.sweep_id)
        self._open[sweep.sweep_id] = sweep
        return not self._pending[sweep.sweep_id]

    def open_sweeps(self) -> list[OpenSweep]:
        return sorted(self._open.values(), key=lambda sweep: sweep.deadline)

    def close(self, sweep_id: str, identities: Iterable[str] = ()) -> None:
        self._open.pop(sweep_id, None)
        self._pending[sweep_id] -= set(identities)

    def forget(self, sweep_id: str) -> None:
        self._open.pop(sweep_id, None)
        self._opening.discard(sweep_id)
        self._pending.pop(sweep_id, None)

    def begin(self, job: Job, token: str, caps: Mapping[str, int], over: str = "") -> Begun:
        holder = self._holder(job.identity)
        limits = {cap: caps[cap] for cap in job.caps if cap in caps}
        for cap in limits:
            self._caps[cap].pop(over, None)
        if holder and holder not in (token, over):
            left = self._leases[job.identity][1] - self.now()
            self._hand_on(limits)
            return Begun("held", holder=holder, seconds=left)
        done: list[str] = []
        if job.identity in self._outdated and holder != token:
            self._supersede(job.identity, job.sweep_id, self._outdated[job.identity], done)
        wanted = self._want.get(job.target, ("", ""))[0] == job.identity
        if not wanted and job.identity not in self._pending[job.sweep_id]:
            self._leases.pop(job.identity, None)
            self._hand_on(limits)
            return Begun("unwanted", done=tuple(done))
        for cap, limit in limits.items():
            if len(self._holders(cap)) >= limit and token not in self._caps[cap]:
                self._leases.pop(job.identity, None)
                self._parked[cap].append(job)
                self._hand_on({other: n for other, n in limits.items() if other != cap})
                return Begun("full", cap=cap)
        self._lease(job, token, limits)
        self._tries[job.identity] += holder != token
        peak = self._peaks.get(job.target)
        # One that was renewed before it was begun has no start that counts, and is one.
        return Begun("start", self._tries[job.identity] or 1, self.now(), peak)

    def note(self, sweep_id: str, check: str, running: Running) -> None:
        self._running[sweep_id][check] = running

    def renew(self, job: Job, token: str) -> bool:
        holder = self._holder(job.identity)
        if holder not in ("", token):
            return False
        kept = [cap for cap in job.caps if token in self._caps[cap]]
        self._lease(job, token, kept if holder else job.caps)
        return True

    def release(self, job: Job, token: str, *, innocent: bool = True) -> None:
        self._leave_caps(job, token)
        if self._holder(job.identity) == token:
            self._running[job.sweep_id].pop(job.identity, None)
            del self._leases[job.identity]
            self._tries[job.identity] = max(0, self._tries[job.identity] - innocent)

    def put_off(self, job: Job, seconds: float) -> None:
        self._later[job.model_dump_json()] = (self.now() + seconds, job)

    def due(self, most: int) -> list[Job]:
        now = self.now()
        due = sorted((at, key) for key, (at, _) in self._later.items() if at <= now)[:most]
        return [self._later.pop(key)[1] for _, key in due]

    def answer(
        self,
        job: Job,
        answer: Answer,
        token: str = "",
        recent: Recent | None = None,
        peak_memory_bytes: int = 0,
    ) -> Settled:
        done: list[str] = []
        sweeps = {job.sweep_id: None, **dict.fromkeys(self._joined.pop(job.identity, ()))}
        held, asker = self._want.get(job.target, ("", ""))
        if held == job.identity:
            del self._want[job.target]
            sweeps[asker] = None
        # Each of them, not only until one is the first.
        first = sum(self._settle(sweep, answer, done) for sweep in sweeps) > 0
        if self._holder(job.identity) == token:
            self._leases.pop(job.identity, None)
        self._leave_caps(job, token)
        for known in (self._tries, self._lost, self._outdated):
            known.pop(job.identity, None)
        if recent is not None and first:
            self._recent = [recent, *self._recent][:MOST_RECENT]
            judged = Judged(answer.verdict, float(round(recent.finished_at)))
            self._roots[job.source.slug.lower()][Judged.name(job)] = judged
        if peak_memory_bytes > 0:
            self._peaks[job.target] = peak_memory_bytes
        return Settled(first, tuple(done))

    def pending(self, sweep_id: str) -> set[str]:
        return set(self._pending[sweep_id])

    def running(self, sweep_id: str) -> dict[str, Running]:
        return dict(self._running[sweep_id])

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        return self._answers[sweep_id][start:]

    def counts(self, sweep_ids: Sequence[str]) -> list[Counts]:
        kept = (self._pending, self._running, self._answers)
        return [Counts(*(len(of[one]) if one in of else 0 for of in kept)) for one in sweep_ids]

    def leased(self, identities: Sequence[str]) -> set[str]:
        return {identity for identity in identities if self._holder(identity)}

    def put_back(self, sweep_id: str, ask: Ask) -> int:
        if ask.identity not in self._pending[sweep_id] or self._holder(ask.identity):
            return 0
        if newer := self._outdated.get(ask.identity):
            self._supersede(ask.identity, sweep_id, newer, [])
            return 0
        self._want.setdefault(ask.target, (ask.identity, sweep_id))
        self._lost[ask.identity] += 1
        return self._lost[ask.identity]

    def parked(self) -> list[str]:
        return [cap for cap, jobs in self._parked.items() if jobs]

    def unpark(self, cap: str, limit: int) -> None:
        room = max(0, limit - len(self._holders(cap)))
        for job in self._parked[cap][:room]:
            self.put_off(job, 0)
        del self._parked[cap][:room]

    def recent(self) -> list[Recent]:
        return list(self._recent)

    def note_roots(self, slug: str, judged: Mapping[str, Judged]) -> None:
        before = self._roots[slug.lower()]
        self._roots[slug.lower()] = {
            name: one if one.verdict else before.get(name, one) for name, one in judged.items()
        }

    def roots(self, slugs: Iterable[str]) -> list[Judged]:
        return [one for slug in slugs for one in self._roots[slug.lower()].values()]

    def want_report(self) -> None:
        self.report_wanted = True

    def say(self, worker: WorkerSeen) -> None:
        self._workers[worker.name] = worker

    def workers(self) -> list[WorkerSeen]:
        known = [one for _, one in sorted(self._workers.items())]
        return [one for one in known if self.now() - one.seen_at < SEEN_SECONDS]

    def heal(self, *, everywhere: bool) -> int:  # noqa: ARG002 - nobody else writes here
        return 0

    def _holder(self, identity: str) -> str:
        token, ends = self._leases.get(identity, ("", 0.0))
        return token if ends > self.now() else ""

    def _holders(self, cap: str) -> dict[str, float]:
        now = self.now()
        self._caps[cap] = {token: ends for token, ends in self._caps[cap].items() if ends > now}
        return self._caps[cap]

    def _lease(self, job: Job, token: str, caps: Iterable[str]) -> None:
        ends = self.now() + LEASE_SECONDS
        self._leases[job.identity] = (token, ends)
        for cap in caps:
            self._caps[cap][token] = ends

    def _hand_on(self, limits: Mapping[str, int]) -> None:
        for cap, limit in limits.items():
            if len(self._holders(cap)) < limit and self._parked[cap]:
                self.put_off(self._parked[cap].pop(0), 0)

    def _leave_caps(self, job: Job, token: str) -> None:
        for cap in job.caps:
            if self._caps[cap].pop(token, None) is not None and self._parked[cap]:
                self.put_off(self._parked[cap].pop(0), 0)

    def _settle(self, sweep_id: str, answer: Answer, done: list[str]) -> bool:
        self._running[sweep_id].pop(answer.check, None)
        if answer.check not in self._pending[sweep_id]:
            return False
        self._pending[sweep_id].remove(answer.check)
        self._answers[sweep_id].append(answer)
        if not self._pending[sweep_id] and sweep_id in self._open:
            done.append(sweep_id)
        return True


def _asked_later(one: str, other: str) -> bool:
    ones, others = asked_at(one), asked_at(other)
    return ones is not None and others is not None and ones > others
