"""What a fleet of 10, 1,000 and 100,000 roots takes, where all of it is due and waits.

Its store (a folder) and its Redis (with an append-only file) are filled, and then the real commands
and a producer's tick look at them, each in a process of its own. It isn't part of `make bench`:
100,000 roots take a quarter of an hour and 6 GB of disk. A wrong answer ends it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import redis

from benchmarks.many_roots import fill_store, note_fleet, settings_for, sweeps_of
from benchmarks.measure import WrongAnswer, cores
from benchmarks.status import Run, run_measured
from driftfleet.celery_app import build_app
from driftfleet.configuration import environment_of, process_environment
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, RedisLedger
from driftfleet.logs import configure_logs
from driftfleet.redis_client import connect
from driftfleet.results import Verdict
from driftfleet.settings import LogSettings, Settings
from driftfleet.store import open_store
from producer.broker import Broker
from producer.headquarters import Headquarters
from producer.notebook import Notebook
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests.redis_server import redis_server
from worker.lease import new_token

_MEGABYTE = 1e6
# So many are answered: each takes a millisecond.
_MOST_ANSWERS = 20_000
# Who looks at a command's output need not see all of it.
_TAIL = 1500


class Fleet:
    """So many roots, their store, their Redis, and whoever looks at them."""

    def __init__(self, folder: Path, url: str, roots: int) -> None:
        self.folder, self.roots = folder, roots
        self.store = folder / "store"
        self.settings = settings_for(self.store, url)
        self.redis: redis.Redis = connect(url)
        self.ledger = RedisLedger(self.redis)
        self.jobs: list[list[Job]] = []

    def memory(self) -> dict[str, float]:
        """What Redis says of its memory, in MB."""
        told: Any = self.redis.info("memory")
        return {name: told[f"used_memory{name}"] / _MEGABYTE for name in ("", "_rss")}

    def append_only_megabytes(self) -> float:
        told: Any = self.redis.info("persistence")
        return float(told["aof_current_size"]) / _MEGABYTE

    def command(self, *arguments: str, exit_codes: Sequence[int] = (0,)) -> tuple[Run, str]:
        """Run ``driftfleet``; what it took, and what it said."""
        environment = {**os.environ, **environment_of(self.settings)}
        output = self.folder / "out"
        run = run_measured(arguments, environment, self.folder, output)
        said = output.read_text()
        if run.exit_code not in exit_codes:
            raise WrongAnswer(f"{arguments}: exit {run.exit_code}: {said[-_TAIL:]}")
        return run, said


def measure(folder: Path, url: str, roots: int) -> None:
    """Print what one size takes."""
    fleet = Fleet(folder, url, roots)
    print(f"\n{roots:,} roots; load {os.getloadavg()[0]:.1f}", flush=True)
    fill_store(fleet.store, roots, datetime.now(UTC))
    _at_rest(fleet)
    _dashboard(fleet)
    _waiting(fleet)
    _rewrite(fleet)
    _tick(fleet, "a tick, all of it pending")
    run, said = fleet.command("top", "--once")
    _require(f"{roots:,} waiting" in said, said)
    _tell("top --once", run)
    _answered(fleet)
    fleet.redis.flushall()
    note_fleet(Notebook(fleet.redis), fleet.ledger, roots, datetime.now(UTC))
    _tick(fleet, "a tick after Redis lost it all", minutes=5)


def _at_rest(fleet: Fleet) -> None:
    before = fleet.memory()[""]
    note_fleet(Notebook(fleet.redis), fleet.ledger, fleet.roots, datetime.now(UTC))
    row("Redis at rest", f"{fleet.memory()[''] - before:.2f} MB")
    sizes = [path.stat().st_size for path in fleet.store.rglob("*.json")]
    row("store, one check each", f"{len(sizes):,} objects", f"{sum(sizes) / _MEGABYTE:.1f} MB")
    _tick(fleet, "a tick, nothing to do")


def _dashboard(fleet: Fleet) -> None:
    for way in ("status, all is read", "report, all pages", "report, nothing new"):
        command, _, _ = way.partition(",")
        arguments = [command, *(["--json"] if command == "report" else [])]
        run, said = fleet.command(*arguments, exit_codes=(0, 3))
        if command == "report":
            _require(json.loads(said)["roots"] == fleet.roots, said)
        _tell(way, run)
    run, _ = fleet.command("status", exit_codes=(3,))
    _tell("status, from the catalog", run)
    site = [path.stat().st_size for path in (fleet.store / "site").rglob("*") if path.is_file()]
    page = (fleet.store / "site/index.html").stat().st_size
    catalog = (fleet.store / "catalog/fleet.json.gz").stat().st_size
    manifest = (fleet.store / "site/pages.json").stat().st_size
    row("site", f"{len(site):,} files", f"{sum(site) / _MEGABYTE:.1f} MB")
    for name, size in (("index.html", page), ("catalog", catalog), ("pages.json", manifest)):
        row(name, f"{size / _MEGABYTE:.2f} MB")


def _waiting(fleet: Fleet) -> None:
    before, file_before = fleet.memory()[""], fleet.append_only_megabytes()
    with build_app(fleet.settings) as app, spending() as spent:
        queue = SweepQueue(fleet.settings, fleet.ledger, open_store(fleet.settings.results),
                           Sender(app))  # fmt: skip
        for jobs in sweeps_of(fleet.roots, datetime.now(UTC)):
            fleet.jobs.append(jobs)
            queue.ask(jobs)
    _require(Broker(fleet.redis).length() == fleet.roots, "some don't wait")
    wall, cpu = spent()
    taken = fleet.memory()[""] - before
    row("asked for, and wait", f"{wall:.1f} s", f"{cpu:.1f} s CPU", f"{taken:.2f} MB of Redis",
         f"{fleet.append_only_megabytes() - file_before:.1f} MB append-only")  # fmt: skip


def _rewrite(fleet: Fleet) -> None:
    """The append-only file written anew while checks are answered: what is copied meanwhile."""
    if fleet.roots < _MOST_ANSWERS:
        return
    fleet.redis.bgrewriteaof()
    _answer(fleet, fleet.roots // 20)
    while (told := _persistence(fleet))["aof_rewrite_in_progress"]:
        time.sleep(0.1)
    rss = fleet.memory()["_rss"]
    row("append-only file rewritten", f"{told['aof_last_cow_size'] / _MEGABYTE:.1f} MB copied",
         f"{fleet.append_only_megabytes():.1f} MB then", f"{rss:.0f} MB RSS")  # fmt: skip


def _persistence(fleet: Fleet) -> dict[str, Any]:
    told: dict[str, Any] = fleet.redis.info("persistence")  # type: ignore[assignment]
    return told


def _answer(fleet: Fleet, count: int) -> int:
    answered = 0
    while fleet.jobs and answered < count:
        for job in fleet.jobs.pop():
            token = new_token()
            fleet.ledger.begin(job, token, {})
            # As long as a result's key is.
            answer = Answer(check=job.identity, verdict=Verdict.CLEAN, key=job.identity * 5)
            fleet.ledger.answer(job, answer, token)
            answered += 1
    return answered


def _answered(fleet: Fleet) -> None:
    """What answered checks leave behind in Redis, until a day after their sweep's close."""
    _answer(fleet, _MOST_ANSWERS)
    keys: Any = list(fleet.redis.scan_iter("driftfleet:sweep:*:answered", count=1000))
    sizes: list[Any] = [fleet.redis.memory_usage(key) for key in keys]
    counts: list[Any] = [fleet.redis.llen(key) for key in keys]
    row("answered", f"{sum(counts):,}", f"{sum(sizes) / sum(counts):.0f} bytes each")


