"""Ledgers in which time passes when a test says so, and jobs for them."""

from dataclasses import dataclass, field
from typing import Any

import redis

from driftfleet.jobs import Job, Source
from driftfleet.ledger import Answer, Ask, Ledger, MemoryLedger, RedisLedger, keys
from driftfleet.results import Verdict

NO_CAPS: dict[str, int] = {}


def job(
    root: str = "a",
    *,
    sweep: str = "s1",
    sha: str = "1" * 40,
    caps: tuple[str, ...] = (),
    repo: str = "acme/infra",
    attempt: int = 1,
) -> Job:
    """A job; jobs of one root at several commits have one target."""
    source = Source(kind="github", repo=repo, sha=sha)
    return Job(sweep_id=sweep, source=source, root=root, caps=caps, attempt=attempt)


def answer(of: Job, verdict: Verdict = Verdict.CLEAN) -> Answer:
    """An answer to a job."""
    return Answer(check=of.identity, verdict=verdict, key=f"results/{of.identity}.json")


def ask(ledger: Ledger, *jobs: Job, urgent: bool = False) -> tuple[bool, ...]:
    """Ask for jobs of one sweep; whether each is to be sent."""
    return ledger.open(jobs[0].sweep_id, [Ask.of(one) for one in jobs], urgent=urgent).send


@dataclass
class Moments:
    """A ledger, and its time."""

    ledger: Ledger

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass for all that the ledger holds."""
        raise NotImplementedError


@dataclass
class _Clock:
    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class MemoryMoments(Moments):
    """In memory: its clock is moved."""

    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.clock = _Clock()
        self.ledger = MemoryLedger(self.clock)

    def pass_by(self, seconds: float) -> None:
        self.clock.seconds += seconds


class RedisMoments(Moments):
    """In Redis, whose clock nobody moves: what waits for a time is moved nearer to it."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(RedisLedger(client))
        self.client = client

    def pass_by(self, seconds: float) -> None:
        milliseconds = int(seconds * 1000)
        for key in self._found(f"{keys.RUN}*"):
            # An expiry in the past removes it.
            left: Any = self.client.pttl(key)
            self.client.pexpire(key, left - milliseconds)
        for key in [*self._found(f"{keys.CAP}*"), keys.LATER]:
            members: Any = self.client.zrange(key, 0, -1)
            for member in members:
                self.client.zincrby(key, -milliseconds, member)

    def _found(self, pattern: str) -> list[Any]:
        return list(self.client.scan_iter(pattern, count=1000))
