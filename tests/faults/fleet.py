"""What the fault tests do to a fleet, and how they count what it did."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psutil

from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.configuration import process_environment
from driftfleet.errors import TransientError
from driftfleet.jobs import Job
from driftfleet.sweep_id import new_sweep_id
from driftfleet.sweeps import SweepRecord
from producer.headquarters import Headquarters
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests import providers
from tests.redis_server import RedisServer
from tests.workers import Fleet, wait_until


@dataclass
class BrokenFleet(Fleet):
    """A fleet, the Redis that it can lose, and sweeps that are asked for as people do."""

    server: RedisServer | None = None
    asked: list[str] = field(default_factory=list)

    def write_slow(self, root: str, seconds: float) -> None:
        """A root whose plan takes so long."""
        providers.write_root(self.repository / root, providers.fault_root("slow", seconds=seconds))

    def write_quick(self, root: str) -> None:
        """A root that is planned in a moment: `unapplied`."""
        text = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
        providers.write_root(self.repository / root, text)

    def write_file(self, root: str) -> None:
        """A root of the demo provider: `unapplied`."""
        world = self.repository.parent / "world"
        providers.write_root(self.repository / root, providers.file_root(world, "one"))

    def write_fault(self, kind: str) -> None:
        """A root whose provider crashes, or leaves a process behind."""
        more = {"child": {"marker": "storm-test", "seconds": 300}}.get(kind, {})
        providers.write_root(self.repository / kind, providers.fault_root(kind, **more))

    def ask(self, *roots: str, deadline_seconds: float = 3600, sha: str = "") -> str:
        """Ask for a sweep of these roots; return its id."""
        sweep_id = new_sweep_id("test", datetime.fromtimestamp(self.ledger.now(), UTC))
        jobs = [self.job(root, sweep_id=sweep_id, ref="main", sha=sha) for root in roots]
        return self.ask_for(jobs, deadline_seconds)

    def ask_for(self, jobs: Sequence[Job], deadline_seconds: float = 3600) -> str:
        with build_app(self.settings) as app:
            queue = SweepQueue(self.settings, self.ledger, self.store, Sender(app))
            sweep = queue.ask(jobs, timedelta(seconds=deadline_seconds))
        self.asked.append(sweep.record.sweep_id)
        return sweep.record.sweep_id

    def closed(
        self, sweep_id: str, seconds: float, during: Callable[[], None] = lambda: None
    ) -> SweepRecord:
        """The record of a sweep, once it is closed; the producer ticks meanwhile, each second."""
        end = time.monotonic() + seconds
        with self.ticking():
            while True:
                during()
                with contextlib.suppress(TransientError):
                    record = self.store.sweep(sweep_id)
                    if record is not None and record.closed_at is not None:
                        return record
                assert time.monotonic() < end, self.story(sweep_id)
                time.sleep(0.1)

    @contextlib.contextmanager
    def ticking(self) -> Iterator[None]:
        """A producer's ticks, in a thread: what is in the way of one, the next finds gone."""
        ended = threading.Event()

        def tick() -> None:
            with build_app(self.settings) as app:
                headquarters = Headquarters(app, self.settings, process_environment())
                while not ended.wait(1.0):
                    with contextlib.suppress(TransientError):
                        headquarters.tick()

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def story(self, sweep_id: str) -> str:
        """What is known of a sweep that doesn't end."""
        try:
            pending = len(self.ledger.pending(sweep_id))
            told = f"{pending} pending, running: {self.ledger.running(sweep_id)}"
        except TransientError as error:
            told = str(error)
        return f"{sweep_id}: {told}\n{self.log.read_text()[-8000:]}"

    def processes_of(self, worker: process.Process) -> list[psutil.Process]:
        """Everything that lives below one worker."""
        return psutil.Process(worker.pid).children(recursive=True)

    def wait_for_plan(self, count: int = 1, seconds: float = 60) -> None:
        assert wait_until(lambda: len(self.planning()) >= count, seconds), self.log.read_text()
        # Whoever counts plans looks twenty times a second.
        time.sleep(0.5)

    def wait_ready(self, count: int = 1, seconds: float = 60) -> None:
        assert wait_until(lambda: self.log.read_text().count(" ready.") >= count, seconds), (
            self.log.read_text()
        )

    @contextlib.contextmanager
    def counting_plans(self) -> Iterator[set[psutil.Process]]:
        """The plans that begin within the block, each a process of terraform's."""
        seen: set[psutil.Process] = set()
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(0.05):
                seen.update(self.planning())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def kill_group(worker: process.Process) -> None:
    """SIGKILL to all of a worker's processes, as a node's end does."""
    below = psutil.Process(worker.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    for one in below:
        with contextlib.suppress(psutil.Error):
            one.kill()
    worker.wait()
