"""How much of a sweep waits, runs and was answered, in memory and in a real Redis."""

from collections.abc import Iterator

import pytest
import redis

from driftfleet.jobs import Job, Source
from driftfleet.ledger import Answer, Ask, Counts, Ledger, MemoryLedger, RedisLedger, Running
from driftfleet.redis_client import connect
from driftfleet.results import Verdict
from producer.embedded import embedded_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with (
        embedded_redis(tmp_path_factory.mktemp("r")) as embedded,
        connect(embedded.url) as client,
    ):
        yield client


@pytest.fixture(params=["memory", "redis"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    client = request.getfixturevalue("server")
    client.flushall()
    return RedisLedger(client)


def jobs(sweep_id: str, count: int) -> list[Job]:
    source = Source(kind="github", repo=f"o/{sweep_id}", ref="main", sha="1" * 40)
    return [Job(sweep_id=sweep_id, source=source, root=f"root{n}") for n in range(count)]


def begin(ledger: Ledger, job: Job) -> None:
    assert ledger.begin(job, f"token-{job.root}", {}).outcome == "start"
    running = Running(title=job.title, phase="plan", worker="w", started_at=ledger.now())
    ledger.note(job.sweep_id, job.identity, running)


def answer(ledger: Ledger, job: Job) -> None:
    ledger.answer(job, Answer(check=job.identity, verdict=Verdict.CLEAN), f"token-{job.root}")


def test_a_sweep_that_nobody_opened_counts_nothing(ledger: Ledger) -> None:
    assert ledger.counts(["nobody"]) == [Counts(0, 0, 0)]
    assert ledger.counts([]) == []


def test_what_is_pending_runs_and_was_answered_is_counted(ledger: Ledger) -> None:
    asked = jobs("a", 5)
    ledger.open("a", [Ask.of(job) for job in asked])
    assert ledger.counts(["a"]) == [Counts(5, 0, 0)]
    for job in asked[:3]:
        begin(ledger, job)
    assert ledger.counts(["a"]) == [Counts(5, 3, 0)]
    answer(ledger, asked[0])
    assert ledger.counts(["a"]) == [Counts(4, 2, 1)]
    ledger.release(asked[1], "token-root1")
    assert ledger.counts(["a"]) == [Counts(4, 1, 1)]
    for job in asked[1:]:
        answer(ledger, job)
    assert ledger.counts(["a"]) == [Counts(0, 0, 5)]


def test_each_sweep_is_counted_alone_and_in_the_order_that_was_asked(ledger: Ledger) -> None:
    sizes = {f"s{n}": n % 7 for n in range(600)}
    for sweep_id, size in sizes.items():
        ledger.open(sweep_id, [Ask.of(job) for job in jobs(sweep_id, size)])
    names = sorted(sizes, reverse=True)
    assert [one.pending for one in ledger.counts(names)] == [sizes[name] for name in names]


def test_the_counts_are_those_of_what_is_there(ledger: Ledger) -> None:
    asked = jobs("b", 4)
    ledger.open("b", [Ask.of(job) for job in asked])
    begin(ledger, asked[0])
    answer(ledger, asked[1])
    (counts,) = ledger.counts(["b"])
    assert counts == (
        len(ledger.pending("b")), len(ledger.running("b")), len(ledger.answers("b"))
    )  # fmt: skip


def test_counting_asks_redis_for_no_member(server: redis.Redis) -> None:
    server.flushall()
    server.sadd("driftfleet:sweep:big:pending", *range(100_000))
    server.config_resetstat()
    assert RedisLedger(server).counts(["big"]) == [Counts(100_000, 0, 0)]
    asked = {name.removeprefix("cmdstat_") for name in server.info("commandstats")}
    assert asked <= {"scard", "hlen", "llen", "config|resetstat", "info"}
