"""What the contract tests share: ledgers in memory and in a real Redis, and an S3 for stores."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from driftfleet.aws_client import OwnClient
from driftfleet.ledger import Ledger
from driftfleet.redis_client import connect as connect_redis
from driftfleet.s3_settings import place_of
from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.objects import ObjectStore
from driftfleet.store.s3 import S3Objects
from driftfleet.store.s3_client import connect
from producer.embedded import embedded_redis
from tests.ledgers import MemoryMoments, Moments, RedisMoments
from tests.s3 import S3, have_keys, s3, s3_server

__all__ = ["s3", "s3_server"]


@pytest.fixture(scope="session")
def s3_client(s3_server: S3) -> OwnClient:
    """A client for many stores: to make one takes a while."""
    with pytest.MonkeyPatch.context() as patch:
        have_keys(patch)
        client = OwnClient(partial(connect, s3_server.settings().s3, {}))
        client.get()
    return client


@pytest.fixture(params=["memory", "files", "s3"])
def make_objects(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ObjectStore]:
    if request.param == "memory":
        return MemoryObjects
    if request.param == "files":
        return lambda: FileObjects(tmp_path / "objects")
    s3, client = map(request.getfixturevalue, ("s3", "s3_client"))
    settings = s3.settings()
    return lambda: S3Objects(place_of(settings.store), settings.s3, client)


@pytest.fixture
def objects(make_objects: Callable[[], ObjectStore]) -> ObjectStore:
    return make_objects()


@pytest.fixture
def store(objects: ObjectStore) -> ResultStore:
    return ResultStore(objects)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        client = connect_redis(embedded.url)
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
