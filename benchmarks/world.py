"""A Redis and a store that benchmarks of the queue work with, and what a block of them takes."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from celery import Celery
from pydantic import SecretStr

from driftfleet.jobs import Job
from driftfleet.ledger import RedisLedger
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from driftfleet.store import open_store
from driftfleet.sweep_id import new_sweep_id
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests.redis_server import RedisServer

SLOTS = 2
BATCH = 500


@dataclass(frozen=True)
class Spent:
    """Seconds: on the wall, of our own CPU, and of Redis' CPU."""

    wall: float
    own: float
    redis: float


class World:
    """A Redis with a memory, a store, and settings that name both."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        (folder / "repository").mkdir(exist_ok=True)
        self.folder = folder
        self.url = server.url
        self.settings = Settings(
            broker=BrokerSettings(url=SecretStr(server.url)),
            results=ResultSettings(store=f"file://{folder / 'results'}"),
            worker=WorkerSettings(
                concurrency=SLOTS,
                writable_root=folder / "w",
                local_roots=(folder / "repository",),
                attempts=1,
            ),
        )
        self.redis: redis.Redis = connect(server.url)
        self.ledger = RedisLedger(self.redis)
        self.store = open_store(self.settings.results)

    def sweep_id(self, name: str) -> str:
        return new_sweep_id(name, datetime.fromtimestamp(self.ledger.now(), UTC))

    def megabytes(self) -> float:
        return float(self.redis.info("memory")["used_memory"]) / 1e6

    @contextmanager
    def spending(self) -> Iterator[Callable[[], Spent]]:
        """What a block takes, once it has ended."""
        told: list[Spent] = []
        began, own, server = time.perf_counter(), time.process_time(), self._redis_seconds()
        yield lambda: told[0]
        told.append(
            Spent(
                time.perf_counter() - began,
                time.process_time() - own,
                self._redis_seconds() - server,
            )
        )

    def _redis_seconds(self) -> float:
        cpu = self.redis.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

    def ask(self, app: Celery, jobs: Sequence[Job]) -> str:
        queue = SweepQueue(self.settings, self.ledger, self.store, Sender(app))
        return queue.ask(jobs, timedelta(hours=12)).record.sweep_id


def row(what: str, *values: str) -> None:
    """Print a line of a table."""
    print(f"{what:<50}" + "".join(f"{value:>16}" for value in values), flush=True)


def cells(spent: Spent) -> tuple[str, ...]:
    """As a row shows it."""
    return tuple(f"{seconds:.2f} s" for seconds in (spent.wall, spent.own, spent.redis))


def median(costs: Sequence[Spent]) -> Spent:
    """The median of each."""
    return Spent(
        statistics.median(c.wall for c in costs),
        statistics.median(c.own for c in costs),
        statistics.median(c.redis for c in costs),
    )
