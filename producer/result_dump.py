"""What `driftfleet results` does: whole records as they are kept, for scripts."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TextIO, TypeVar

from driftfleet.errors import ContractError
from driftfleet.latest import LatestRecord
from driftfleet.model import decode_record
from driftfleet.places import is_cut, named, place_of_latest
from driftfleet.results import Result
from driftfleet.settings import Settings
from driftfleet.store import open_objects
from driftfleet.store.history import oldest_first
from driftfleet.store.objects import ObjectStore
from producer.chosen import Chosen
from producer.page import Page
from producer.progress import Progress
from producer.table import json_line, what_of

_READERS = 16
# A record may have 1 MB: so many are held at most.
_AHEAD = 2 * _READERS
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class DumpOrder:
    """Whose results; ``since``: all that finished in that time, else the newest of each root."""

    chosen: Chosen
    settings: Settings
    progress: Progress
    stdout: TextIO
    since: timedelta | None = None
    as_json: bool = False


@dataclass(frozen=True)
class _Read:
    """A record that was read, or why it can't be; neither where it is gone."""

    result: Result | None = None
    problem: str = ""


def dump_results(order: DumpOrder, now: datetime) -> int:
    """Print them by repository, root and variant, oldest first; return the exit code.

    What is held at one moment doesn't grow with how many there are.

    Raises
    ------
    ConfigurationError
        The store holds nothing, or nothing of a repository that is named.
    StoreUnavailable
        The store gave no answer.
    """
    objects = open_objects(order.settings.results)
    read = _reader(objects)
    known: set[str] = set()
    problems = 0
    for one in ahead(read, _keys(order, objects, now, known)):
        if one.problem:
            problems += 1
            order.progress.message(one.problem)
        elif one.result is not None and _is_meant(one.result, order.chosen):
            _print(one.result, order)
    order.stdout.flush()
    order.chosen.require(known, objects.describe(""))
    return 1 if problems else 0


def _keys(order: DumpOrder, objects: ObjectStore, now: datetime, known: set[str]) -> Iterator[str]:
    """What is to be read, as far as keys can tell. ``known`` gets all repositories."""
    for key in objects.keys("latest/"):
        place = place_of_latest(key)
        name = named(place)
        known.add(name.repo)
        if order.chosen.has_repository(name.repo) and (
            # Then the record alone tells.
            is_cut(place) or order.chosen.has_root(name.root)
        ):
            if order.since is None:
                yield key
            else:
                yield from oldest_first(objects, place, now - order.since)


def _reader(objects: ObjectStore) -> Callable[[str], _Read]:
    def read(key: str) -> _Read:
        body = objects.get(key)
        if body is None:
            return _Read()
        try:
            if key.startswith("latest/"):
                return _Read(decode_record(LatestRecord, body).result)
            return _Read(decode_record(Result, body))
        except ContractError as error:
            return _Read(problem=f"{objects.describe(key)}: can't be read: {error.message}")

    return read


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """``work`` on each in order, many at a time, and never far ahead of who consumes them."""
    pool = ThreadPoolExecutor(_READERS)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _is_meant(result: Result, chosen: Chosen) -> bool:
    job = result.job
    return chosen.has(job.source.slug, job.source.ref, job.root, result.verdict)


def _print(result: Result, order: DumpOrder) -> None:
    if order.as_json:
        order.stdout.write(f"{json_line(result)}\n")
        return
    page = Page(encoding=order.stdout.encoding or "utf-8")
    told = f"{result.finished_at.isoformat()}  {result.verdict}  {result.job.title}"
    order.stdout.write(f"{page.shown(f'{told}  {what_of(result)}'.rstrip())}\n")
