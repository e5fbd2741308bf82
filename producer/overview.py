"""The whole fleet at one moment, as Redis tells of it. Looking changes nothing, and is cheap."""

from typing import Any

from driftfleet.ledger import (
    MOST_RECENT,
    Counts,
    Ledger,
    OpenSweep,
    Recent,
    Running,
    WorkerSeen,
)
from driftfleet.model import Record
from driftfleet.results import Verdict
from producer.broker import Broker

_RATE_SECONDS = 300.0


class RunningCheck(Record):
    """A check that somebody works on. ``started_at`` is in seconds since the epoch."""

    repo: str
    root: str
    variant: str
    phase: str
    worker: str
    started_at: float


class SweepSeen(Record):
    """A sweep that isn't closed. ``waiting`` is what nobody works on; times as in `OpenSweep`."""

    sweep_id: str
    repo: str
    asked: int
    waiting: int
    running: int
    answered: int
    asked_at: float
    deadline: float


class Overview(Record):
    """``at`` and all times are by Redis' clock, in seconds since the epoch.

    ``running`` has the longest running check first, ``sweeps`` the nearest deadline, ``recent`` the
    last answer. ``waiting`` messages are in the queue; ``later`` jobs wait for their time.
    """

    at: float
    workers: tuple[WorkerSeen, ...] = ()
    running: tuple[RunningCheck, ...] = ()
    sweeps: tuple[SweepSeen, ...] = ()
    recent: tuple[Recent, ...] = ()
    waiting: int = 0
    later: int = 0
    oldest_sent_at: float | None = None

    @property
    def slots(self) -> int:
        """How many checks could run."""
        return sum(worker.slots for worker in self.workers)

    @property
    def oldest_seconds(self) -> float | None:
        """How long the message waits that has waited longest; None where none waits."""
        return None if self.oldest_sent_at is None else max(0.0, self.at - self.oldest_sent_at)

    @property
    def checks_a_minute(self) -> float:
        """How many were answered in each of the last five minutes.

        The last answers alone are kept: where they don't reach back so far, since the oldest.
        """
        ages = [max(0.0, self.at - one.finished_at) for one in self.recent]
        # A few answers of a fleet that has just begun are no rate yet.
        least = 1.0 if len(ages) >= MOST_RECENT else 60.0
        seconds = min(_RATE_SECONDS, max(least, *ages, 0.0))
        return sum(age <= seconds for age in ages) * 60 / seconds

    @property
    def errors(self) -> list[Recent]:
        """Of the last answers those that are errors, newest first."""
        return [one for one in self.recent if one.verdict is Verdict.ERROR]


def look(ledger: Ledger, broker: Broker) -> Overview:
    """Look at the fleet now. Raises `BrokerUnavailable`."""
    sweeps = ledger.open_sweeps()
    counts = ledger.counts([sweep.sweep_id for sweep in sweeps])
    running = {
        sweep.sweep_id: ledger.running(sweep.sweep_id)
        for sweep, count in zip(sweeps, counts, strict=True)
        if count.running
    }
    # What a dead worker had begun is still noted as running.
    alive = ledger.leased(list({identity for some in running.values() for identity in some}))
    running = {
        sweep: {identity: one for identity, one in some.items() if identity in alive}
        for sweep, some in running.items()
    }
    return Overview(
        at=ledger.now(),
        workers=tuple(ledger.workers()),
        running=_running(sweeps, running),
        sweeps=tuple(
            _sweep_seen(sweep, count, len(running.get(sweep.sweep_id, ())))
            for sweep, count in zip(sweeps, counts, strict=True)
        ),
        recent=tuple(ledger.recent()),
        waiting=broker.length(),
        later=broker.put_off(),
        oldest_sent_at=broker.oldest_sent_at(),
    )


def _running(
    sweeps: list[OpenSweep], running: dict[str, dict[str, Running]]
) -> tuple[RunningCheck, ...]:
    # Sweeps may share a check: it runs once.
    found = {
        identity: _running_check(one, sweep.source)
        for sweep in sweeps
        for identity, one in running.get(sweep.sweep_id, {}).items()
    }
    return tuple(sorted(found.values(), key=lambda one: (one.started_at, one.repo, one.root)))


def _running_check(one: Running, source: str) -> RunningCheck:
    repo, root, variant = parts_of(one.title, source)
    return RunningCheck(
        repo=repo,
        root=root,
        variant=variant,
        phase=one.phase,
        worker=one.worker,
        started_at=one.started_at,
    )


def parts_of(title: str, source: str = "") -> tuple[str, str, str]:
    """The repository, root and variant of a job's title; a folder's name may have spaces in it."""
    known = bool(source) and title.startswith(f"{source} ")
    repo = source if known else title.partition(" ")[0]
    root, _, variant = title[len(repo) + 1 :].rpartition(" ")
    return repo, root, variant


def _sweep_seen(sweep: OpenSweep, counts: Counts, running: int) -> SweepSeen:
    return SweepSeen(
        sweep_id=sweep.sweep_id,
        repo=sweep.source,
        asked=sweep.asked,
        waiting=max(0, counts.pending - running),
        running=running,
        answered=counts.answered,
        asked_at=sweep.asked_at,
        deadline=sweep.deadline,
    )


def record_of(overview: Overview) -> dict[str, Any]:
    """For scripts: as it is, with what is worked out of it."""
    told = overview.model_dump(mode="json", exclude={"recent", "waiting", "later"})
    del told["oldest_sent_at"]
    return {
        **told,
        "slots": {"busy": len(overview.running), "total": overview.slots},
        "queue": {
            "waiting": overview.waiting,
            "later": overview.later,
            "oldest_seconds": overview.oldest_seconds,
        },
        "checks_a_minute": round(overview.checks_a_minute, 2),
        "errors": [one.model_dump(mode="json", exclude={"verdict"}) for one in overview.errors],
    }
