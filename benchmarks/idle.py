"""What workers that have nothing to do take of Redis and of their machine."""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import cores
from benchmarks.world import SLOTS, World, row
from driftfleet import process
from driftfleet.configuration import environment_of, process_environment
from driftfleet.worker_command import worker_arguments
from tests.redis_server import redis_server

_SETTLE_SECONDS = 15.0
_STOP_SECONDS = 60.0


def measure(world: World, workers: int, seconds: float) -> None:
    """Print what so many take, each with two slots."""
    environment = {**process_environment(), **environment_of(world.settings)}
    started = []
    with (world.folder / "worker.log").open("ab") as log:
        for number in range(workers):
            arguments = [*worker_arguments(world.settings), "-n", f"w{number}@bench"]
            started.append(
                process.start(
                    arguments, environment, death_signal=signal.SIGKILL, stdout=log, stderr=log
                )
            )
    try:
        while len(world.ledger.workers()) < workers:
            time.sleep(0.5)
        time.sleep(_SETTLE_SECONDS)
        commands, own = _commands(world), _cpu(started)
        with world.spending() as spent:
            time.sleep(seconds)
        asked, used = _commands(world) - commands, _cpu(started) - own
        clients: Any = world.redis.info("clients")
        memory = sum(_memory(one.pid) for one in started)
        redis = spent().redis / seconds
        row(f"{workers} workers, {SLOTS} slots each", f"{clients['connected_clients'] - 1} clients",
            f"{asked / seconds:.0f} commands/s", f"{1000 * redis:.1f} ms/s Redis",
            f"{1000 * used / seconds:.1f} ms/s own", f"{memory / 1e6:.0f} MB")  # fmt: skip
    finally:
        for one in started:
            one.terminate()
        for one in started:
            one.wait(_STOP_SECONDS)


def _commands(world: World) -> int:
    told: Any = world.redis.info("stats")
    return int(told["total_commands_processed"])


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _cpu(started: list[process.Process]) -> float:
    return sum(sum(p.cpu_times()[:2]) for one in started for p in _family(one.pid))


def _memory(pid: int) -> int:
    """What is this family's alone, and its share of what is not (PSS)."""
    return sum(one.memory_full_info().pss for one in _family(pid))


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="df-") as base, redis_server(Path(base)) as server:
        world = World(server, Path(base))
        for workers in options.workers:
            world.redis.flushall()
            measure(world, workers, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
