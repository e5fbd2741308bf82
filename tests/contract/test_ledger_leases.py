"""Leases, tries, waiting, caps: in memory, and in a real Redis."""

import json
import time

import pytest
import redis

from driftfleet.ledger import (
    CLOSED_SECONDS,
    LEASE_SECONDS,
    OPEN_SECONDS,
    Ask,
    Ledger,
    OpenSweep,
    Recent,
    RedisLedger,
    Running,
    WorkerSeen,
    keys,
)
from driftfleet.ledger.records import COST_SECONDS, MOST_RECENT, SEEN_SECONDS
from driftfleet.results import Verdict
from tests.ledgers import NO_CAPS, Moments, answer, ask, job

RUNNING = Running(title="local/x a default", phase="plan", worker="w1", started_at=1700000000.5)
PROD = "account:prod"
STATES = "bucket:states"


def begin(ledger: Ledger, root: str, token: str, *, limit: int = 1, over: str = "") -> str:
    return ledger.begin(job(root, caps=(PROD,)), token, {PROD: limit}, over).outcome


def let_go(ledger: Ledger) -> list[str]:
    return sorted(one.root for one in ledger.due(100))


# Leases.


def test_one_begins_and_another_is_told_who_holds_it_and_for_how_long(ledger: Ledger) -> None:
    a = job("a")
    ask(ledger, a)
    begun = ledger.begin(a, "t1", NO_CAPS)
    assert (begun.outcome, begun.tries, begun.peak_memory_bytes) == ("start", 1, None)
    assert abs(begun.now - ledger.now()) < 30
    held = ledger.begin(a, "t2", NO_CAPS)
    assert (held.outcome, held.holder) == ("held", "t1")
    assert LEASE_SECONDS - 30 < held.seconds <= LEASE_SECONDS
    assert ledger.leased([a.identity, job("b").identity]) == {a.identity}


def test_what_nobody_asked_for_or_was_answered_does_not_begin(ledger: Ledger) -> None:
    a = job("a")
    assert ledger.begin(a, "t1", NO_CAPS) == ("unwanted", 0, 0.0, None, "", 0.0, "", ())
    ask(ledger, a)
    ledger.answer(a, answer(a))
    assert ledger.begin(a, "t1", NO_CAPS).outcome == "unwanted"
    assert ledger.leased([a.identity]) == set()


def test_a_job_begins_for_the_sweep_that_still_waits_though_its_own_is_closed(
    ledger: Ledger,
) -> None:
    first, second = job("a"), job("a", sweep="s2")
    ask(ledger, first)
    ask(ledger, second)
    ledger.close("s1", [first.identity])
    assert ledger.begin(first, "t1", NO_CAPS).outcome == "start"
    ledger.answer(first, answer(first), "t1")
    assert ledger.answers("s2") == [answer(first)]


def test_over_takes_the_lease_of_that_holder_and_of_no_other(ledger: Ledger) -> None:
    a = job("a")
    ask(ledger, a)
    ledger.begin(a, "dead", NO_CAPS)
    assert ledger.begin(a, "t2", NO_CAPS, over="stranger").outcome == "held"
    begun = ledger.begin(a, "t2", NO_CAPS, over="dead")
    assert (begun.outcome, begun.tries) == ("start", 2)
    assert ledger.begin(a, "t3", NO_CAPS, over="dead").holder == "t2"


def test_a_lease_that_nobody_renews_is_gone_after_a_minute(moments: Moments) -> None:
    ledger, a = moments.ledger, job("a")
    ask(ledger, a)
    ledger.begin(a, "t1", NO_CAPS)
    moments.pass_by(LEASE_SECONDS - 10)
    assert ledger.renew(a, "t1")
    moments.pass_by(LEASE_SECONDS - 10)
    assert ledger.begin(a, "t2", NO_CAPS).outcome == "held"
    moments.pass_by(11)
    assert ledger.leased([a.identity]) == set()
    assert ledger.begin(a, "t2", NO_CAPS).tries == 2


