"""The end of a worker: interruptions come where they may, once, and only there."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from celery import signals

from worker.drain import Drain, Interrupted, Interruption


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, before)


def in_a_thread(interruption: Interruption, reason: str = "why") -> None:
    thread = threading.Thread(target=interruption.interrupt, args=(reason,))
    thread.start()
    thread.join()


def spin() -> None:
    """Let a signal that is there be taken; the main thread does that between two steps."""
    for _ in range(1000):
        pass


def end(interruption: Interruption, *reasons: str) -> None:
    with interruption:
        try:
            for reason in reasons[:1]:
                in_a_thread(interruption, reason)
                spin()
        finally:
            for reason in reasons[1:]:
                in_a_thread(interruption, reason)
                spin()


def test_it_is_raised_in_the_main_thread_from_another_one() -> None:
    with pytest.raises(Interrupted, match="the worker ends") as raised:
        end(Interruption(), "the worker ends")
    assert raised.value.reason == "the worker ends"
    assert not isinstance(raised.value, Exception)


def test_it_ends_what_only_waits_in_a_system_call() -> None:
    interruption, ended = Interruption(), threading.Event()

    def again_and_again() -> None:
        while not ended.wait(0.001):
            interruption.interrupt("why")

    thread = threading.Thread(target=again_and_again)

    def wait_for_ever() -> None:
        with interruption:
            thread.start()
            threading.Event().wait()

    with pytest.raises(Interrupted):
        wait_for_ever()
    ended.set()
    thread.join()


def test_once_is_enough() -> None:
    with pytest.raises(Interrupted, match="first"):
        end(Interruption(), "first", "second")


def test_before_the_block_it_is_kept_and_raised_when_that_begins() -> None:
    interruption = Interruption()
    in_a_thread(interruption)
    spin()
    reached = False
    with pytest.raises(Interrupted, match="why"), interruption:
        reached = True
    assert not reached


def test_after_the_block_nothing_can_be_interrupted() -> None:
    """What is half stored would be."""
    interruption = Interruption()
    with interruption:
        pass
    in_a_thread(interruption)
    signal.raise_signal(signal.SIGUSR2)
    spin()


def test_a_late_signal_for_the_last_check_does_not_end_the_next() -> None:
    with Interruption():
        pass
    with Interruption():
        signal.raise_signal(signal.SIGUSR2)
        spin()


def test_an_interruption_is_not_answered_as_an_error() -> None:
    caught: list[Exception] = []

    def answer_whatever_comes() -> None:
        try:
            end(Interruption(), "why")
        except Exception as error:
            caught.append(error)

    with pytest.raises(Interrupted):
        answer_whatever_comes()
    assert caught == []


def test_the_time_of_a_drain_begins_when_celery_shuts_down_and_ends_with_a_flag() -> None:
    drain = Drain(0.0)
    drain.connect()
    assert not drain.over
    signals.worker_shutting_down.send(sender="test", sig="TERM", how="Warm", exitcode=0)
    end = time.monotonic() + 60
    while not drain.over and time.monotonic() < end:
        threading.Event().wait(0.001)
    assert drain.over


def test_pool_children_see_the_flag_that_the_main_process_raises() -> None:
    drain = Drain(60)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        theirs.send(drain.over)
        theirs.recv()
        theirs.send(drain.over)

    process = context.Process(target=child)
    process.start()
    assert ours.recv() is False
    drain.end()
    ours.send("look again")
    assert ours.recv() is True
    process.join()
