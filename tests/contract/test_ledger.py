"""Every ledger keeps the same promises: what sweeps ask for, join, replace, and how they end."""

from pathlib import Path

import pytest
import redis

from driftfleet.errors import BrokerUnavailable
from driftfleet.ledger import Ask, Judged, Ledger, OpenSweep, RedisLedger, Running, keys
from driftfleet.redis_client import connect
from driftfleet.results import Verdict
from producer.embedded import embedded_redis
from tests.ledgers import NO_CAPS, answer, ask, job

RUNNING = Running(title="local/x a default", phase="plan", worker="w1", started_at=1700000000.5)
OLD, NEW = "1" * 40, "2" * 40
EARLIER, LATER = "sweep-20260102T120000-aaaaaa", "sweep-20260102T120001-aaaaaa"


def opened(sweep_id: str, deadline: float = 2e9) -> OpenSweep:
    return OpenSweep(sweep_id=sweep_id, source="acme/infra", asked=1, deadline=deadline)


def test_a_sweep_that_nobody_opened_is_empty(ledger: Ledger) -> None:
    assert ledger.pending("s1") == set()
    assert ledger.running("s1") == {}
    assert ledger.answers("s1") == []
    assert ledger.open_sweeps() == []


def test_what_is_asked_for_is_pending_and_asking_adds(ledger: Ledger) -> None:
    a, b, c = map(job, "abc")
    assert ask(ledger, a, b) == (True, True)
    assert ask(ledger, b, c) == (False, True)
    assert ledger.open("s1", []) == ((), ())
    assert ledger.pending("s1") == {a.identity, b.identity, c.identity}


def test_more_than_fits_into_one_script_is_asked_for_in_its_order(ledger: Ledger) -> None:
    many = [job(f"r{n}") for n in range(1203)]
    ask(ledger, *many[::2])
    assert ask(ledger, *many) == tuple(n % 2 == 1 for n in range(1203))
    assert len(ledger.pending("s1")) == 1203
    ledger.close("s1", [one.identity for one in many])
    assert ledger.pending("s1") == set()


def test_an_answer_ends_pending_and_running(ledger: Ledger) -> None:
    a, b = job("a"), job("b")
    ask(ledger, a, b)
    ledger.note("s1", a.identity, RUNNING)
    ledger.note("s1", b.identity, RUNNING)
    assert ledger.answer(a, answer(a, Verdict.DRIFTED)) == (True, ())
    assert ledger.pending("s1") == {b.identity}
    assert ledger.running("s1") == {b.identity: RUNNING}
    assert ledger.answers("s1") == [answer(a, Verdict.DRIFTED)]


def test_a_second_answer_to_one_check_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    a = job("a")
    ask(ledger, a)
    ledger.answer(a, answer(a))
    ledger.note("s1", a.identity, RUNNING)
    assert ledger.answer(a, answer(a, Verdict.ERROR)) == (False, ())
    assert ledger.answers("s1") == [answer(a)]
    assert ledger.running("s1") == {}


def test_an_answer_that_nobody_asked_for_is_refused(ledger: Ledger) -> None:
    ask(ledger, job("a"))
    stranger = job("stranger")
    assert ledger.answer(stranger, answer(stranger)) == (False, ())
    assert ledger.answers("s1") == []


def test_answers_come_in_their_order_and_from_where_one_asks(ledger: Ledger) -> None:
    jobs = [job(f"r{n}") for n in range(20)]
    ask(ledger, *reversed(jobs))
    for one in jobs:
        ledger.answer(one, answer(one))
    checks = [one.identity for one in jobs]
    assert [one.check for one in ledger.answers("s1")] == checks
    assert [one.check for one in ledger.answers("s1", 17)] == checks[17:]
    assert ledger.answers("s1", 20) == []


def test_a_newer_phase_replaces_the_older(ledger: Ledger) -> None:
    newer = RUNNING.model_copy(update={"phase": "show"})
    ledger.note("s1", "a", RUNNING)
    ledger.note("s1", "a", newer)
    assert ledger.running("s1") == {"a": newer}


# A check is unique while it waits or runs.


