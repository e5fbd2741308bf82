"""Objects written and removed, many at a time: on a network each takes its time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from driftfleet.store.objects import ObjectStore

_THREADS = 16
# So many are made before the first of them has to be written: memory is bounded.
_BATCH = 256
T = TypeVar("T")
R = TypeVar("R")


def write_all(objects: ObjectStore, pages: Iterable[tuple[str, bytes]]) -> int:
    """Write each; how many there were. Raises `StoreUnavailable`, and then some are written."""
    return sum(1 for _ in many_at_once(pages, lambda page: objects.put(*page)))


def delete_all(objects: ObjectStore, keys: Sequence[str]) -> None:
    """Remove each. Raises as `write_all` does."""
    for _ in many_at_once(keys, objects.delete):
        pass


def many_at_once(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """What ``work`` gives for each, in their order. What it raises is raised here."""
    source = iter(items)
    pool = ThreadPoolExecutor(_THREADS)
    try:
        while batch := list(islice(source, _BATCH)):
            yield from pool.map(work, batch)
    finally:
        # Whoever is ended in the middle doesn't wait for those that haven't begun.
        pool.shutdown(cancel_futures=True)
