"""What ticks remember between them, in a real Redis."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from driftfleet.errors import BrokerUnavailable
from driftfleet.github.repositories import Repository
from driftfleet.redis_client import connect
from driftfleet.repository_rule import RepositoryRule
from driftfleet.swept import Swept, swept_key
from producer.embedded import embedded_redis
from producer.notebook import Notebook
from producer.repositories import Wanted

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NAMED = RepositoryRule(repo="acme/infra", ref="v1")
LISTED = RepositoryRule(org="acme", archived=True)
DAY, MONTH = 86_400, 30 * 86_400


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def notebook(client: redis.Redis) -> Notebook:
    return Notebook(client)


def repository(name: str) -> Repository:
    return Repository(full_name=name, default_branch="main", topics=("infra",))


def roster() -> list[Wanted]:
    return [
        Wanted(name="acme/infra", rule=NAMED, ref="v1"),
        Wanted(name="acme/web", rule=LISTED, archived=True, listed=repository("acme/web")),
    ]


def test_the_first_who_asks_is_the_one_until_the_time_is_over(
    notebook: Notebook, client: redis.Redis
) -> None:
    assert [notebook.once("x", 60) for _ in range(3)] == [True, False, False]
    assert notebook.once("y", 60)
    assert 0 < int(client.ttl("driftfleet:once:x")) <= 60  # type: ignore[arg-type]
    notebook.again("x")
    assert notebook.once("x", 60)


def test_of_many_who_ask_at_once_one_is_the_first(redis_url: str, client: redis.Redis) -> None:
    clients = [connect(redis_url) for _ in range(10)]
    try:
        assert sum(Notebook(one).once("x", 60) for one in clients) == 1
    finally:
        for one in clients:
            one.close()


def test_to_hold_is_to_let_nobody_be_the_first_for_that_time(
    notebook: Notebook, client: redis.Redis
) -> None:
    notebook.once("x", 5)
    notebook.hold("x", 300)
    assert not notebook.once("x", 5)
    assert 290 < int(client.ttl("driftfleet:once:x")) <= 300  # type: ignore[arg-type]
    notebook.hold("never", 0)
    # Redis rounds; and it may be over by now.
    assert int(client.ttl("driftfleet:once:never")) in (1, 0, -2)  # type: ignore[arg-type]


def test_a_list_is_known_until_the_rules_are_others(notebook: Notebook) -> None:
    rules = (NAMED, LISTED)
    assert notebook.roster(rules) is None
    notebook.note_roster(rules, roster())
    assert notebook.roster(rules) == roster()
    assert notebook.roster((NAMED,)) is None
    assert notebook.roster((LISTED, NAMED)) is None
    notebook.note_roster(rules, [])
    assert notebook.roster(rules) == []


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "5", "[]", "{}", '{"rules": []}',
     json.dumps({"rules": [NAMED.model_dump(mode="json")], "repositories": 5}),
     json.dumps({"rules": [NAMED.model_dump(mode="json")], "repositories": [[7, "a/b", None]]}),
     json.dumps({"rules": [NAMED.model_dump(mode="json")], "repositories": [[0]]}),
     json.dumps({"rules": [NAMED.model_dump(mode="json")], "repositories": [[0, 5, None]]}),
     json.dumps({"rules": [NAMED.model_dump(mode="json")], "repositories": [[0, "a/b", {"x": 1}]]}),
     "[" * 100_000],
    ids=lambda text: str(text)[:30],
)  # fmt: skip
def test_a_list_that_another_wrote_is_none(
    notebook: Notebook, client: redis.Redis, text: str
) -> None:
    client.set("driftfleet:roster", text)
    assert notebook.roster((NAMED,)) is None


def test_what_is_known_of_repositories_is_known_by_its_key_in_the_store(
    notebook: Notebook, client: redis.Redis
) -> None:
    a = Swept(repo="Acme/Infra", swept_at=NOON, first_seen=NOON, checks=3)
    b = Swept(repo="acme/infra", ref="v1", first_seen=NOON)
    assert notebook.swept() == {}
    notebook.note_swept({})
    notebook.note_swept({a.key: a, b.key: b})
    assert notebook.swept() == {swept_key("acme/infra"): a, swept_key("acme/infra", "v1"): b}
    later = a.model_copy(update={"checks": 4})
    notebook.note_swept({later.key: later})
    assert notebook.swept_of(a.key) == later
    assert notebook.swept_of("swept/acme/other.json") is None
    client.hset("driftfleet:swept", mapping={"x": "no JSON", "y": a.model_dump_json(), b"\xff": ""})
    assert set(notebook.swept()) == {a.key, b.key}


def test_everything_expires(notebook: Notebook, client: redis.Redis) -> None:
    notebook.once("x", 60)
    notebook.note_roster((NAMED, LISTED), roster())
    one = Swept(repo="acme/infra", first_seen=NOON)
    notebook.note_swept({one.key: one})
    found = {key.decode(): int(client.ttl(key)) for key in client.scan_iter()}  # type: ignore[arg-type]
    assert found.keys() == {"driftfleet:once:x", "driftfleet:roster", "driftfleet:swept"}
    assert 0 < found["driftfleet:once:x"] <= 60
    assert DAY - 60 < found["driftfleet:roster"] <= DAY
    assert MONTH - 60 < found["driftfleet:swept"] <= MONTH


def test_a_redis_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as embedded:
        client = connect(embedded.url)
        client.ping()
    notebook = Notebook(client)
    for call in (
        lambda: notebook.once("x", 1),
        lambda: notebook.hold("x", 1),
        lambda: notebook.again("x"),
        lambda: notebook.roster((NAMED,)),
        lambda: notebook.note_roster((NAMED,), []),
        notebook.swept,
    ):
        with pytest.raises(BrokerUnavailable):
            call()
    client.close()