def test_a_second_request_joins_what_waits_and_one_answer_is_for_both(ledger: Ledger) -> None:
    first, second, third = (job("a", sweep=f"s{n}") for n in (1, 2, 3))
    assert ask(ledger, first) == (True,)
    assert ask(ledger, second) == ask(ledger, third) == (False,)
    for n in (1, 2, 3):
        ledger.seal(opened(f"s{n}"))
    settled = ledger.answer(first, answer(first), "")
    assert settled.first
    assert set(settled.done) == {"s1", "s2", "s3"}
    for n in (1, 2, 3):
        assert ledger.answers(f"s{n}") == [answer(first)]
        assert ledger.pending(f"s{n}") == set()


def test_a_second_request_joins_what_runs(ledger: Ledger) -> None:
    first, second = job("a"), job("a", sweep="s2")
    ask(ledger, first)
    ledger.begin(first, "t1", NO_CAPS)
    assert ask(ledger, second) == (False,)
    ledger.answer(first, answer(first), "t1")
    assert ledger.answers("s2") == [answer(first)]


def test_whoever_joined_may_be_the_one_that_is_answered(ledger: Ledger) -> None:
    """As where the queue has lost the first one's message, and the second's is sent instead."""
    first, second = job("a"), job("a", sweep="s2")
    ask(ledger, first)
    ask(ledger, second)
    assert ledger.answer(second, answer(second)).first
    assert ledger.answers("s1") == ledger.answers("s2") == [answer(second)]


def test_asking_twice_in_one_sweep_is_asking_once(ledger: Ledger) -> None:
    a = job("a")
    assert (ask(ledger, a), ask(ledger, a)) == ((True,), (False,))
    ledger.seal(opened("s1"))
    assert ledger.answer(a, answer(a)) == (True, ("s1",))
    assert len(ledger.answers("s1")) == 1


def test_after_its_answer_a_check_may_be_asked_for_again(ledger: Ledger) -> None:
    first, second = job("a"), job("a", sweep="s2")
    ask(ledger, first)
    ledger.answer(first, answer(first))
    assert ask(ledger, second) == (True,)
    assert ledger.answers("s2") == []


def test_what_is_urgent_is_sent_though_it_waits_but_not_where_it_runs(ledger: Ledger) -> None:
    a, b, now_a, now_b = job("a"), job("b"), job("a", sweep="s2"), job("b", sweep="s2")
    ask(ledger, a, b)
    ledger.begin(b, "t1", NO_CAPS)
    assert ask(ledger, now_a, now_b, urgent=True) == (True, False)
    ledger.answer(a, answer(a))
    ledger.answer(b, answer(b), "t1")
    assert ledger.pending("s2") == set()


# A newer commit.


def test_a_newer_commit_replaces_what_waits_in_every_sweep_that_waits_for_it(
    ledger: Ledger,
) -> None:
    old = job("a", sha=OLD)
    other = job("b", sha=OLD, sweep="s2")
    ask(ledger, old)
    ask(ledger, job("a", sha=OLD, sweep="s2"), other)
    ledger.seal(opened("s1"))
    ledger.seal(opened("s2"))
    new = job("a", sha=NEW, sweep="s3")
    told = ledger.open("s3", [Ask.of(new)])
    assert told == ((True,), ("s1",))
    for sweep, left in (("s1", set()), ("s2", {other.identity})):
        (replaced,) = ledger.answers(sweep)
        assert (replaced.check, replaced.verdict) == (old.identity, None)
        assert replaced.superseded_by == "s3"
        assert ledger.pending(sweep) == left
    assert ledger.pending("s3") == {new.identity}
    assert ledger.begin(old, "t1", NO_CAPS).outcome == "unwanted"
    assert ledger.begin(new, "t2", NO_CAPS).outcome == "start"


def test_a_newer_commit_leaves_alone_what_runs_and_both_are_answered(ledger: Ledger) -> None:
    old, joined = job("a", sha=OLD), job("a", sha=OLD, sweep="s2")
    ask(ledger, old)
    ask(ledger, joined)
    ledger.begin(old, "t1", NO_CAPS)
    new = job("a", sha=NEW, sweep="s3")
    assert ask(ledger, new) == (True,)
    assert ledger.pending("s1") == ledger.pending("s2") == {old.identity}
    assert ledger.begin(new, "t2", NO_CAPS).outcome == "start"
    assert ledger.renew(old, "t1")
    assert ledger.answer(old, answer(old), "t1").first
    assert ledger.answers("s1") == ledger.answers("s2") == [answer(old)]
    assert ledger.answers("s3") == []
    ledger.answer(new, answer(new), "t2")
    assert ledger.answers("s3") == [answer(new)]