def test_renewing_fails_where_somebody_else_has_it_and_not_where_nobody_has(
    moments: Moments,
) -> None:
    ledger, a = moments.ledger, job("a")
    ask(ledger, a)
    ledger.begin(a, "t1", NO_CAPS)
    moments.pass_by(LEASE_SECONDS + 1)
    assert ledger.renew(a, "t1")
    assert ledger.begin(a, "t2", NO_CAPS).outcome == "held"
    moments.pass_by(LEASE_SECONDS + 1)
    ledger.begin(a, "t2", NO_CAPS)
    assert not ledger.renew(a, "t1")
    assert ledger.renew(a, "t2")


def test_a_stranger_releases_nothing(ledger: Ledger) -> None:
    a = job("a")
    ask(ledger, a)
    ledger.begin(a, "t1", NO_CAPS)
    ledger.note("s1", a.identity, RUNNING)
    ledger.release(a, "t0")
    assert ledger.leased([a.identity]) == {a.identity}
    assert ledger.running("s1") == {a.identity: RUNNING}
    assert ledger.begin(a, "t2", NO_CAPS, over="t1").tries == 2


def test_a_late_answer_leaves_another_holder_its_lease(moments: Moments) -> None:
    ledger, a = moments.ledger, job("a")
    ask(ledger, a)
    ledger.begin(a, "t1", NO_CAPS)
    moments.pass_by(LEASE_SECONDS + 1)
    ledger.begin(a, "t2", NO_CAPS)
    assert ledger.answer(a, answer(a), "t1").first
    assert ledger.renew(a, "t2")
    assert not ledger.answer(a, answer(a, Verdict.ERROR), "t2").first
    assert ledger.answers("s1") == [answer(a)]
    assert ledger.leased([a.identity]) == set()


# Tries: starts that were never ended.


def test_a_release_gives_back_the_lease_and_the_try_only_where_it_was_innocent(
    ledger: Ledger,
) -> None:
    a = job("a")
    ask(ledger, a)
    for _ in range(5):
        assert ledger.begin(a, "t1", NO_CAPS).tries == 1
        ledger.note("s1", a.identity, RUNNING)
        ledger.release(a, "t1")
        assert ledger.running("s1") == {}
    tries = []
    for n in range(3):
        tries.append(ledger.begin(a, f"t{n}", NO_CAPS).tries)
        ledger.release(a, f"t{n}", innocent=False)
    assert tries == [1, 2, 3]


def test_an_answer_ends_the_counting(ledger: Ledger) -> None:
    a = job("a")
    ask(ledger, a)
    ledger.begin(a, "t1", NO_CAPS)
    ledger.begin(a, "t2", NO_CAPS, over="t1")
    ledger.release(a, "t2", innocent=False)
    assert ledger.put_back("s1", Ask.of(a)) == 1
    ledger.answer(a, answer(a), "t2")
    ask(ledger, a)
    assert ledger.begin(a, "t3", NO_CAPS).tries == 1
    ledger.release(a, "t3")
    assert ledger.put_back("s1", Ask.of(a)) == 1


def test_to_begin_twice_with_one_token_is_one_start(ledger: Ledger) -> None:
    """The client asks again where the connection broke before the answer came."""
    a = job("a", caps=(PROD,))
    ask(ledger, a)
    for _ in range(3):
        assert ledger.begin(a, "t1", {PROD: 1})[:2] == ("start", 1)
    assert ledger.begin(a, "t2", {PROD: 1}, over="t1").tries == 2


def test_losses_are_counted_for_each_check(ledger: Ledger) -> None:
    a, b = job("a"), job("b")
    ask(ledger, a, b)
    assert [ledger.put_back("s1", Ask.of(a)) for _ in range(3)] == [1, 2, 3]
    assert ledger.put_back("s1", Ask.of(b)) == 1


