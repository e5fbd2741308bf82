"""How much of a sweep waits, runs and was answered, in memory and in a real Redis."""

import redis

from driftfleet.jobs import Job
from driftfleet.ledger import Counts, Ledger, RedisLedger, Running
from tests.ledgers import NO_CAPS, answer, ask, job


def begin(ledger: Ledger, one: Job) -> None:
    assert ledger.begin(one, f"token-{one.root}", NO_CAPS).outcome == "start"
    running = Running(title=one.title, phase="plan", worker="w", started_at=ledger.now())
    ledger.note(one.sweep_id, one.identity, running)


def test_a_sweep_that_nobody_opened_counts_nothing(ledger: Ledger) -> None:
    assert ledger.counts(["nobody"]) == [Counts(0, 0, 0)]
    assert ledger.counts([]) == []


def test_what_is_pending_runs_and_was_answered_is_counted(ledger: Ledger) -> None:
    asked = [job(f"root{n}") for n in range(5)]
    ask(ledger, *asked)
    assert ledger.counts(["s1"]) == [Counts(5, 0, 0)]
    for one in asked[:3]:
        begin(ledger, one)
    assert ledger.counts(["s1"]) == [Counts(5, 3, 0)]
    ledger.answer(asked[0], answer(asked[0]), "token-root0")
    assert ledger.counts(["s1"]) == [Counts(4, 2, 1)]
    ledger.release(asked[1], "token-root1")
    assert ledger.counts(["s1"]) == [Counts(4, 1, 1)]
    for one in asked[1:]:
        ledger.answer(one, answer(one), f"token-{one.root}")
    assert ledger.counts(["s1"]) == [Counts(0, 0, 5)]


def test_each_sweep_is_counted_alone_and_in_the_order_that_was_asked(ledger: Ledger) -> None:
    sizes = {f"s{n}": 1 + n % 7 for n in range(600)}
    for sweep, size in sizes.items():
        ask(ledger, *(job(f"root{n}", sweep=sweep, repo=f"o/{sweep}") for n in range(size)))
    names = sorted(sizes, reverse=True)
    assert [one.pending for one in ledger.counts(names)] == [sizes[name] for name in names]


def test_the_counts_are_those_of_what_is_there(ledger: Ledger) -> None:
    asked = [job(f"root{n}") for n in range(4)]
    ask(ledger, *asked)
    begin(ledger, asked[0])
    ledger.answer(asked[1], answer(asked[1]))
    (counts,) = ledger.counts(["s1"])
    assert counts == (
        len(ledger.pending("s1")), len(ledger.running("s1")), len(ledger.answers("s1"))
    )  # fmt: skip


def test_counting_asks_redis_for_no_member(server: redis.Redis) -> None:
    server.sadd("driftfleet:sweep:big:pending", *range(100_000))
    server.config_resetstat()
    assert RedisLedger(server).counts(["big"]) == [Counts(100_000, 0, 0)]
    told = [name.removeprefix("cmdstat_") for name in server.info("commandstats")]
    # Redis 6 names no subcommands there.
    asked = {name.partition("|")[0] for name in told}
    assert asked <= {"scard", "hlen", "llen", "config", "info"}
