"""Writers that race for one record: the newest is the latest, and a sweep is closed once."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftfleet.settings import ResultSettings
from driftfleet.store import ResultStore, open_store
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

ROUNDS = 1000


@dataclass(frozen=True)
class Race:
    """How writers race, and the store that they leave. ``settings``: as processes of their own."""

    store: ResultStore
    settings: ResultSettings | None = None
    writers: int = WRITERS
    # Each of its requests takes moto and botocore 6 ms, where a file takes 0.1.
    slowness: int = 1

    def run(self, act: Act, rounds: int) -> list[list[object]]:
        if self.settings is None:
            return race_threads(act, self.store, range(rounds), self.writers)
        return race_processes(act, self.settings, range(rounds), self.writers)


@pytest.fixture(params=["memory, threads", "files, threads", "files, processes", "s3, processes"])
def race(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Race]:
    where, _, who = request.param.partition(", ")
    usual = sys.getswitchinterval()
    if where == "memory":
        # Nothing else makes threads change places there.
        sys.setswitchinterval(1e-6)
        yield Race(ResultStore(MemoryObjects()))
    elif where == "s3":
        settings = request.getfixturevalue("s3").settings()
        yield Race(open_store(settings), settings, writers=2, slowness=20)
    else:
        settings = ResultSettings(store=f"file://{tmp_path / 'objects'}")
        yield Race(open_store(settings), settings if who == "processes" else None)
    sys.setswitchinterval(usual)


@pytest.mark.timeout(900)
def test_of_results_that_race_the_newest_is_the_latest_and_all_are_kept(race: Race) -> None:
    race.run(add, ROUNDS)
    newest = {}
    for number in range(ROUNDS):
        answers = [answer_of(writer, number) for writer in range(race.writers)]
        one = max(answers, key=lambda answer: answer.started_at)
        newest[one.latest_key] = one
        if not number % race.slowness:
            assert [race.store.get(answer.history_key) for answer in answers] == answers
    found = race.store.latest_of_each([one.job for one in newest.values()])
    assert [one.result if one else None for one in found] == list(newest.values())


def test_of_closers_that_race_one_alone_closes_a_sweep(race: Race) -> None:
    rounds = ROUNDS // race.slowness
    saw = race.run(close, rounds)
    for number in range(rounds):
        closers = [writer for writer in range(race.writers) if saw[writer][number]]
        assert len(closers) == 1
        record = race.store.sweep(f"s{number}")
        assert record is not None
        assert record.source == f"writer{closers[0]}"


def test_sweeps_that_open_while_others_close_are_not_in_each_others_way(race: Race) -> None:
    rounds = 300 // race.slowness
    assert race.run(open_and_close, rounds) == [[True] * rounds] * race.writers
    assert list(race.store.open_sweeps()) == []
