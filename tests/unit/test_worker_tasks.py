"""What a worker's tasks do with a message: answer it, refuse it, give it back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from celery import Celery
from celery.app.task import Task
from celery.exceptions import Reject

from driftfleet.heartbeat import HEARTBEAT_KEY, HEARTBEAT_TASK, Heartbeat
from driftfleet.results import ErrorKind
from tests.desks import World, made
from worker.drain import Interrupted
from worker.tasks import register


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from made(tmp_path)


@pytest.fixture(autouse=True)
def _context() -> Iterator[None]:
    """What a task binds to the log is not to be told by other tests."""
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited for, in no time."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture
def task(world: World) -> Iterator[Task]:
    with Celery("test", broker="memory://", set_as_current=False) as app:
        app.conf.task_ignore_result = True
        yield register(app, world.desk)


def state(task: Task, *arguments: Any, **headers: Any) -> str:
    """What becomes of a message of these arguments."""
    task.push_request(**headers)
    try:
        task.run(*arguments)
    except Reject as reject:
        return "comes back" if reject.requeue else "is lost"
    finally:
        task.pop_request()
    return "acknowledged"


def test_a_job_is_answered_and_its_message_acknowledged(world: World, task: Task) -> None:
    (a,) = world.sweep("a")
    assert state(task, a.wire(), sent_at=time.time() - 5) == "acknowledged"
    assert world.kind(a) is ErrorKind.SOURCE_MISSING
    assert 5 <= world.result(a).timings_seconds.wait < 15


@pytest.mark.parametrize("redelivered", [False, True])
def test_only_a_message_that_is_delivered_again_is_looked_for_in_the_store(
    world: World, task: Task, waits: list[float], redelivered: bool
) -> None:
    (a,) = world.sweep("a")
    world.ledger.away = frozenset({"answer"})
    assert state(task, a.wire()) == "comes back"
    world.ledger.away = frozenset()
    state(task, a.wire(), delivery_info={"redelivered": redelivered})
    assert len(world.place.fetched) == (1 if redelivered else 2)


def test_what_redis_did_not_take_comes_back_after_a_moment(
    world: World, task: Task, waits: list[float]
) -> None:
    (a,) = world.sweep("a")
    world.ledger.away = frozenset({"begin"})
    assert state(task, a.wire()) == "comes back"
    assert waits == [1.0]
    world.ledger.away = frozenset()
    assert state(task, a.wire()) == "acknowledged"


def test_what_is_ended_with_its_worker_comes_back_at_once(
    world: World, task: Task, waits: list[float]
) -> None:
    (a,) = world.sweep("a")

    def end() -> None:
        raise Interrupted("the worker ends")

    world.place.act = end
    assert state(task, a.wire()) == "comes back"
    assert 1.0 not in waits
    assert world.answers(a) == []


def test_without_memory_it_comes_back_and_the_main_process_lives(world: World, task: Task) -> None:
    (a,) = world.sweep("a")
    world.objects.failure = MemoryError()
    world.objects.for_ever = True
    assert state(task, a.wire()) == "comes back"


# What is no job of this version.


@pytest.mark.parametrize(
    "more",
    [
        {"schema_version": 2},
        {"schema_version": 2, "colour": "red"},
        {"colour": "red"},
        {"half \ud800": "a character"},
        {f"key{n}": n for n in range(5000)},
    ],
    ids=lambda more: str(list(more))[:30].encode("ascii", "replace").decode(),
)
def test_a_job_of_another_version_is_answered_as_far_as_it_names_a_check(
    world: World, task: Task, more: dict[str, Any]
) -> None:
    (a,) = world.sweep("a")
    assert state(task, {**a.wire(), **more}) == "acknowledged"
    error = world.result(a).error
    assert error is not None
    assert (error.kind, error.transient) == (ErrorKind.JOB_REFUSED, False)
    assert "same version" in error.message
    assert len(error.message) < 5000
    assert world.place.fetched == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [None],
        [5],
        ["a job"],
        [[]],
        [{}],
        [{"schema_version": 1}],
        [{"sweep_id": "s1", "source": {"kind": "local", "repo": "/"}, "root": "../.."}],
        [{"sweep_id": "../..", "source": {"kind": "local", "repo": "/"}, "root": "a"}],
        [{"sweep_id": "s1", "source": {"kind": "git", "repo": "x"}, "root": "a"}],
        [{}, {}],
    ],
    ids=str,
)
def test_what_names_no_check_is_dropped(world: World, task: Task, arguments: list[Any]) -> None:
    assert state(task, *arguments) == "acknowledged"
    assert world.stored() == []
    assert world.ledger.recent() == []


def test_a_refusal_that_redis_did_not_take_comes_back(
    world: World, task: Task, waits: list[float]
) -> None:
    (a,) = world.sweep("a")
    world.ledger.away = frozenset({"begin"})
    assert state(task, {**a.wire(), "colour": "red"}) == "comes back"
    assert waits == [1.0]


# The word that the whole path is there.


def test_a_heartbeat_says_when_it_was_sent_and_stored(world: World, task: Task) -> None:
    sent_at = time.time() - 7
    assert state(task.app.tasks[HEARTBEAT_TASK], sent_at=sent_at) == "acknowledged"
    beat = world.store.record(Heartbeat, HEARTBEAT_KEY)
    assert beat is not None
    assert beat.sent_at == pytest.approx(sent_at, abs=1)
    assert abs(beat.stored_at - time.time()) < 5
    assert beat.worker == "w1"


@pytest.mark.parametrize(
    "sent_at", [None, "now", -1, float("nan"), 10**400, float("inf"), [], 2e12]
)
def test_a_time_that_is_none_ends_nothing(world: World, task: Task, sent_at: Any) -> None:
    (a,) = world.sweep("a")
    assert state(task, a.wire(), sent_at=sent_at) == "acknowledged"
    result = world.result(a)
    assert result.timings_seconds.wait == 0
    assert json.loads(result.model_dump_json())["timings_seconds"]["wait"] == 0
