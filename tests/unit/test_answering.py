"""A job that came from the queue, to its end: answered once, put off, or given back."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftfleet.cap_settings import CapSettings
from driftfleet.errors import (
    CheckFailed,
    GitHubUnavailable,
    InstallUnavailable,
    StoreUnavailable,
)
from driftfleet.jobs import Job
from driftfleet.ledger import LEASE_SECONDS, Answer, Running
from driftfleet.results import CheckError, ErrorKind, error_result
from tests.desks import BROKEN, World, made
from tests.ledgers import NO_CAPS, ask, job
from worker.answering import MOST_DELIVERIES
from worker.desk import GiveBack
from worker.drain import Drain, Interrupted
from worker.lease import new_token

PASSING = CheckFailed("source", "plan_failed", "throttled", transient=True)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from made(tmp_path)


# Answered.


def test_an_answer_is_stored_noted_and_closes_the_sweep_with_the_last_one(world: World) -> None:
    a, b = world.sweep("a", "b")
    world.attend(a)
    record = world.store.sweep(a.sweep_id)
    assert record is not None
    assert record.closed_at is None
    world.attend(b)
    assert [one.check for one in world.answers(a)] == [a.identity, b.identity]
    record = world.store.sweep(a.sweep_id)
    assert record is not None
    assert record.closed_at is not None
    assert (set(record.answered), record.missing) == ({a.title, b.title}, ())
    assert world.ledger.open_sweeps() == []
    assert world.is_free(a)
    assert world.due_after(10_000) == []


def test_what_is_answered_tells_whoever_looks_at_the_fleet(world: World) -> None:
    (a,) = world.sweep("a")
    running: list[Running] = []
    world.place.act = lambda: running.extend(world.ledger.running(a.sweep_id).values())
    world.attend(a)
    ((phase, worker),) = {(one.phase, one.worker) for one in running}
    assert (phase, worker) == ("source", "w1")
    (recent,) = world.ledger.recent()
    assert (recent.title, recent.error, recent.worker) == (a.title, "source_missing", "w1")
    assert world.ledger.running(a.sweep_id) == {}


def test_the_time_of_an_answer_is_that_of_redis_whatever_the_workers_clock_says(
    world: World,
) -> None:
    (a,) = world.sweep("a")
    before = world.now
    world.attend(a)
    result = world.result(a)
    assert before <= result.started_at <= result.finished_at <= world.now


def test_so_it_is_for_what_was_never_planned(world: World) -> None:
    a, b, c = world.sweep("a", "b", "c")
    for n in range(MOST_DELIVERIES):
        world.ledger.begin(a, f"dead{n}", NO_CAPS, over=f"dead{n - 1}")
    world.passed += LEASE_SECONDS + 1
    world.attend(a)
    world.place.failure = GitHubUnavailable("503")
    world.attend(b.model_copy(update={"attempt": 5}))
    error = CheckError(phase="source", kind=ErrorKind.JOB_REFUSED, message="m")
    world.desk.refuse(c, error_result(c, error, "w1"))
    for answer in world.answers(a):
        result = world.store.get(answer.key)
        assert result is not None
        assert timedelta(0) <= world.now - result.finished_at < timedelta(minutes=2)


def test_what_was_answered_or_replaced_meanwhile_is_left_alone(world: World) -> None:
    (a,) = world.sweep("a")
    world.ledger.answer(a, Answer(check=a.identity, key="k"))
    world.attend(a)
    assert world.place.fetched == []
    assert world.due_after(10_000) == []
    assert world.stored() == []


def test_a_sweep_that_a_newer_commit_ended_is_closed_by_who_finds_out(world: World) -> None:
    (old,) = world.sweep("a")
    world.ledger.begin(old, "dead", NO_CAPS)
    world.passed += 2
    (new,) = world.sweep("a", sha="2" * 40)
    world.passed += LEASE_SECONDS
    world.attend(old, again=True)
    assert world.place.fetched == []
    record = world.store.sweep(old.sweep_id)
    assert record is not None
    assert record.superseded == (old.title,)
    assert record.closed_at is not None
    world.attend(new)
    assert world.place.fetched == [new]


def test_a_record_that_cannot_be_read_keeps_nobody_from_answering(world: World) -> None:
    (a,) = world.sweep("a")
    world.objects.put(f"sweeps/{a.sweep_id}.json", b"{}")
    world.objects.put(f"open/{a.sweep_id}.json", b"{}")
    world.attend(a)
    assert world.kind(a) is ErrorKind.SOURCE_MISSING


# Tried again.


def test_what_may_pass_is_put_off_and_takes_no_slot_while_it_waits(world: World) -> None:
    (a,) = world.sweep("a")
    world.place.failure = GitHubUnavailable("rate limit", retry_after_seconds=40)
    world.attend(a)
    assert world.stored() == []
    assert world.answers(a) == []
    assert world.is_free(a)
    assert world.due_after(39) == []
    assert world.due_after(22) == [a.model_copy(update={"attempt": 2})]
    # It was no try that ended a worker.
    assert world.ledger.begin(a, "t", NO_CAPS).tries == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (GitHubUnavailable("HTTP 503"), ErrorKind.SOURCE_UNREACHABLE),
        (InstallUnavailable("no route"), ErrorKind.VERSION),
    ],
)
def test_what_never_passes_is_given_up_and_says_how_often_it_was_tried(
    world: World, failure: Exception, kind: ErrorKind
) -> None:
    (a,) = world.sweep("a")
    world.place.failure = failure
    attempt: Job | None = a
    tried = 0
    while attempt is not None:
        tried += 1
        world.attend(attempt)
        attempt = next(iter(world.due_after(4000)), None)
    assert tried == 5
    error = world.result(a).error
    assert error is not None
    assert (error.kind, error.transient) == (kind, True)
    assert error.message == f"{failure} (tried 5 times)"


def test_an_answer_that_may_be_another_is_kept_only_after_the_last_try(world: World) -> None:
    (a,) = world.sweep("a")
    world.place.failure = PASSING
    world.attend(a)
    (second,) = world.due_after(4000)
    world.attend(second)
    assert world.stored() == []
    (third,) = world.due_after(4000)
    world.attend(third)
    assert third.attempt == 3
    assert world.kind(a) is ErrorKind.PLAN_FAILED
    assert world.due_after(4000) == []


@pytest.mark.parametrize("failure", [PASSING, GitHubUnavailable("503")])
def test_one_attempt_is_answered_at_once(tmp_path: Path, failure: Exception) -> None:
    for world in made(tmp_path, attempts=1):
        (a,) = world.sweep("a")
        world.place.failure = failure
        world.attend(a)
        assert len(world.answers(a)) == 1
        assert world.due_after(4000) == []


@pytest.mark.parametrize("attempt", [1, 1000])
def test_while_the_store_is_away_the_job_waits_however_often(world: World, attempt: int) -> None:
    (a,) = world.sweep("a")
    world.objects.failure = StoreUnavailable("the bucket is not there")
    world.attend(a.model_copy(update={"attempt": attempt}))
    assert world.answers(a) == []
    assert world.is_free(a)
    (again,) = world.due_after(500)
    assert again.attempt == attempt + 1
    world.attend(again)
    assert len(world.answers(a)) == 1


# Deaths.


def test_the_fourth_delivery_of_what_takes_its_worker_down_is_answered_worker_lost(
    world: World,
) -> None:
    (a,) = world.sweep("a")
    for n in range(MOST_DELIVERIES):
        assert world.ledger.begin(a, f"dead{n}", NO_CAPS).outcome == "start"
        world.passed += LEASE_SECONDS + 1
    world.attend(a, again=True)
    assert world.place.fetched == []
    assert world.kind(a) is ErrorKind.WORKER_LOST
    assert world.due_after(4000) == []


def test_the_third_delivery_is_planned(world: World) -> None:
    (a,) = world.sweep("a")
    for n in range(MOST_DELIVERIES - 1):
        world.ledger.begin(a, f"dead{n}", NO_CAPS)
        world.passed += LEASE_SECONDS + 1
    world.attend(a, again=True)
    assert world.kind(a) is ErrorKind.SOURCE_MISSING


def test_tries_that_were_put_off_or_ended_from_outside_count_for_nothing(world: World) -> None:
    (a,) = world.sweep("a")
    world.place.failure = GitHubUnavailable("503")
    for attempt in (1, 2, 3, 4):
        world.attend(a.model_copy(update={"attempt": attempt}))
    world.place.failure = SystemExit(1)  # type: ignore[assignment]
    for _ in range(5):
        with pytest.raises(SystemExit):
            world.attend(a)
        assert world.is_free(a)
    world.place.failure = BROKEN
    world.attend(a)
    assert world.kind(a) is ErrorKind.SOURCE_MISSING


def test_what_was_stored_and_not_noted_is_noted_and_not_planned_again(world: World) -> None:
    (a,) = world.sweep("a")
    world.ledger.away = frozenset({"answer"})
    with pytest.raises(GiveBack):
        world.attend(a)
    assert len(world.stored()) == 2
    assert world.answers(a) == []
    assert world.is_free(a)
    world.ledger.away = frozenset()
    world.attend(a, again=True)
    assert len(world.place.fetched) == 1
    assert world.kind(a) is ErrorKind.SOURCE_MISSING
    assert world.is_free(a)
    record = world.store.sweep(a.sweep_id)
    assert record is not None
    assert record.closed_at is not None


def test_an_answer_from_before_the_sweep_is_none(world: World) -> None:
    (a,) = world.sweep("a")
    world.attend(a)
    world.passed += 60
    (later,) = world.sweep("a")
    world.attend(later, again=True)
    assert len(world.place.fetched) == 2
    assert len(world.answers(later)) == 1


@pytest.mark.parametrize("again", [False, True])
def test_only_a_job_that_came_before_is_looked_for_in_the_store(world: World, again: bool) -> None:
    """On S3 it takes its time."""
    (a,) = world.sweep("a")
    asked: list[bool] = []
    world.place.act = lambda: asked.append(world.objects.asked > 0)
    world.objects.asked = 0
    world.attend(a, again=again)
    assert asked == [again]


# Others who hold it.


def test_what_the_living_hold_is_put_off_until_they_must_have_said_so_again(world: World) -> None:
    (a,) = world.sweep("a")
    world.ledger.begin(a, new_token(), NO_CAPS)
    world.attend(a)
    assert world.place.fetched == []
    assert world.due_after(LEASE_SECONDS - 1) == []
    assert world.due_after(3) == [a]


def test_what_the_dead_of_this_host_hold_begins_at_once(world: World) -> None:
    (a,) = world.sweep("a")
    place, pid, started, rest = new_token().split("|")
    world.ledger.begin(a, "|".join((place, pid, str(int(started) - 1), rest)), NO_CAPS)
    world.attend(a)
    assert len(world.answers(a)) == 1


def test_a_frozen_worker_finds_that_somebody_else_has_it_and_drops_its_answer(
    world: World,
) -> None:
    (a,) = world.sweep("a")

    def freeze() -> None:
        world.passed += LEASE_SECONDS + 1
        assert world.ledger.begin(a, "t2", NO_CAPS).outcome == "start"

    world.place.act = freeze
    world.attend(a)
    assert world.stored() == []
    assert world.answers(a) == []
    assert world.ledger.renew(a, "t2")
    assert world.due_after(4000) == []


def test_a_frozen_worker_that_nobody_took_over_from_answers(world: World) -> None:
    (a,) = world.sweep("a")

    def freeze() -> None:
        world.passed += 10 * LEASE_SECONDS

    world.place.act = freeze
    world.attend(a)
    assert len(world.answers(a)) == 1


def test_what_finds_its_cap_full_waits_in_redis_for_its_turn(tmp_path: Path) -> None:
    for world in made(tmp_path, caps=CapSettings(account=1)):
        a, b = world.sweep("a", "b", caps=("account:prod",))
        world.ledger.begin(b, "t2", {"account:prod": 1})
        world.attend(a)
        assert world.place.fetched == []
        assert world.due_after(0) == []
        world.ledger.answer(b, Answer(check=b.identity, key="k"), "t2")
        assert world.due_after(0) == [a]


def test_what_finds_no_room_on_this_machine_is_put_off_and_is_no_try(world: World) -> None:
    (a,) = world.sweep("a")
    world.machine.free_bytes = 0
    for _ in range(MOST_DELIVERIES + 2):
        world.attend(a)
        assert world.place.fetched == []
        assert world.is_free(a)
        assert world.due_after(60) == [a]
    world.machine.free_bytes = 1 << 40
    world.attend(a)
    assert world.kind(a) is ErrorKind.SOURCE_MISSING


@pytest.mark.parametrize("over", [False, True])
def test_who_has_no_room_keeps_its_slot_for_a_moment_and_takes_no_other_job_meanwhile(
    world: World, *, over: bool
) -> None:
    """Else it would take all that waits from workers that have room; but not when it ends."""
    (a,) = world.sweep("a")
    world.machine.free_bytes = 0
    if over:
        world.drain.end()
    world.attend(a)
    assert sum(world.slept) == (0 if over else 5)


# The worker's end, and Redis'.


def test_when_the_worker_ends_its_check_is_given_back_and_nothing_is_left_of_it(
    world: World,
) -> None:
    (a,) = world.sweep("a")

    def take_long() -> None:
        world.drain.end()
        threading.Event().wait(60)

    world.place.act = take_long
    with pytest.raises(Interrupted, match="the worker ends"):
        world.attend(a)
    assert world.stored() == []
    assert world.is_free(a)
    assert world.ledger.running(a.sweep_id) == {}
    world.place.act = lambda: None
    world.desk = replace(world.desk, drain=Drain(60))
    world.attend(a, again=True)
    assert len(world.answers(a)) == 1


@pytest.mark.parametrize("call", ["begin", "put_off"])
def test_where_redis_takes_nothing_the_message_is_to_come_back(world: World, call: str) -> None:
    (a,) = world.sweep("a")
    world.place.failure = GitHubUnavailable("503")
    world.ledger.away = frozenset({call})
    with pytest.raises(GiveBack, match="refused"):
        world.attend(a)
    world.ledger.away = frozenset()
    assert world.is_free(a)
    assert world.ledger.begin(a, "t", NO_CAPS).tries == 1


def test_a_redis_that_is_away_while_it_runs_ends_no_check(world: World) -> None:
    (a,) = world.sweep("a")

    def back() -> None:
        world.ledger.away = frozenset({"renew"})

    world.ledger.away = frozenset({"note", "renew"})
    world.place.act = back
    world.attend(a)
    assert len(world.answers(a)) == 1


# What nobody expects.


@pytest.mark.parametrize("failure", [ValueError("odd"), MemoryError(), RecursionError()])
def test_what_cannot_be_stored_is_answered_with_an_error_of_ours(
    world: World, failure: Exception
) -> None:
    (a,) = world.sweep("a")
    world.objects.failure = failure
    world.attend(a)
    assert world.kind(a) is ErrorKind.INTERNAL
    assert world.now - world.result(a).finished_at < timedelta(minutes=1)


def test_a_job_for_whose_answer_there_is_no_memory_does_not_come_back_for_ever(
    world: World,
) -> None:
    (a,) = world.sweep("a")
    world.objects.failure = MemoryError()
    world.objects.for_ever = True
    for _ in range(MOST_DELIVERIES):
        with pytest.raises(MemoryError):
            world.attend(a)
        assert world.is_free(a)
    world.objects.failure = None
    world.attend(a)
    assert world.kind(a) is ErrorKind.WORKER_LOST


def test_a_source_that_raises_what_it_should_not_is_answered(world: World) -> None:
    (a,) = world.sweep("a")
    world.place.failure = CheckFailed("source", "source_missing", "half a character: \ud800")
    world.attend(a)
    assert len(world.answers(a)) == 1


def test_a_sweep_id_that_somebody_made_up_is_answered_as_any_other(world: World) -> None:
    one = job("a", sweep="sweep-99999999T999999-abcdef")
    ask(world.ledger, one)
    world.attend(one, again=True)
    assert world.kind(one) is ErrorKind.SOURCE_MISSING


def refuse(world: World, one: Job) -> None:
    error = CheckError(phase="source", kind=ErrorKind.JOB_REFUSED, message="m")
    world.desk.refuse(one, error_result(one, error, "w1"))


def test_a_refused_job_is_answered_and_closes_its_sweep(world: World) -> None:
    (a,) = world.sweep("a")
    refuse(world, a)
    assert world.kind(a) is ErrorKind.JOB_REFUSED
    record = world.store.sweep(a.sweep_id)
    assert record is not None
    assert record.closed_at is not None
    assert world.is_free(a)


def test_a_refused_job_that_nobody_waits_for_writes_nothing(world: World) -> None:
    refuse(world, job("a"))
    (b,) = world.sweep("b")
    world.ledger.begin(b, "t2", NO_CAPS)
    refuse(world, b)
    assert world.stored() == []
    assert world.ledger.renew(b, "t2")


def test_where_a_refusal_cannot_be_kept_the_check_is_missing_until_it_is_put_back(
    world: World,
) -> None:
    (a,) = world.sweep("a")
    world.objects.failure = StoreUnavailable()
    refuse(world, a)
    assert world.answers(a) == []
    assert world.is_free(a)
    for call in ("begin", "answer"):
        world.ledger.away = frozenset({call})
        with pytest.raises(GiveBack):
            refuse(world, a)
    assert world.ledger.pending(a.sweep_id) == {a.identity}


def test_who_was_frozen_past_its_lease_answers_no_newer_request_with_what_it_saw_before(
    world: World,
) -> None:
    (a,) = world.sweep("a")

    def meanwhile() -> None:
        world.passed += LEASE_SECONDS + 1
        # Another worker has answered, and somebody asks again.
        other = error_result(a, CheckError(phase="plan", kind=ErrorKind.HCL, message="m"), "w2")
        moved = {name: datetime.fromtimestamp(world.ledger.now(), UTC)
                 for name in ("started_at", "finished_at")}  # fmt: skip
        result = other.model_copy(update=moved)
        answer = Answer(check=a.identity, verdict=result.verdict, key=world.store.add(result))
        world.ledger.answer(a, answer)
        ask(world.ledger, a.model_copy(update={"sweep_id": "s2"}))

    world.place.act = meanwhile
    world.attend(a)
    assert world.ledger.pending("s2") == {a.identity}
    assert world.ledger.leased([a.identity]) == set()
    latest = world.store.latest_of(a)
    assert latest is not None
    assert latest.result.worker == "w2"
