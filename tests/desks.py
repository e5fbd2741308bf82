"""A desk at which jobs are answered, whose store, Redis, roots and machine a test may spoil."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftfleet.cap_settings import CapSettings
from driftfleet.closure import Closure
from driftfleet.errors import BrokerUnavailable, CheckFailed
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, MemoryLedger, OpenSweep
from driftfleet.metrics import Meter
from driftfleet.results import ErrorKind, Result
from driftfleet.settings import WorkerSettings
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects
from driftfleet.sweep_id import new_sweep_id
from driftfleet.sweeps import SweepManifest
from producer.sweep import open_record
from tests.ledgers import ask, job
from worker.answering import attend
from worker.desk import Desk
from worker.drain import Drain
from worker.machine import Disk
from worker.process import Programs
from worker.room import Room
from worker.tools import Tools
from worker.workspace import Workspace, Workspaces

BROKEN = CheckFailed("source", "source_missing", "there is no such root")


class Place:
    """Where roots would come from: each check of one does what the test says, then fails so."""

    def __init__(self) -> None:
        self.fetched: list[Job] = []
        self.act: Callable[[], None] = lambda: None
        self.failure: Exception = BROKEN

    def fetch(self, job: Job, workspace: Workspace, deadline: float) -> Closure:
        self.fetched.append(job)
        self.act()
        raise self.failure

    def secrets(self) -> Sequence[str]:
        return ()


class Objects(MemoryObjects):
    """Objects that can be out of reach, or fail in a way that nobody expects."""

    failure: BaseException | None = None
    for_ever = False
    asked = 0

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        self.asked += 1
        return super().get_tagged(key)

    def put(self, key: str, body: bytes) -> None:
        self._fail()
        super().put(key, body)

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        self._fail()
        return super().put_if(key, body, tag)

    def _fail(self) -> None:
        failure = self.failure
        if failure is not None:
            self.failure = failure if self.for_ever else None
            raise failure


class Away(MemoryLedger):
    """A ledger of which some calls find no Redis."""

    away: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> object:
        if name in super().__getattribute__("away"):
            raise BrokerUnavailable("Redis did not answer: refused")
        return super().__getattribute__(name)


@dataclass
class Roomy:
    """A machine with memory and disk for everything, or with no disk."""

    free_bytes: int = 1 << 40

    def available_memory_bytes(self) -> int:
        return 1 << 40

    def resident_bytes(self, pid: int) -> int:
        return 0

    def disk(self, folder: Path) -> Disk:
        return Disk(1 << 40, self.free_bytes)


class World:
    """A desk at which jobs are answered. The time by Redis is an hour before the worker's own."""

    skew = timedelta(hours=1)

    def __init__(self, folder: Path, attempts: int = 3, caps: CapSettings | None = None) -> None:
        self.passed = 0.0
        self.ledger = Away(lambda: time.time() - self.skew.total_seconds() + self.passed)
        self.objects = Objects()
        self.store = ResultStore(self.objects)
        self.place = Place()
        self.drain = Drain(60)
        settings = WorkerSettings(writable_root=folder, stop_grace_seconds=0.1)
        self.tools = Tools(
            settings=settings,
            environment={},
            workspaces=Workspaces(folder),
            programs=Programs(settings.stop_grace_seconds),
            source=self.place,
            name="w1",
        )
        self.machine = Roomy()
        self.slept: list[float] = []
        self.desk = Desk(
            tools=self.tools,
            store=self.store,
            ledger=self.ledger,
            drain=self.drain,
            caps=caps or CapSettings(),
            attempts=attempts,
            room=Room(settings, self.machine),
            meter=Meter(),
            sleep=self.slept.append,
        )

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ledger.now(), UTC)

    def sweep(self, *roots: str, **of: object) -> list[Job]:
        """A sweep that was asked for as producers do."""
        name = new_sweep_id("enqueue", self.now)
        jobs = [job(root, sweep=name, **of) for root in roots]  # type: ignore[arg-type]
        manifest = SweepManifest(
            sweep_id=name, jobs=tuple(jobs), asked_at=self.now, deadline=self.now + timedelta(1)
        )
        self.store.open_sweep(open_record(jobs, name, self.now), manifest)
        ask(self.ledger, *jobs)
        self.ledger.seal(OpenSweep(sweep_id=name, deadline=self.ledger.now() + 86_400))
        return jobs

    def attend(self, one: Job, *, again: bool = False) -> None:
        attend(self.desk, one, 1.5, again=again)

    def answers(self, one: Job) -> list[Answer]:
        return self.ledger.answers(one.sweep_id)

    def result(self, one: Job) -> Result:
        (answer,) = self.answers(one)
        result = self.store.get(answer.key)
        assert result is not None
        return result

    def kind(self, one: Job) -> ErrorKind:
        error = self.result(one).error
        assert error is not None
        return error.kind

    def due_after(self, seconds: float) -> list[Job]:
        """What has come back by then."""
        self.passed += seconds
        return self.ledger.due(100)

    def is_free(self, one: Job) -> bool:
        return self.ledger.leased([one.identity]) == set()

    def stored(self) -> list[str]:
        return [*self.objects.keys("results/"), *self.objects.keys("latest/")]


def made(folder: Path, attempts: int = 3, caps: CapSettings | None = None) -> Iterator[World]:
    """One, which leaves nothing behind."""
    handler = signal.getsignal(signal.SIGUSR2)
    world = World(folder / "w", attempts, caps)
    yield world
    world.tools.programs.close()
    signal.signal(signal.SIGUSR2, handler)
    # A folder is made for the sweeping, and nothing else.
    assert [path for path in (folder / "w").rglob("*") if path.is_file()] == []