# Waiting for a time.


def test_what_is_put_off_is_due_when_its_time_has_come_and_taken_once(moments: Moments) -> None:
    ledger = moments.ledger
    ledger.put_off(job("a"), 100)
    ledger.put_off(job("b"), 200)
    ledger.put_off(job("c"), 0)
    assert let_go(ledger) == ["c"]
    assert let_go(ledger) == []
    moments.pass_by(101)
    assert let_go(ledger) == ["a"]
    moments.pass_by(100)
    assert ledger.due(100) == [job("b")]
    assert let_go(ledger) == []


def test_no_more_are_taken_than_one_asks_for_the_oldest_first(moments: Moments) -> None:
    ledger = moments.ledger
    for n in range(7):
        # Minutes: in Redis some seconds pass by themselves where the machine stands still.
        ledger.put_off(job(f"r{n}"), 60 * (7 - n))
    moments.pass_by(60 * 8)
    assert [one.root for one in ledger.due(3)] == ["r6", "r5", "r4"]
    assert len(ledger.due(100)) == 4


def test_the_same_job_put_off_twice_waits_once_and_its_next_attempt_besides(
    moments: Moments,
) -> None:
    ledger = moments.ledger
    ledger.put_off(job("a"), 50)
    ledger.put_off(job("a"), 100)
    ledger.put_off(job("a", attempt=2), 100)
    moments.pass_by(60)
    assert ledger.due(100) == []
    moments.pass_by(50)
    assert sorted(one.attempt for one in ledger.due(100)) == [1, 2]


def test_a_job_comes_back_as_it_was(moments: Moments) -> None:
    whole = job("a/b c", caps=(PROD, STATES), attempt=3)
    moments.ledger.put_off(whole, 0)
    assert moments.ledger.due(1) == [whole]


def test_garbage_among_what_is_due_takes_no_other_with_it(server: redis.Redis) -> None:
    ledger = RedisLedger(server)
    newer = json.dumps({**job("b").wire(), "schema_version": 2, "colour": "red"})
    server.zadd(keys.LATER, {"nonsense": 1, "5": 2, b"\xff": 3, newer: 4, "[" * 100_000: 5})
    ledger.put_off(job("a"), 0)
    assert ledger.due(100) == [job("a")]
    assert server.zcard(keys.LATER) == 0


# Putting back what the queue has lost.


def test_what_is_pending_and_held_by_nobody_is_put_back(moments: Moments) -> None:
    ledger, a = moments.ledger, job("a")
    assert not ledger.put_back("s1", Ask.of(a))
    ask(ledger, a)
    assert ledger.put_back("s1", Ask.of(a))
    ledger.begin(a, "t1", NO_CAPS)
    assert not ledger.put_back("s1", Ask.of(a))
    moments.pass_by(LEASE_SECONDS + 1)
    assert ledger.put_back("s1", Ask.of(a))
    ledger.answer(a, answer(a))
    assert not ledger.put_back("s1", Ask.of(a))


def test_a_put_back_that_races_with_a_worker_ends_in_one_answer(ledger: Ledger) -> None:
    """It was only missing while it went from the list to the worker: now it is there twice."""
    a = job("a")
    ask(ledger, a)
    ledger.seal(OpenSweep(sweep_id="s1", deadline=2e9))
    assert ledger.put_back("s1", Ask.of(a))
    assert ledger.begin(a, "t1", NO_CAPS).outcome == "start"
    assert ledger.begin(a, "t2", NO_CAPS).outcome == "held"
    assert ledger.answer(a, answer(a), "t1") == (True, ("s1",))
    assert ledger.begin(a, "t2", NO_CAPS).outcome == "unwanted"


# Caps.


def test_as_many_run_as_the_cap_allows_and_the_others_are_kept(ledger: Ledger) -> None:
    ask(ledger, *map(job, "abcd"))
    assert [begin(ledger, root, root, limit=2) for root in "abcd"] == [
        "start", "start", "full", "full",
    ]  # fmt: skip
    assert ledger.parked() == [PROD]
    assert let_go(ledger) == []
    assert ledger.leased([job("c").identity]) == set()