def _tick(fleet: Fleet, what: str, minutes: int = 1) -> None:
    """A producer's tick in a fresh process; several, while something is to be rebuilt."""
    for _ in range(minutes):
        told = json.loads(
            subprocess.run(
                [sys.executable, __file__, "--tick"],
                env={**os.environ, **environment_of(fleet.settings)},
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
        )
        row(what, f"{told['wall']:.2f} s", f"{told['cpu']:.2f} s CPU",
             f"{told['megabytes']:.0f} MB above idle", str(told["ticked"]))  # fmt: skip
        if not told["ticked"]["rebuilt"]:
            break


def tick() -> dict[str, Any]:
    """Be a producer that ticks once."""
    from driftfleet.configuration import load_settings  # noqa: PLC0415

    configure_logs(LogSettings(level="error"))
    environment = process_environment()
    settings: Settings = load_settings(None, environment)
    process = psutil.Process()
    with build_app(settings) as app:
        headquarters = Headquarters(app, settings, environment)
        idle = process.memory_info().rss
        peak_bytes(begin=True)
        with spending() as spent:
            ticked = headquarters.tick()
        wall, cpu = spent()
    return {
        "wall": wall,
        "cpu": cpu,
        "megabytes": (peak_bytes() - idle) / _MEGABYTE,
        "ticked": {"sweeps": ticked.sweeps, **ticked.mended._asdict()},
    }


def peak_bytes(*, begin: bool = False) -> int:
    """What this process had resident at most, since it was asked to ``begin`` (proc(5))."""
    if begin:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@contextmanager
def spending() -> Iterator[Any]:
    """Seconds on the wall and of our own CPU that a block takes, once it has ended."""
    told: list[tuple[float, float]] = []
    wall, cpu = time.perf_counter(), time.process_time()
    yield lambda: told[0]
    told.append((time.perf_counter() - wall, time.process_time() - cpu))


def _tell(what: str, run: Run) -> None:
    row(what, f"{run.wall_seconds:.1f} s", f"{run.cpu_seconds:.1f} s CPU",
         f"{run.peak_bytes / _MEGABYTE:.0f} MB peak")  # fmt: skip


def row(what: str, *values: str) -> None:
    """Print a line of a table."""
    print(f"{what:<34}" + "".join(f"{value:>22}" for value in values), flush=True)


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise WrongAnswer(what[-_TAIL:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or with ``--tick`` be the producer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roots", type=int, nargs="*", default=[10, 1000, 100_000])
    parser.add_argument("--tick", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.tick:
        print(json.dumps(tick()))
        return 0
    configure_logs(LogSettings(level="error"))
    print(f"{cores()} cores, Python {sys.version.split()[0]}")
    for roots in options.roots:
        # Short paths: the socket of Redis is below them.
        with (
            tempfile.TemporaryDirectory(prefix="df-") as base,
            redis_server(Path(base)) as server,
        ):
            measure(Path(base), server.url, roots)
    return 0


if __name__ == "__main__":
    sys.exit(main())
