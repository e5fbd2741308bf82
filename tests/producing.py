"""A producer in this process, whose store and Redis a test may spoil."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from driftfleet.celery_app import build_app
from driftfleet.jobs import Job
from driftfleet.ledger import Answer, RedisLedger
from driftfleet.repository_rule import RepositoryRule
from driftfleet.results import Result, Verdict
from driftfleet.settings import Settings
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from driftfleet.sweep_id import new_sweep_id
from driftfleet.swept import Swept, swept_key
from producer.headquarters import PRODUCER_QUEUE, Headquarters
from producer.notebook import Notebook
from producer.repositories import Wanted
from producer.sending import Sender
from producer.sweep_queue import SweepQueue
from tests.ledgers import job

HOUR = timedelta(hours=1)


def overdue(repo: str) -> Swept:
    """What is kept of a repository that was swept a day ago."""
    then = datetime.now(UTC) - timedelta(days=1)
    return Swept(repo=repo, swept_at=then, first_seen=then)


@dataclass
class Producer:
    """Ticks and sweeps by its settings; messages stay where they are sent to."""

    settings: Settings
    redis: redis.Redis
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = Path(self.settings.results.store.removeprefix("file://"))
        self.store = ResultStore(FileObjects(self.folder))
        self.ledger = RedisLedger(self.redis)
        self.app = build_app(self.settings)

    @property
    def headquarters(self) -> Headquarters:
        return Headquarters(self.app, self.settings, self.environment)

    def tick(self) -> Any:
        return self.headquarters.tick()

    def watch(self, *names: str) -> None:
        """Have these repositories swept each hour."""
        rules = tuple(RepositoryRule(repo=name) for name in names)
        schedule = self.settings.schedule.model_copy(update={"every": HOUR})
        self.settings = self.settings.model_copy(
            update={"repositories": rules, "schedule": schedule}
        )
        wanted = [Wanted(name=name, rule=rule) for name, rule in zip(names, rules, strict=True)]
        Notebook(self.redis).note_roster(rules, wanted)

    def forget_sweep(self, repo: str) -> None:
        """As if it had been swept a day ago."""
        self.redis.delete("driftfleet:swept")
        self.store.keep(swept_key(repo), overdue(repo))
        self.redis.delete(f"driftfleet:once:sweep:{repo}@")

    def sent(self, task: str) -> list[str]:
        """The arguments of what was sent to the producer's own queue."""
        messages: Any = self.redis.lrange(PRODUCER_QUEUE, 0, -1)
        told = [json.loads(message)["headers"] for message in messages]
        return sorted(one.get("argsrepr", "") for one in told if one["task"] == task)

    def ask(self, *roots: str, repo: str = "acme/infra", deadline: timedelta = HOUR) -> list[Job]:
        sweep = new_sweep_id("test", self.now)
        jobs = [job(root, sweep=sweep, repo=repo) for root in roots]
        SweepQueue(self.settings, self.ledger, self.store, Sender(self.app)).ask(jobs, deadline)
        return jobs

    def answer(self, of: Job) -> None:
        """As a worker does that dies before it looks who waits for nothing more."""
        key = self.store.add(self.result(of))
        self.ledger.answer(of, Answer(check=of.identity, verdict=Verdict.CLEAN, key=key))

    def result(self, of: Job) -> Result:
        return Result(job=of, verdict=Verdict.CLEAN, started_at=self.now, finished_at=self.now)

    def closed(self, sweep_id: str) -> bool:
        record = self.store.sweep(sweep_id)
        return record is not None and record.closed_at is not None

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ledger.now(), UTC)

    @property
    def open(self) -> list[str]:
        return list(self.store.open_sweeps())
