"""What the contract tests of ledgers share: each runs in memory, and in a real Redis."""

from collections.abc import Iterator

import pytest
import redis

from driftfleet.ledger import Ledger
from driftfleet.redis_client import connect
from producer.embedded import embedded_redis
from tests.ledgers import MemoryMoments, Moments, RedisMoments


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        client = connect(embedded.url)
        yield client
        client.close()


@pytest.fixture
def server(redis_server: redis.Redis) -> redis.Redis:
    """A Redis that holds nothing."""
    redis_server.flushall()
    return redis_server


@pytest.fixture(params=["memory", "redis"])
def moments(request: pytest.FixtureRequest) -> Moments:
    """A ledger whose time a test moves."""
    if request.param == "memory":
        return MemoryMoments()
    return RedisMoments(request.getfixturevalue("server"))


@pytest.fixture
def ledger(moments: Moments) -> Ledger:
    return moments.ledger