def test_whoever_asked_first_is_answered_though_another_sweeps_message_ran(
    ledger: Ledger,
) -> None:
    """A newer commit takes the place in which it stood who had asked first for what runs."""
    first, second = job("a", sha=OLD), job("a", sha=OLD, sweep="s2")
    ask(ledger, first)
    ask(ledger, second)
    ledger.begin(second, "t1", NO_CAPS)
    ask(ledger, job("a", sha=NEW, sweep="s3"))
    ledger.answer(second, answer(second), "t1")
    assert ledger.answers("s1") == ledger.answers("s2") == [answer(second)]


@pytest.mark.parametrize("how", ["given back", "lost by the queue", "dead"])
def test_what_ran_when_a_newer_commit_came_does_not_begin_again(ledger: Ledger, how: str) -> None:
    """It would be planned after the newer one, and the older commit's answer be the latest."""
    old, joined = job("a", sha=OLD), job("a", sha=OLD, sweep="s2")
    ask(ledger, old)
    ask(ledger, joined)
    ledger.seal(opened("s1"))
    ledger.seal(opened("s2"))
    ledger.begin(old, "t1", NO_CAPS)
    new = job("a", sha=NEW, sweep="s3")
    ask(ledger, new)
    ledger.begin(new, "t2", NO_CAPS)
    ledger.answer(new, answer(new), "t2")
    if how != "dead":
        ledger.release(old, "t1")
    if how == "lost by the queue":
        assert not ledger.put_back("s1", Ask.of(old))
    else:
        begun = ledger.begin(old, "t3", NO_CAPS, over="t1")
        assert (begun.outcome, set(begun.done)) == ("unwanted", {"s1", "s2"})
    for sweep in ("s1", "s2"):
        assert [one.superseded_by for one in ledger.answers(sweep)] == ["s3"]
        assert ledger.pending(sweep) == set()
    assert ledger.leased([old.identity, new.identity]) == set()


def test_a_commit_that_is_asked_for_once_more_is_no_old_one(ledger: Ledger) -> None:
    """As after a push that takes another one back."""
    old, new = job("a", sha=OLD), job("a", sha=NEW, sweep="s2")
    ask(ledger, old)
    ledger.begin(old, "t1", NO_CAPS)
    ask(ledger, new)
    again = job("a", sha=OLD, sweep="s3")
    assert ask(ledger, again) == (False,)  # it runs
    assert [one.superseded_by for one in ledger.answers("s2")] == ["s3"]
    ledger.release(old, "t1")
    assert ledger.begin(old, "t2", NO_CAPS).outcome == "start"
    ledger.answer(old, answer(old), "t2")
    assert ledger.answers("s1") == ledger.answers("s3") == [answer(old)]


@pytest.mark.parametrize("sealed", [False, True])
def test_of_two_sweeps_the_one_that_was_asked_for_later_has_the_newer_commit(
    ledger: Ledger, sealed: bool
) -> None:
    """However late the other comes: it was slow, or is made up for after Redis forgot it."""
    new = job("a", sha=NEW, sweep=LATER)
    old, more = job("a", sha=OLD, sweep=EARLIER), job("b", sha=OLD, sweep=EARLIER)
    ask(ledger, new)
    if sealed:
        ledger.open(EARLIER, [])
        ledger.seal(opened(EARLIER))
    told = ledger.open(EARLIER, [Ask.of(old)])
    assert told == ((False,), (EARLIER,) if sealed else ())
    assert [one.superseded_by for one in ledger.answers(EARLIER)] == [LATER]
    assert ledger.pending(LATER) == {new.identity}
    assert ledger.begin(new, "t1", NO_CAPS).outcome == "start"
    assert ledger.begin(old, "t2", NO_CAPS).outcome == "unwanted"
    assert ask(ledger, more) == (True,)


