"""Writers that race for one record: the newest is the latest, and a sweep is closed once."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from driftfleet.store import ResultStore
from driftfleet.store.files import FileObjects
from driftfleet.store.memory import MemoryObjects
from tests.store_races import (
    WRITERS,
    Act,
    add,
    answer_of,
    close,
    open_and_close,
    race_processes,
    race_threads,
)

ROUNDS = range(1000)
Race = Callable[[Act, Sequence[int]], list[list[object]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture(params=["memory, threads", "files, threads", "files, processes"])
def race(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[Race, ResultStore]]:
    """How writers race, and the store that they leave."""
    where, _, who = request.param.partition(", ")
    store = ResultStore(MemoryObjects() if where == "memory" else FileObjects(folder))
    usual = sys.getswitchinterval()
    if where == "memory":
        # Nothing else makes threads change places there.
        sys.setswitchinterval(1e-6)
    if who == "threads":
        yield lambda act, rounds: race_threads(act, store, rounds), store
    else:
        yield lambda act, rounds: race_processes(act, folder, rounds), store
    sys.setswitchinterval(usual)


def test_of_results_that_race_the_newest_is_the_latest_and_all_are_kept(
    race: tuple[Race, ResultStore],
) -> None:
    run, store = race
    run(add, ROUNDS)
    for number in ROUNDS:
        answers = [answer_of(writer, number) for writer in range(WRITERS)]
        newest = max(answers, key=lambda answer: answer.started_at)
        latest = store.latest(newest.latest_key)
        assert latest is not None
        assert latest.result == newest
        assert [store.get(answer.history_key) for answer in answers] == answers


def test_of_closers_that_race_one_alone_closes_a_sweep(race: tuple[Race, ResultStore]) -> None:
    run, store = race
    saw = run(close, ROUNDS)
    for number in ROUNDS:
        closers = [writer for writer in range(WRITERS) if saw[writer][number]]
        assert len(closers) == 1
        record = store.sweep(f"s{number}")
        assert record is not None
        assert record.source == f"writer{closers[0]}"


def test_sweeps_that_open_while_others_close_are_not_in_each_others_way(
    race: tuple[Race, ResultStore],
) -> None:
    run, store = race
    assert run(open_and_close, range(300)) == [[True] * 300] * WRITERS
    assert list(store.open_sweeps()) == []
