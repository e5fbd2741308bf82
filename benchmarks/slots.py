"""Two slots at work: checks that want no terraform, and plain Celery's tasks that do nothing."""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psutil
from celery import Celery

from benchmarks.measure import WrongAnswer
from benchmarks.world import BATCH, SLOTS, World, row
from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.configuration import environment_of, process_environment
from driftfleet.jobs import Job, Source
from driftfleet.results import ErrorKind
from driftfleet.worker_command import worker_arguments

_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Worked:
    """CPU seconds of the main process, and of all below it."""

    seconds: float
    main: float
    children: float
    redis: float


def checks(world: World, count: int) -> None:
    """Answer checks without terraform through two slots, then run as many plain tasks."""
    sweep_id = world.sweep_id("gone")
    source = Source(kind="local", repo=str(world.folder / "repository"))
    jobs = [Job(sweep_id=sweep_id, source=source, root=f"gone/{n}") for n in range(count)]
    with build_app(world.settings) as app:
        world.ask(app, jobs)
    environment = environment_of(world.settings)
    ours = _worked(world, worker_arguments(world.settings), environment,
                   lambda: not world.ledger.pending(sweep_id))  # fmt: skip
    answers = world.ledger.answers(sweep_id)
    kinds = {r.error and r.error.kind for a in answers if (r := world.store.get(a.key))}
    if len(answers) != count or kinds != {ErrorKind.SOURCE_MISSING}:
        raise WrongAnswer(f"{len(answers)} of {count} answered: {kinds}")
    with (
        Celery("noop", broker=world.url, set_as_current=False) as app,
        app.producer_or_acquire() as producer,
        producer.batch(BATCH),
    ):
        for job in jobs:
            app.send_task("noop", args=[job.wire()], producer=producer)
    plain = _worked(
        world,
        [sys.executable, "-m", "celery", "--quiet", "-A", "benchmarks.noop_app", "worker", "--pool",
         "prefork", "--concurrency", str(SLOTS), "--without-gossip", "--without-mingle"],
        {"NOOP_BROKER": world.url},
        lambda: not world.redis.exists("celery", "unacked"),
    )  # fmt: skip
    print(f"\n{count:,} checks that want no terraform, {SLOTS} slots")
    row("", "a second", "main CPU", "children's CPU", "Redis CPU")
    for what, one in (
        ("driftfleet, each stored", ours),
        ("plain Celery, tasks that do nothing", plain),
    ):
        each = (f"{1000 * s / count:.2f} ms" for s in (one.main, one.children, one.redis))
        row(what, f"{count / one.seconds:.0f}", *each)


def _worked(
    world: World, arguments: Sequence[str], more: Mapping[str, str], done: Callable[[], bool]
) -> Worked:
    """Start a worker, and say what it took from its first answer to its last."""
    with (world.folder / "worker.log").open("wb") as log:
        worker = process.start(
            list(arguments), {**process_environment(), **more}, death_signal=signal.SIGKILL,
            stdout=log, stderr=log, new_session=True,
        )  # fmt: skip
    try:
        return _until(world, psutil.Process(worker.pid), done)
    finally:
        worker.terminate()
        worker.wait()


def _until(world: World, main: psutil.Process, done: Callable[[], bool]) -> Worked:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not world.redis.exists("unacked"):
        if time.monotonic() > end:
            raise WrongAnswer("the worker takes nothing")
        time.sleep(0.01)
    own, below = _cpu(main)
    with world.spending() as spent:
        while not done():
            if time.monotonic() > end or not main.is_running():
                raise WrongAnswer((world.folder / "worker.log").read_text()[-2000:])
            time.sleep(0.05)
    own_then, below_then = _cpu(main)
    return Worked(spent().wall, own_then - own, below_then - below, spent().redis)


def _cpu(main: psutil.Process) -> tuple[float, float]:
    """CPU seconds of a process, and of all below it, the dead ones that were waited for too."""
    times = main.cpu_times()
    below = times.children_user + times.children_system
    for child in main.children(recursive=True):
        one = child.cpu_times()
        below += one.user + one.system + one.children_user + one.children_system
    return times.user + times.system, below
