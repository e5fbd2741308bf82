"""Support for tests with a real Redis and real Celery workers."""

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from pydantic import SecretStr
from redis import Redis

from driftfleet import process
from driftfleet.celery_app import build_app, send
from driftfleet.configuration import environment_of, process_environment
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.ledger import Answer, Ask, RedisLedger
from driftfleet.redis_client import connect
from driftfleet.results import Result
from driftfleet.settings import Settings
from driftfleet.store import open_store
from driftfleet.worker_command import worker_arguments


@dataclass
class Fleet:
    """Workers, their Redis and their store.

    ``environment`` is what workers have besides; ``rewrite`` may change how they are started.
    """

    settings: Settings
    repository: Path
    log: Path
    redis_folder: Path
    workers: list[process.Process] = field(default_factory=list)
    prefix: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    rewrite: Callable[[list[str]], list[str]] = list

    def __post_init__(self) -> None:
        assert isinstance(self.settings.broker.url, SecretStr)
        url = self.settings.broker.url.get_secret_value()
        self.redis = connect(url, self.settings.broker.ca_file)
        self.ledger = RedisLedger(self.redis)
        self.store = open_store(self.settings.results)

    def start_worker(self) -> process.Process:
        """Start one worker process, as `driftfleet worker` does."""
        with self.log.open("ab") as log:
            worker = process.start(
                [
                    *self.prefix,
                    *self.rewrite(worker_arguments(self.settings)),
                    "-n",
                    f"w{len(self.workers)}@test",
                ],
                {**process_environment(), **environment_of(self.settings), **self.environment},
                death_signal=signal.SIGKILL,
                stdout=log,
                stderr=log,
                new_session=True,
            )
        self.workers.append(worker)
        return worker

    def job(
        self,
        root: str,
        *,
        sweep_id: str = "sweep",
        sha: str = "",
        ref: str = "",
        source: Source | None = None,
        **limits: int,
    ) -> Job:
        """A job for a root of the repository; ``sha`` tells checks of one root apart.

        So does ``ref``: of two with the same one the later replaces the earlier while it waits.
        """
        return Job(
            sweep_id=sweep_id,
            source=source
            or Source(kind="local", repo=str(self.repository), ref=ref or sha, sha=sha),
            root=root,
            variant=Variant(),
            limits=Limits(**{**self.settings.limits.model_dump(), **limits}),
        )

    def send(self, jobs: Sequence[Job]) -> None:
        """Ask for checks."""
        self.ledger.open(jobs[0].sweep_id, [Ask.of(job) for job in jobs])
        with build_app(self.settings) as app:
            send(app, jobs)

    def wait(self, count: int, seconds: float, sweep_id: str = "sweep") -> list[Answer]:
        """The answers, once there are ``count``."""
        done = wait_until(lambda: len(self.ledger.answers(sweep_id)) >= count, seconds)
        assert done, (
            f"{len(self.ledger.answers(sweep_id))} of {count} answered; "
            f"running: {self.ledger.running(sweep_id)}\n{self.log.read_text()[-5000:]}"
        )
        return self.ledger.answers(sweep_id)

    def result(self, answer: Answer) -> Result:
        """The stored result of an answer."""
        result = self.store.get(answer.key)
        assert result is not None
        return result

    def processes(self) -> list[psutil.Process]:
        """Everything that lives below the workers."""
        found = []
        for worker in self.workers:
            # The number of one that has ended may be somebody else's by now.
            if worker.poll() is None:
                with contextlib.suppress(psutil.Error):
                    found += psutil.Process(worker.pid).children(recursive=True)
        return found

    def planning(self) -> list[psutil.Process]:
        """The terraform processes that plan."""
        found = []
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                if not _plans(one):
                    continue
                # A provider that terraform starts looks like it for a moment.
                parent = one.parent()
                if parent is None or not _plans(parent):
                    found.append(one)
        return found

    def holder(self, *plans: psutil.Process) -> psutil.Process | None:
        """The pool child above the first plan, or one of these; None where that has just ended.

        Not whoever its parent is: what a killed child leaves has another one for a moment.
        """
        for plan in plans or self.planning():
            with contextlib.suppress(psutil.Error):
                above = set(plan.parents())
                for worker in self.workers:
                    if holding := above.intersection(self.pool_children(worker)):
                        return holding.pop()
        return None

    def kill_holder(self) -> psutil.Process:
        """SIGKILL to the pool child above the first plan there is; whom it hit."""
        killed: list[psutil.Process] = []

        def kill() -> bool:
            with contextlib.suppress(psutil.Error):
                if (child := self.holder()) is not None:
                    child.kill()
                    killed.append(child)
            return killed != []

        assert wait_until(kill, 60), self.log.read_text()
        return killed[0]

    def pool_children(self, worker: process.Process) -> list[psutil.Process]:
        """The pool children of a worker: Python, below its main process."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return celery_among(psutil.Process(worker.pid).children())
        return []

    def stop(self) -> None:
        """End the workers as a deployment does; those that take long at once, then by force."""
        # Where a test failed whatever it has stopped still stands, and would for ever.
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                if one.status() == psutil.STATUS_STOPPED:
                    one.resume()
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(30)
            except process.TimeoutExpired:
                worker.send_signal(signal.SIGQUIT)
        for worker in self.workers:
            try:
                worker.wait(30)
            except process.TimeoutExpired:
                worker.kill()
                worker.wait()


def celery_among(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that are Celery's, of which some may end meanwhile."""
    found = []
    for one in processes:
        with contextlib.suppress(psutil.Error):
            if "celery" in " ".join(one.cmdline()):
                found.append(one)
    return found


def _plans(one: psutil.Process) -> bool:
    return one.name() == "terraform" and "plan" in one.cmdline()


def start_service(arguments: Sequence[str], settings: Settings, log: Path) -> process.Process:
    """Start what such arguments start, with these settings; it is to be killed and waited for."""
    with log.open("wb") as output:
        return process.start(
            arguments,
            {**process_environment(), **environment_of(settings)},
            death_signal=signal.SIGKILL,
            stdout=output,
            stderr=output,
            new_session=True,
        )


def hand_to_standing_children(
    main: process.Process, redis: Redis, send: Callable[[], object]
) -> list[psutil.Process]:
    """Have what ``send`` sends written to a pool child that takes it only later; the children."""
    children = psutil.Process(main.pid).children()
    for child in children:
        child.suspend()
    send()
    assert wait_until(lambda: bool(redis.hlen("unacked")), 60)
    time.sleep(3)
    return children


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time.

    The last look is after that: this process itself may have stood still since the one before.
    """
    end = time.monotonic() + seconds
    while True:
        over = time.monotonic() > end
        if condition():
            return True
        if over:
            return False
        time.sleep(0.05)


def users_of(folder: Path) -> list[psutil.Process]:
    """Processes that were told to write into ``folder``."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(one.environ().get("TMPDIR", "")).is_relative_to(folder):
                found.append(one)
    return found


@contextlib.contextmanager
def short_folder(name: str) -> Iterator[Path]:
    """A folder whose path is short, as a deployment's writable root is.

    It is a new one each time: of the last one with this name something may be left.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"df-{name}-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
