"""Every ledger keeps the same promises: in memory, and in a real Redis."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from driftfleet.errors import BrokerUnavailable
from driftfleet.ledger import (
    EXPIRY_SECONDS,
    Answer,
    Ledger,
    MemoryLedger,
    RedisLedger,
    Running,
    connect,
)
from driftfleet.results import Verdict
from producer.embedded import embedded_redis

RUNNING = Running(title="local/x a default", phase="plan", worker="w1", started_at=1700000000.5)


def answer(check: str, verdict: Verdict = Verdict.CLEAN) -> Answer:
    return Answer(check=check, verdict=verdict, key=f"results/{check}.json")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        client = connect(embedded.url)
        yield client
        client.close()


@pytest.fixture(params=["memory", "redis"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return RedisLedger(request.getfixturevalue("server"))


@pytest.fixture
def sweep() -> str:
    return uuid.uuid4().hex


def test_a_sweep_that_nobody_opened_is_empty(ledger: Ledger, sweep: str) -> None:
    assert ledger.pending(sweep) == set()
    assert ledger.running(sweep) == {}
    assert ledger.answers(sweep) == []


def test_what_is_opened_is_pending_and_opening_adds(ledger: Ledger, sweep: str) -> None:
    ledger.open(sweep, ["a", "b"])
    ledger.open(sweep, ["b", "c"])
    ledger.open(sweep, [])
    assert ledger.pending(sweep) == {"a", "b", "c"}


def test_an_answer_ends_pending_and_running(ledger: Ledger, sweep: str) -> None:
    ledger.open(sweep, ["a", "b"])
    ledger.begin(sweep, "a", RUNNING)
    ledger.begin(sweep, "b", RUNNING)
    assert ledger.answer(sweep, answer("a", Verdict.DRIFTED)) is True
    assert ledger.pending(sweep) == {"b"}
    assert ledger.running(sweep) == {"b": RUNNING}
    assert ledger.answers(sweep) == [answer("a", Verdict.DRIFTED)]


def test_a_second_answer_to_one_check_is_refused_and_changes_nothing(
    ledger: Ledger, sweep: str
) -> None:
    ledger.open(sweep, ["a"])
    ledger.answer(sweep, answer("a", Verdict.CLEAN))
    ledger.begin(sweep, "a", RUNNING)
    assert ledger.answer(sweep, answer("a", Verdict.ERROR)) is False
    assert ledger.answers(sweep) == [answer("a", Verdict.CLEAN)]
    assert ledger.running(sweep) == {}


def test_an_answer_that_nobody_asked_for_is_refused(ledger: Ledger, sweep: str) -> None:
    ledger.open(sweep, ["a"])
    assert ledger.answer(sweep, answer("stranger")) is False
    assert ledger.answers(sweep) == []


def test_answers_come_in_their_order_and_from_where_one_asks(ledger: Ledger, sweep: str) -> None:
    names = [f"check{n}" for n in range(20)]
    ledger.open(sweep, reversed(names))
    for name in names:
        ledger.answer(sweep, answer(name))
    assert [a.check for a in ledger.answers(sweep)] == names
    assert [a.check for a in ledger.answers(sweep, 17)] == names[17:]
    assert ledger.answers(sweep, 20) == []


def test_beginning_again_shows_the_newer_phase(ledger: Ledger, sweep: str) -> None:
    ledger.begin(sweep, "a", RUNNING)
    newer = RUNNING.model_copy(update={"phase": "show"})
    ledger.begin(sweep, "a", newer)
    assert ledger.running(sweep) == {"a": newer}


def test_sweeps_do_not_meet(ledger: Ledger, sweep: str) -> None:
    other = uuid.uuid4().hex
    ledger.open(sweep, ["a"])
    ledger.open(other, ["a"])
    ledger.answer(sweep, answer("a"))
    assert ledger.pending(other) == {"a"}
    assert ledger.answers(other) == []


def test_tries_are_counted_for_each_task(ledger: Ledger) -> None:
    task, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert [ledger.count_try(task) for _ in range(3)] == [1, 2, 3]
    assert ledger.count_try(other) == 1


def test_everything_in_redis_expires(server: redis.Redis, sweep: str) -> None:
    server.flushall()
    ledger = RedisLedger(server)
    ledger.open(sweep, ["a", "b"])
    ledger.begin(sweep, "a", RUNNING)
    ledger.begin(sweep, "b", RUNNING)
    ledger.answer(sweep, answer("a"))
    ledger.count_try("task")
    keys = list(server.scan_iter())
    assert len(keys) == 4
    for key in keys:
        assert EXPIRY_SECONDS - 60 < server.ttl(key) <= EXPIRY_SECONDS


def test_a_redis_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as embedded:
        client = connect(embedded.url)
        client.ping()
    with pytest.raises(BrokerUnavailable, match="Redis did not answer"):
        RedisLedger(client).pending("sweep")
    client.close()
