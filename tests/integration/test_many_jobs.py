"""A hundred thousand jobs wait: what they take of Redis, and how long it takes to ask for them."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet.celery_app import build_app
from driftfleet.jobs import Job, Source
from driftfleet.ledger import RedisLedger
from driftfleet.redis_client import connect
from driftfleet.settings import BrokerSettings, ResultSettings, Settings
from driftfleet.store import open_store
from driftfleet.sweep_id import new_sweep_id
from producer.broker import Broker
from producer.embedded import embedded_redis
from producer.sending import Sender
from producer.sweep_queue import SweepQueue


@pytest.mark.alone("takes less than a minute")
@pytest.mark.timeout(300)
def test_a_hundred_thousand_waiting_jobs(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as redis:
        settings = Settings(broker=BrokerSettings(url=SecretStr(redis.url)))
        client = connect(redis.url)
        ledger = RedisLedger(client)
        store = open_store(ResultSettings(store=f"file://{tmp_path / 'results'}"))
        before = client.info("memory")["used_memory"]
        began = time.monotonic()
        with build_app(settings) as app:
            queue = SweepQueue(settings, ledger, store, Sender(app))
            for number in range(50):
                queue.ask(_sweep(number, ledger.now()))
        took = time.monotonic() - began
        used = client.info("memory")["used_memory"] - before
        print(f"100,000 jobs: {took:.0f} s, {used / 1e6:.0f} MB of Redis")
        assert Broker(client).length() == 100_000
        assert used < 200e6
        assert took < 60
        client.close()


def _sweep(number: int, now: float) -> list[Job]:
    source = Source(
        kind="github",
        repo=f"organisation/infrastructure-{number}",
        ref="main",
        sha="0123456789" * 4,
    )
    sweep_id = new_sweep_id("sweep", datetime.fromtimestamp(now, UTC))
    return [
        Job(sweep_id=sweep_id, source=source, root=f"environments/production/service-{n}")
        for n in range(2000)
    ]