def test_an_answer_and_a_release_each_let_the_next_go_on_in_their_order(ledger: Ledger) -> None:
    ask(ledger, *map(job, "abcd"))
    for root in "abcd":
        begin(ledger, root, root)
    a, b = job("a", caps=(PROD,)), job("b", caps=(PROD,))
    ledger.answer(a, answer(a), "a")
    assert let_go(ledger) == ["b"]
    assert begin(ledger, "b", "b") == "start"
    ledger.release(b, "b")
    assert let_go(ledger) == ["c"]
    assert ledger.parked() == [PROD]


def test_a_cap_counts_only_for_who_has_a_limit_for_it(ledger: Ledger) -> None:
    ask(ledger, *map(job, "ab"))
    both = (PROD, STATES)
    assert ledger.begin(job("a", caps=both), "a", {STATES: 1}).outcome == "start"
    begun = ledger.begin(job("b", caps=both), "b", {STATES: 1, PROD: 1})
    assert (begun.outcome, begun.cap) == ("full", STATES)


def test_what_is_full_takes_no_place_of_another_cap(ledger: Ledger) -> None:
    ask(ledger, *map(job, "abc"))
    limits = {PROD: 1, STATES: 1}
    ledger.begin(job("a", caps=(STATES,)), "a", limits)
    assert ledger.begin(job("b", caps=(PROD, STATES)), "b", limits).cap == STATES
    assert ledger.begin(job("c", caps=(PROD,)), "c", limits).outcome == "start"


def test_full_is_no_try(ledger: Ledger) -> None:
    ask(ledger, *map(job, "ab"))
    begin(ledger, "a", "a")
    for _ in range(5):
        begin(ledger, "b", "b")
    ledger.answer(job("a", caps=(PROD,)), answer(job("a")), "a")
    assert ledger.begin(job("b", caps=(PROD,)), "b", {PROD: 1}).tries == 1


def test_the_place_of_a_dead_holder_is_free_for_its_own_check(ledger: Ledger) -> None:
    ask(ledger, *map(job, "ab"))
    begin(ledger, "a", "dead")
    assert begin(ledger, "b", "t2") == "full"
    assert begin(ledger, "a", "t3", over="dead") == "start"
    assert begin(ledger, "b", "t4") == "full"


def test_a_dead_holder_whose_check_finds_the_cap_full_keeps_nothing(moments: Moments) -> None:
    ledger = moments.ledger
    ask(ledger, *map(job, "ab"))
    begin(ledger, "a", "dead", limit=2)
    begin(ledger, "b", "t2", limit=2)
    assert begin(ledger, "a", "t3", limit=1, over="dead") == "full"
    assert ledger.leased([job("a").identity]) == set()
    ledger.answer(job("b", caps=(PROD,)), answer(job("b")), "t2")
    assert let_go(ledger) == ["a"]


def test_a_dead_holders_place_is_free_after_a_minute_and_unpark_lets_the_next_go_on(
    moments: Moments,
) -> None:
    ledger = moments.ledger
    ask(ledger, *map(job, "abcd"))
    for root in "abcd":
        begin(ledger, root, root, limit=2)
    ledger.unpark(PROD, 2)
    assert let_go(ledger) == []
    moments.pass_by(LEASE_SECONDS - 1)
    ledger.renew(job("a", caps=(PROD,)), "a")
    moments.pass_by(2)
    ledger.unpark(PROD, 2)
    assert let_go(ledger) == ["c"]
    assert begin(ledger, "c", "c", limit=2) == "start"
    ledger.unpark(PROD, 1 << 30)
    assert let_go(ledger) == ["d"]
    assert ledger.parked() == []
    ledger.unpark(PROD, 2)


