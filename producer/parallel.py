"""A few things at once, on threads that keep no command from ending."""

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Begun(Generic[T]):
    """Work on ``item`` has begun."""

    item: T


@dataclass(frozen=True)
class Done(Generic[T, R]):
    """Work on ``item`` has ended with ``result``."""

    item: T
    result: R


def each(
    items: Sequence[T], work: Callable[[T], R], threads: int
) -> Generator[Begun[T] | Done[T, R], None, None]:
    """Yield what happens, as it happens; whatever ``work`` raises is raised here and ends it.

    When the caller stops listening, by an exception or by closing the generator, nothing more is
    begun. The threads are daemons, other than an executor's, which Python waits for at its end: a
    Ctrl-C must not wait for a server.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    told: queue.SimpleQueue[Begun[T] | Done[T, R] | BaseException] = queue.SimpleQueue()
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            told.put(Begun(item))
            try:
                told.put(Done(item, work(item)))
            except BaseException as error:
                told.put(error)
                return

    for _ in range(min(threads, len(items))):
        threading.Thread(target=run, name="look", daemon=True).start()
    left = len(items)
    try:
        while left:
            event = told.get()
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event, Done)
            yield event
    finally:
        ended.set()