def test_what_still_runs_is_joined_by_the_older_sweep_that_comes_late(ledger: Ledger) -> None:
    """Its lease was renewed after Redis had forgotten all."""
    old, new = job("a", sha=OLD, sweep=EARLIER), job("a", sha=NEW, sweep=LATER)
    assert ledger.renew(old, "t1")
    ask(ledger, new)
    assert ask(ledger, old) == (False,)
    assert ledger.answers(EARLIER) == []
    ledger.answer(old, answer(old), "t1")
    assert ledger.answers(EARLIER) == [answer(old)]
    assert ledger.pending(LATER) == {new.identity}


def test_nor_does_that_begin_again_where_it_is_given_back(ledger: Ledger) -> None:
    old, new = job("a", sha=OLD, sweep=EARLIER), job("a", sha=NEW, sweep=LATER)
    ledger.renew(old, "t1")
    ask(ledger, new)
    ask(ledger, old)
    ledger.answer(new, answer(new))
    ledger.release(old, "t1")
    assert ledger.begin(old, "t2", NO_CAPS).outcome == "unwanted"
    assert [one.superseded_by for one in ledger.answers(EARLIER)] == [LATER]


# The end of a sweep.


def test_only_a_sealed_sweep_is_done_and_seal_says_where_it_is_so_already(ledger: Ledger) -> None:
    a, b = job("a"), job("b")
    ask(ledger, a)
    assert ledger.answer(a, answer(a)) == (True, ())
    assert ledger.seal(opened("s1")) is True
    ask(ledger, b)
    assert ledger.answer(b, answer(b)) == (True, ("s1",))
    assert ledger.open("s2", []) == ((), ())
    assert ledger.seal(opened("s2")) is True
    ask(ledger, job("c", sweep="s3"))
    assert ledger.seal(opened("s3")) is False
    assert {one.sweep_id for one in ledger.open_sweeps()} == {"s1", "s2", "s3"}


def test_what_was_forgotten_before_all_was_asked_for_is_not_taken_for_answered(
    ledger: Ledger,
) -> None:
    """Redis lost its memory between: the store knows of the sweep, and it is asked for anew."""
    ask(ledger, job("a"))
    ledger.forget("s1")
    assert ledger.seal(opened("s1")) is False
    assert ledger.open_sweeps() == []
    ask(ledger, job("a"))
    assert ledger.seal(opened("s1")) is False
    assert [one.sweep_id for one in ledger.open_sweeps()] == ["s1"]


def test_a_part_that_is_forgotten_counts_as_all(server: redis.Redis) -> None:
    ledger = RedisLedger(server)
    many = [Ask.of(job(f"r{n}")) for n in range(600)]

    class Flushed(list[Ask]):
        """Those of which the first part is forgotten while the second is asked for."""

        def __getitem__(self, part: object) -> object:
            if isinstance(part, slice) and part.start:
                server.flushall()
            return super().__getitem__(part)  # type: ignore[index]

    ledger.open("s1", Flushed(many))
    assert 0 < len(ledger.pending("s1")) < 600
    assert ledger.seal(opened("s1")) is False
    assert ledger.open_sweeps() == []


def test_open_sweeps_are_told_by_deadline_until_they_are_closed(ledger: Ledger) -> None:
    late, soon = opened("s1", 2e9), opened("s2", 1.9e9)
    ledger.open("s1", [])
    ledger.open("s2", [])
    ledger.seal(late)
    ledger.seal(soon)
    assert ledger.open_sweeps() == [soon, late]
    ledger.close("s2")
    assert ledger.open_sweeps() == [late]
    ledger.close("s2")
    ledger.close("s1")
    assert ledger.open_sweeps() == []


def test_a_closed_sweep_waits_for_nothing_and_who_follows_it_still_sees_answers(
    ledger: Ledger,
) -> None:
    a, b = job("a"), job("b")
    ask(ledger, a, b)
    ledger.seal(opened("s1"))
    ledger.answer(a, answer(a))
    ledger.close("s1", [a.identity, b.identity])
    assert ledger.pending("s1") == set()
    assert ledger.answers("s1") == [answer(a)]
    assert ledger.answer(b, answer(b)) == (False, ())
    assert ledger.answers("s1") == [answer(a)]