def test_renewing_keeps_the_place_under_a_cap(moments: Moments) -> None:
    ledger = moments.ledger
    ask(ledger, *map(job, "ab"))
    begin(ledger, "a", "a")
    for _ in range(4):
        moments.pass_by(LEASE_SECONDS - 20)
        assert ledger.renew(job("a", caps=(PROD,)), "a")
    assert begin(ledger, "b", "b") == "full"


def test_what_runs_on_counts_again_after_everything_was_forgotten(server: redis.Redis) -> None:
    ledger = RedisLedger(server)
    ask(ledger, job("a"))
    begin(ledger, "a", "a")
    server.flushall()
    ask(ledger, job("b"))
    assert ledger.renew(job("a", caps=(PROD,)), "a")
    assert begin(ledger, "b", "b") == "full"


@pytest.mark.parametrize("why", ["answered", "held"])
def test_a_place_that_is_not_taken_is_handed_on(ledger: Ledger, why: str) -> None:
    """Else those that wait behind would wait until the producer's next look."""
    ask(ledger, *map(job, "abc"))
    for root in "abc":
        begin(ledger, root, root)
    if why == "answered":
        ledger.answer(job("b"), answer(job("b")))
    else:
        ledger.renew(job("b"), "somebody")
    ledger.answer(job("a", caps=(PROD,)), answer(job("a")), "a")
    assert let_go(ledger) == ["b"]
    assert begin(ledger, "b", "b") in ("unwanted", "held")
    assert let_go(ledger) == ["c"]
    assert begin(ledger, "c", "c") == "start"
    assert begin(ledger, "b", "b") in ("unwanted", "held")
    assert let_go(ledger) == []


def test_a_place_is_handed_on_by_who_finds_another_cap_full(ledger: Ledger) -> None:
    limits = {PROD: 1, STATES: 1}
    first, both, last = (
        job("a", caps=(PROD,)),
        job("b", caps=(PROD, STATES)),
        job("c", caps=(PROD,)),
    )
    other = job("d", caps=(STATES,))
    ask(ledger, first, both, last, other)
    ledger.begin(first, "a", limits)
    ledger.begin(other, "d", limits)
    assert ledger.begin(both, "b", limits).cap == PROD
    assert ledger.begin(last, "c", limits).cap == PROD
    ledger.answer(first, answer(first), "a")
    assert let_go(ledger) == ["b"]
    assert ledger.begin(both, "b", limits).cap == STATES
    assert let_go(ledger) == ["c"]


# What is told of the fleet.


def test_what_a_check_took_is_known_when_its_root_begins_again(ledger: Ledger) -> None:
    first, second = job("a"), job("a", sweep="s2", sha="2" * 40)
    ask(ledger, first)
    ledger.begin(first, "t1", NO_CAPS)
    ledger.answer(first, answer(first), "t1", peak_memory_bytes=5000)
    ask(ledger, second, job("b", sweep="s2"))
    assert ledger.begin(second, "t2", NO_CAPS).peak_memory_bytes == 5000
    assert ledger.begin(job("b", sweep="s2"), "t3", NO_CAPS).peak_memory_bytes is None
    ledger.answer(second, answer(second), "t2")
    ask(ledger, first)
    assert ledger.begin(first, "t4", NO_CAPS).peak_memory_bytes == 5000


def test_the_last_answers_of_the_fleet_are_told_newest_first(ledger: Ledger) -> None:
    def recent(n: int) -> Recent:
        return Recent(
            title=f"t{n}", verdict=Verdict.CLEAN, seconds=1.5, finished_at=float(n), worker="w"
        )

    jobs = [job(f"r{n}") for n in range(MOST_RECENT + 5)]
    ask(ledger, *jobs)
    for n, one in enumerate(jobs):
        ledger.answer(one, answer(one), recent=recent(n))
    ledger.answer(jobs[0], answer(jobs[0]), recent=recent(-1))
    told = ledger.recent()
    assert len(told) == MOST_RECENT
    assert told[:2] == [recent(MOST_RECENT + 4), recent(MOST_RECENT + 3)]


