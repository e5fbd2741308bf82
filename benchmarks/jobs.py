"""What the queue and the ledger cost, beside plain Celery on the same Redis.

100,000 checks are asked for by one producer, as `driftfleet enqueue` does it, and wait; then a tick
looks at them, and single ones begin and end. After that a worker of two slots answers checks that
want no terraform (their folder isn't there), and a plain Celery worker runs tasks that do nothing.
A wrong answer, or one that is missing, ends it.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from celery import Celery

from benchmarks.measure import WrongAnswer, machine_facts
from benchmarks.slots import checks
from benchmarks.world import BATCH, Spent, World, cells, median, row
from driftfleet.celery_app import build_app
from driftfleet.configuration import process_environment
from driftfleet.jobs import Job, Source
from driftfleet.ledger import Answer
from driftfleet.logs import configure_logs
from driftfleet.results import Verdict
from driftfleet.settings import LogSettings
from producer.broker import Broker
from producer.headquarters import Headquarters
from tests.redis_server import redis_server
from worker.lease import Lease, new_token

REPOSITORIES = 50
MOST_SECONDS, MOST_MEGABYTES = 60.0, 200.0
_ROUNDS = 5
_LEASES = 1000


def waiting(world: World, count: int) -> dict[str, list[Job]]:
    """Ask for so many checks; the jobs by their sweep."""
    asked: dict[str, list[Job]] = {}
    before = world.megabytes()
    with build_app(world.settings) as app, world.spending() as spent:
        for number in range(REPOSITORIES):
            jobs = _service_jobs(world, number, count // REPOSITORIES)
            asked[world.ask(app, jobs)] = jobs
    megabytes = world.megabytes() - before
    total = sum(map(len, asked.values()))
    pending = sum(len(world.ledger.pending(sweep)) for sweep in asked)
    if (pending, Broker(world.redis).length()) != (total, total):
        raise WrongAnswer(f"{pending} of {total} pending, {Broker(world.redis).length()} in queues")
    plain, plain_megabytes = _plainly_enqueued(world, [j for jobs in asked.values() for j in jobs])
    print(f"\n{total:,} checks, {REPOSITORIES} repositories, one producer")
    row("", "wall", "own CPU", "Redis CPU", "Redis memory")
    row("driftfleet: store, ledger, queue", *cells(spent()), f"{megabytes:.0f} MB")
    row("plain Celery, one producer in batches of 500", *cells(plain),
         f"{plain_megabytes:.0f} MB")  # fmt: skip
    row("ratio", f"{spent().wall / plain.wall:.2f}", f"{spent().own / plain.own:.2f}",
         f"{spent().redis / plain.redis:.2f}", f"{megabytes / plain_megabytes:.2f}")  # fmt: skip
    scale = 100_000 / total
    met = spent().wall * scale <= MOST_SECONDS and megabytes * scale <= MOST_MEGABYTES
    print(f"target: 100,000 in {MOST_SECONDS:.0f} s and {MOST_MEGABYTES:.0f} MB: "
          f"{'met' if met else 'MISSED'}")  # fmt: skip
    return asked


def _service_jobs(world: World, number: int, count: int) -> list[Job]:
    sweep_id = world.sweep_id("many")
    repo = f"organisation/infrastructure-{number}"
    source = Source(kind="github", repo=repo, ref="main", sha=f"{number:040x}")
    return [
        Job(
            sweep_id=sweep_id, source=source, root=f"environments/production/service-{n}"
        )
        for n in range(count)
    ]  # fmt: skip


def _plainly_enqueued(world: World, jobs: Sequence[Job]) -> tuple[Spent, float]:
    """The same payloads as plain tasks on one queue, which then are removed."""
    payloads = [job.wire() for job in jobs]
    before = world.megabytes()
    with Celery("noop", broker=world.url, set_as_current=False) as app:
        with (
            world.spending() as spent,
            app.producer_or_acquire() as producer,
            producer.batch(BATCH),
        ):
            for payload in payloads:
                app.send_task("noop", args=[payload], producer=producer)
        megabytes = world.megabytes() - before
    world.redis.delete("celery")
    return spent(), megabytes


def ticks(world: World, asked: Mapping[str, list[Job]]) -> None:
    """A tick's cost while they wait."""
    total = sum(map(len, asked.values()))
    costs = []
    with build_app(world.settings) as app:
        headquarters = Headquarters(app, world.settings, process_environment())
        for _ in range(_ROUNDS):
            with world.spending() as spent:
                ticked = headquarters.tick()
            if any(ticked.mended):
                raise WrongAnswer(f"nothing was to be mended: {ticked.mended}")
            costs.append(spent())
    print(f"\na tick, {total:,} pending (median of {_ROUNDS})")
    row("", "wall", "own CPU", "Redis CPU")
    row("looks for what is lost, closes, measures", *cells(median(costs)))


def leases(world: World, asked: Mapping[str, list[Job]]) -> None:
    """What a check pays for its lease and its ledger, in one process, with all else waiting."""
    jobs = next(iter(asked.values()))[:_LEASES]
    ledger, token = world.ledger, new_token()
    with world.spending() as begun:
        for job in jobs:
            if ledger.begin(job, token, {}).outcome != "start":
                raise WrongAnswer(f"{job.title} did not begin")
    with world.spending() as held:
        for job in jobs:
            with Lease(job, token, ledger, lambda: False, lambda _: None):
                pass
    with world.spending() as renewed:
        for job in jobs:
            if not ledger.renew(job, token):
                raise WrongAnswer(f"{job.title}: the lease is lost")
    with world.spending() as answered:
        for job in jobs:
            answer = Answer(check=job.identity, verdict=Verdict.CLEAN, key="k")
            if not ledger.answer(job, answer, token).first:
                raise WrongAnswer(f"{job.title} was answered before")
    print(f"\nthe ledger's share of one check (mean of {len(jobs):,})")
    row("", "wall", "own CPU", "Redis CPU")
    for what, spent in (
        ("begin: is it wanted, is it leased, its caps", begun()),
        ("the lease's thread, start and end", held()),
        ("renew, each 15 s of a plan and once at its end", renewed()),
        ("answer: note it, give the lease back", answered()),
    ):
        row(what, *(f"{1000 * s / len(jobs):.2f} ms" for s in (spent.wall, spent.own, spent.redis)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--checks", type=int, default=4_000)
    options = parser.parse_args(arguments)
    configure_logs(LogSettings(level="warning"))
    print(machine_facts(), flush=True)
    # Short paths: the socket of Redis is below them.
    with tempfile.TemporaryDirectory(prefix="df-") as base:
        folder = Path(base)
        with redis_server(folder) as server:
            world = World(server, folder)
            asked = waiting(world, options.jobs)
            ticks(world, asked)
            leases(world, asked)
            world.redis.flushall()
            checks(world, options.checks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