def test_a_check_that_a_closed_sweep_left_is_joined_and_can_be_put_back(ledger: Ledger) -> None:
    first, second = job("a"), job("a", sweep="s2")
    ask(ledger, first)
    ledger.close("s1", [first.identity])
    assert ask(ledger, second) == (False,)
    assert ledger.put_back("s2", Ask.of(second))
    ledger.answer(second, answer(second))
    assert ledger.answers("s2") == [answer(second)]


def test_sweeps_do_not_meet(ledger: Ledger) -> None:
    ask(ledger, job("a"))
    ask(ledger, job("a", sweep="s2", repo="acme/other"))
    a = job("a")
    ledger.answer(a, answer(a))
    assert len(ledger.pending("s2")) == 1
    assert ledger.answers("s2") == []


def test_what_another_version_or_anybody_wrote_is_passed_over(server: redis.Redis) -> None:
    ledger = RedisLedger(server)
    a = job("a")
    ask(ledger, a)
    ledger.seal(opened("s1"))
    for text in (b"\xff", b'{"check": "x", "colour": "red"}', b"[" * 100_000, b""):
        server.rpush(f"{keys.SWEEP}s1:answered", text)
        server.hset(f"{keys.SWEEP}s1:running", "x", text)
        server.rpush(keys.RECENT, text)
        server.hset(keys.WORKERS, "w", text)
        server.hset(keys.ABOUT, "s1", text)
    server.set(f"{keys.WANT}{job('b').target}", "nonsense")
    server.set(f"{keys.COST}{a.target}", "nonsense")
    assert ledger.answers("s1") == ledger.recent() == ledger.workers() == []
    assert ledger.running("s1") == {}
    assert ledger.open_sweeps() == [OpenSweep(sweep_id="s1", deadline=2e9)]
    assert ask(ledger, job("b")) == (True,)
    assert ledger.begin(a, "t1", NO_CAPS).peak_memory_bytes is None
    assert ledger.answer(a, answer(a), "t1").first
    assert ledger.answers("s1") == [answer(a)]


def test_a_redis_that_is_gone_is_an_error_of_ours(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as embedded:
        client = connect(embedded.url)
        client.ping()
    ledger = RedisLedger(client)
    for call in (
        lambda: ledger.pending("s1"),
        lambda: ledger.begin(job("a"), "t1", NO_CAPS),
        lambda: ledger.put_back("s1", Ask.of(job("a"))),
        ledger.now,
        ledger.open_sweeps,
        lambda: ledger.due(1),
    ):
        with pytest.raises(BrokerUnavailable, match="Redis did not answer"):
            call()
    client.close()


def test_a_sweep_that_is_forgotten_is_asked_for_as_if_it_were_new(ledger: Ledger) -> None:
    a, b, other = job("a"), job("b"), job("a", sweep="s2", repo="acme/other")
    ask(ledger, a, b)
    ask(ledger, other)
    for sweep in ("s1", "s2"):
        ledger.seal(opened(sweep))
    ledger.answer(a, answer(a))
    ledger.forget("s1")
    assert [sweep.sweep_id for sweep in ledger.open_sweeps()] == ["s2"]
    assert ledger.pending("s1") == set()
    assert ledger.pending("s2") == {other.identity}
    # It is wanted still, and whoever has its message may begin.
    assert ledger.begin(b, "token", NO_CAPS).outcome == "start"
    ledger.release(b, "token")
    assert ask(ledger, b) == (False,)
    assert ledger.seal(opened("s1")) is False
    assert ledger.answer(b, answer(b)) == (True, ("s1",))


def test_a_root_without_a_verdict_keeps_the_time_at_which_it_was_met(ledger: Ledger) -> None:
    ledger.note_roots("Acme/Infra", {"a default": Judged(None, 100), "b default": Judged(None, 1)})
    judged = Judged(Verdict.CLEAN, 200)
    ledger.note_roots("acme/infra", {"a default": Judged(None, 200), "c default": judged})
    assert sorted(ledger.roots(["acme/infra"]), key=str) == [judged, Judged(None, 100)]
