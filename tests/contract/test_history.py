"""A root's history is walked by time, and no further than somebody wants to see."""

from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.places import history_start, place
from driftfleet.store.history import BEGINNING, newest_first, oldest_first
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.objects import ObjectStore
from tests.checked import NOON, Counting, at, job

PLACE = place(job())


def put(objects: ObjectStore, finished: datetime, of: str = PLACE) -> str:
    key = f"{history_start(of, finished)}-s1.json"
    objects.put(key, b"")
    return key


@pytest.fixture
def counting(objects: ObjectStore) -> Counting:
    return Counting(objects)


def test_it_is_told_in_both_directions(objects: ObjectStore) -> None:
    keys = [put(objects, at(hours)) for hours in (0, 5, 30, 31, 400, 9000)]
    assert list(newest_first(objects, PLACE, at(9000), BEGINNING)) == keys[::-1]
    assert list(oldest_first(objects, PLACE, BEGINNING)) == keys
    assert list(newest_first(objects, PLACE, at(9000), at(30))) == keys[:1:-1]
    assert list(oldest_first(objects, PLACE, at(30))) == keys[2:]


def test_what_finished_after_the_newest_that_is_known_is_not_missed(objects: ObjectStore) -> None:
    """A check that began earlier may end later: the latest record isn't of it."""
    keys = [put(objects, at(hours)) for hours in (0, 5)]
    assert list(newest_first(objects, PLACE, at(0), BEGINNING)) == keys[::-1]
    assert list(newest_first(objects, PLACE, at(0), at(1))) == keys[:0:-1]


def test_a_root_without_results_has_none(objects: ObjectStore) -> None:
    assert list(newest_first(objects, PLACE, NOON, BEGINNING)) == []
    assert list(oldest_first(objects, PLACE, BEGINNING)) == []


def test_only_the_days_that_are_wanted_are_listed(counting: Counting) -> None:
    keys = [put(counting, at(hours)) for hours in range(0, 24 * 20, 2)]
    counting.forget()
    found = list(islice(newest_first(counting, PLACE, at(24 * 20), BEGINNING), 10))
    assert found == keys[:-11:-1]
    assert counting.asked.total() == 1
    assert counting.listed.total() <= 12
    counting.forget()
    assert len(list(islice(newest_first(counting, PLACE, at(24 * 20), BEGINNING), 40))) == 40
    assert counting.asked.total() == 2
    assert counting.listed.total() <= 12 * 5 + 1


def test_a_long_silence_takes_few_listings(counting: Counting) -> None:
    key = put(counting, at(-24 * 3000))
    assert list(newest_first(counting, PLACE, NOON, BEGINNING)) == [key]
    assert counting.asked.total() < 10


def test_the_results_of_a_root_below_are_neither_told_nor_paged_through(counting: Counting) -> None:
    below = f"{PLACE}/more/default"
    assert below == place(job(f"{job().root}/{job().variant.name}/more"))
    keys = [put(counting, at(hours)) for hours in range(3)]
    for hours in range(100):
        put(counting, at(hours / 50), below)
    assert list(newest_first(counting, PLACE, at(3), BEGINNING)) == keys[::-1]
    assert list(oldest_first(counting, PLACE, BEGINNING)) == keys
    assert counting.listed.total() < 20


def test_a_root_below_that_is_called_like_a_moment_is_not_told(objects: ObjectStore) -> None:
    key = put(objects, NOON)
    put(objects, NOON, f"{PLACE}/20260102T120000.000000Z/default")
    put(objects, NOON, f"{PLACE}/2026/default")
    assert list(oldest_first(objects, PLACE, BEGINNING)) == [key]
    assert list(newest_first(objects, PLACE, NOON, BEGINNING)) == [key]


@given(
    st.lists(st.integers(0, 60 * 24 * 400), max_size=30, unique=True),
    st.integers(-100, 60 * 24 * 410),
    st.integers(-100, 60 * 24 * 410),
)
def test_whatever_the_windows_both_tell_what_there_is(
    minutes: list[int], newest: int, since: int
) -> None:
    objects = MemoryObjects()
    keys = {put(objects, NOON + timedelta(minutes=one)): one for one in minutes}
    expected = sorted(key for key, one in keys.items() if one >= since)
    start = NOON + timedelta(minutes=since)
    known = NOON + timedelta(minutes=newest)
    assert list(newest_first(objects, PLACE, known, start)) == expected[::-1]
    assert list(oldest_first(objects, PLACE, start)) == expected
