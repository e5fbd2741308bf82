"""What the ledger keeps and answers."""

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from driftfleet.jobs import Job, SweepId
from driftfleet.model import Record
from driftfleet.results import ErrorKind, Result, Timings, Verdict

# A closed sweep is kept for who still follows it; an open one for longer than any may stay open.
CLOSED_SECONDS = 86_400
OPEN_SECONDS = 8 * 86_400
# A holder renews its lease well before it ends; a dead one's check is free again after this.
LEASE_SECONDS = 60
RENEW_SECONDS = 15
# A worker that has said nothing for so long isn't there.
SEEN_SECONDS = 120
COST_SECONDS = 30 * 86_400
MOST_RECENT = 200

# Whoever shows or compares one counts on a time that there is, and a number that fits a line.
Seconds = Annotated[float, Field(ge=-1e11, le=1e11)]
Size = Annotated[int, Field(ge=0, le=1 << 62)]


class Running(Record):
    """A check that a worker has begun. ``started_at`` is in seconds since the epoch."""

    title: str
    phase: str
    worker: str
    started_at: Seconds


class Answer(Record):
    """A check that was answered; ``key`` names its result in the store, ``error`` its kind of one.

    ``superseded_by`` names the sweep whose newer commit replaced it while it waited: then there is
    no verdict and no result.
    """

    check: str
    verdict: Verdict | None = None
    error: ErrorKind | None = None
    timings_seconds: Timings | None = None
    key: str = ""
    superseded_by: str = ""

    @classmethod
    def of(cls, result: Result, key: str) -> "Answer":
        """The answer whose result is stored under ``key``."""
        return cls(
            check=result.job.identity,
            verdict=result.verdict,
            error=result.error.kind if result.error else None,
            timings_seconds=result.timings_seconds,
            key=key,
        )


class Recent(Record):
    """One line about an answered check, for who looks at the whole fleet."""

    title: str
    verdict: Verdict
    error: str = ""
    seconds: Seconds
    finished_at: Seconds
    worker: str


class Judged(NamedTuple):
    """What is known of a root and variant: its verdict, and when, in seconds since the epoch.

    Without a verdict it was never judged, and ``at`` is when somebody met it first.
    """

    verdict: Verdict | None
    at: float

    def encode(self) -> str:
        return f"{self.verdict.value if self.verdict else '-'} {self.at:.0f}"

    @classmethod
    def decode(cls, text: str) -> "Judged":
        """Raises `ValueError`."""
        verdict, at = text.split(" ")
        if not math.isfinite(float(at)):
            raise ValueError("no time")
        return cls(None if verdict == "-" else Verdict(verdict), float(at))

    @staticmethod
    def name(job: Job) -> str:
        """How a root and variant are told from the others of their repository."""
        return f"{job.root} {job.variant.name}"


class Ask(NamedTuple):
    """A check that a sweep asks for."""

    target: str
    identity: str

    @classmethod
    def of(cls, job: Job) -> "Ask":
        """What the ledger has to know of a job."""
        return cls(job.target, job.identity)


class Opened(NamedTuple):
    """What became of asks: ``send`` says of each whether its message is to be sent.

    Those that aren't wait or run already, or a newer commit is wanted by now. ``done`` are sweeps
    that have nothing left to wait for, because a newer commit replaced the rest of them.
    """

    send: tuple[bool, ...]
    done: tuple[str, ...]


class Begun(NamedTuple):
    """Whether a check may run now.

    - ``start``: it may, and is leased. ``tries`` counts the starts that were never ended, this one
      included; ``now`` is the time by Redis, in seconds since the epoch; ``peak_memory_bytes`` is
      what it took the last time, where that is known.
    - ``unwanted``: it was answered, or a newer commit replaced it; ``done`` are sweeps that wait
      for nothing more because of that.
    - ``held``: ``holder`` works on it, and has ``seconds`` left before it must say so again.
    - ``full``: so many run already of what ``cap`` names; it is kept, and comes back by itself.
    """

    outcome: Literal["start", "unwanted", "held", "full"]
    tries: int = 0
    now: float = 0.0
    peak_memory_bytes: int | None = None
    holder: str = ""
    seconds: float = 0.0
    cap: str = ""
    done: tuple[str, ...] = ()


class Settled(NamedTuple):
    """What an answer did: whether it was the first, and which sweeps wait for nothing more."""

    first: bool
    done: tuple[str, ...]


class OpenSweep(Record):
    """A sweep that isn't closed; ``deadline`` and ``asked_at`` are seconds since the epoch."""

    sweep_id: SweepId
    source: str = ""
    asked: Size = 0
    asked_at: Seconds = 0.0
    deadline: Seconds


class Counts(NamedTuple):
    """How many checks of a sweep have no answer yet, were begun of these, and were answered.

    What a dead worker had begun counts as begun until somebody else begins it.
    """

    pending: int
    running: int
    answered: int


class WorkerSeen(Record):
    """What a worker says of itself every few seconds."""

    name: str
    slots: Size
    seen_at: Seconds
    free_disk_bytes: Size = 0
    available_memory_bytes: Size = 0
    waits_for: str = ""