def test_workers_are_told_by_name_while_they_say_something(ledger: Ledger) -> None:
    now = round(ledger.now())
    b, a = (WorkerSeen(name=name, slots=4, seen_at=now) for name in "ba")
    gone = WorkerSeen(name="c", slots=4, seen_at=now - SEEN_SECONDS - 1)
    for one in (b, a, gone, a.model_copy(update={"slots": 3}), a):
        ledger.say(one)
    assert ledger.workers() == [a, b]


def test_workers_that_are_gone_are_not_kept_for_ever(server: redis.Redis) -> None:
    ledger = RedisLedger(server)
    now = ledger.now()
    for n in range(50):
        ledger.say(WorkerSeen(name=f"w{n}", slots=4, seen_at=now - SEEN_SECONDS - 50 + n))
    ledger.say(WorkerSeen(name="new", slots=4, seen_at=now))
    assert set(server.hkeys(keys.WORKERS)) == {b"new"}


def test_the_time_is_seconds_since_the_epoch(server: redis.Redis) -> None:
    assert abs(RedisLedger(server).now() - time.time()) < 30


def test_everything_in_redis_expires(server: redis.Redis) -> None:
    ledger = RedisLedger(server)
    capped, waits = job("a", caps=(PROD,)), job("b", caps=(PROD,))
    old, new, done = job("c"), job("c", sweep="s2", sha="2" * 40), job("d")
    ask(ledger, capped, waits, old, done)
    ledger.seal(OpenSweep(sweep_id="s1", deadline=2e9))
    ledger.begin(capped, "t1", {PROD: 1})
    ledger.begin(waits, "t2", {PROD: 1})
    ledger.begin(old, "t3", NO_CAPS)
    ledger.note("s1", capped.identity, RUNNING)
    ask(ledger, new)
    ask(ledger, job("b", sweep="s2"))
    recent = Recent(title="t", verdict=Verdict.CLEAN, seconds=1, finished_at=1, worker="w")
    ledger.answer(done, answer(done), "", recent, peak_memory_bytes=1)
    ledger.put_off(job("e"), 60)
    assert ledger.put_back("s2", Ask.of(job("b", sweep="s2"))) == 1
    ledger.say(WorkerSeen(name="w", slots=1, seen_at=ledger.now()))

    def family(key: bytes) -> str:
        name = key.decode().removeprefix("driftfleet:")
        kind, _, rest = name.partition(":")
        return f"{kind}:{rest.partition(':')[2]}" if kind == "sweep" else kind

    expected = {
        "open": OPEN_SECONDS, "about": OPEN_SECONDS, "later": OPEN_SECONDS,
        "recent": OPEN_SECONDS, "workers": 2 * SEEN_SECONDS, "cost": COST_SECONDS,
        "parked": OPEN_SECONDS, "want": OPEN_SECONDS, "joined": OPEN_SECONDS,
        "outdated": OPEN_SECONDS, "run": LEASE_SECONDS, "tries": OPEN_SECONDS,
        "lost": OPEN_SECONDS, "cap": OPEN_SECONDS, "roots": COST_SECONDS,
        "sweep:opening": OPEN_SECONDS, "sweep:pending": OPEN_SECONDS,
        "sweep:running": OPEN_SECONDS, "sweep:answered": OPEN_SECONDS,
    }  # fmt: skip
    found = {family(key): int(server.ttl(key)) for key in server.scan_iter()}
    assert found.keys() == expected.keys()
    for name, seconds in found.items():
        assert expected[name] - 60 < seconds <= expected[name], name
    ledger.close("s1")
    for part in ("pending", "running", "answered"):
        assert CLOSED_SECONDS - 60 < int(server.ttl(f"{keys.SWEEP}s1:{part}")) <= CLOSED_SECONDS
