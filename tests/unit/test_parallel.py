"""A few things at once: all of them, an error ends it, and nobody is waited for."""

import threading
from contextlib import closing

import pytest

from producer.parallel import Begun, Done, each


def test_every_item_is_begun_and_done_once() -> None:
    events = list(each([1, 2, 3, 4, 5], lambda n: n * n, 2))
    assert sorted(e.item for e in events if isinstance(e, Begun)) == [1, 2, 3, 4, 5]
    assert {e.item: e.result for e in events if isinstance(e, Done)} == {
        1: 1, 2: 4, 3: 9, 4: 16, 5: 25,
    }  # fmt: skip


def test_nothing_is_done_for_nothing() -> None:
    assert list(each([], lambda n: n, 4)) == []


def test_no_more_run_at_once_than_asked_for() -> None:
    gate = threading.Barrier(3)
    running, most = 0, 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(timeout=60)  # breaks unless three run at once
        with lock:
            running -= 1

    list(each(range(6), work, 3))
    assert most == 3


def test_what_the_work_raises_is_raised_and_nothing_more_is_begun() -> None:
    begun = []

    def work(n: int) -> None:
        begun.append(n)
        raise KeyError(n)

    with pytest.raises(KeyError), closing(each(range(100), work, 1)) as events:
        list(events)
    assert begun == [0]


def test_a_caller_that_leaves_waits_for_none_that_hangs() -> None:
    release = threading.Event()
    hanging = threading.Event()

    def work(n: int) -> None:
        if n:
            hanging.set()
            release.wait(60)

    with closing(each([0, 1, 2, 3], work, 2)) as events:
        for event in events:
            if isinstance(event, Done):
                break
        assert hanging.wait(60)
    threads = [t for t in threading.enumerate() if t.name == "look"]
    assert threads
    assert all(thread.daemon for thread in threads)
    release.set()
    for thread in threads:
        thread.join(60)
