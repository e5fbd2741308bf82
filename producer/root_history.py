"""What `driftfleet history` does: the line of verdicts of one root and variant."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TextIO

from driftfleet.errors import ConfigurationError, ContractError
from driftfleet.latest import LatestRecord
from driftfleet.places import Named, is_cut, named, place_of_latest
from driftfleet.results import Result
from driftfleet.settings import Settings
from driftfleet.store import ResultStore, open_objects
from driftfleet.store.history import BEGINNING, newest_first
from driftfleet.store.objects import ObjectStore
from producer.chosen import Chosen
from producer.history_view import show_checks, show_runs
from producer.progress import Progress
from producer.root_name import find_root


@dataclass(frozen=True)
class HistoryOrder:
    """Whose line to show, and how much of it; ``checks``: each check, not only what changed."""

    words: tuple[str, ...]
    chosen: Chosen
    variant: str | None
    settings: Settings
    progress: Progress
    stdout: TextIO
    limit: int
    since: timedelta | None = None
    checks: bool = False
    as_json: bool = False


def show_history(order: HistoryOrder, now: datetime) -> int:
    """Find the root, show what is known of it, and return the exit code.

    Raises
    ------
    ConfigurationError
        No root is meant, or several are.
    ContractError
        The root's latest record can't be read.
    StoreUnavailable
        The store gave no answer.
    """
    objects = open_objects(order.settings.results)
    key = _latest_key(order, objects)
    store = ResultStore(objects)
    latest = store.latest(key)
    if latest is None:
        raise ConfigurationError(f"{objects.describe(key)} was removed at this moment")
    since = now - order.since if order.since is not None else BEGINNING
    if not order.checks:
        runs = [run for run in latest.runs if run.last >= since]
        show_runs(latest, runs[: order.limit], len(runs), now, order.stdout, as_json=order.as_json)
        return 0
    unreadable: list[str] = []
    found = _checks(objects, latest, since, unreadable)
    show_checks(latest, islice(found, order.limit), now, order.stdout, as_json=order.as_json)
    for reason in unreadable:
        order.progress.message(reason)
    return 1 if unreadable else 0


def _latest_key(order: HistoryOrder, objects: ObjectStore) -> str:
    """Of the root that is meant. No record is read for it, but those of too long names."""
    store = ResultStore(objects)
    named_keys = ((_name(key, store), key) for key in objects.keys("latest/"))
    keys = {name: key for name, key in named_keys if name.root}
    order.chosen.require((name.repo for name in keys), objects.describe(""))
    return keys[find_root(order.words, order.chosen, order.variant, list(keys))]


def _name(key: str, store: ResultStore) -> Named:
    place = place_of_latest(key)
    if is_cut(place):
        with suppress(ContractError):
            if latest := store.latest(key):
                job = latest.result.job
                return Named(job.source.slug, job.root, job.variant.name)
    return named(place)


def _checks(
    objects: ObjectStore,
    latest: LatestRecord,
    since: datetime,
    unreadable: list[str],
) -> Iterator[Result]:
    """Results newest first; each is read when it is wanted."""
    place = place_of_latest(latest.result.latest_key)
    store = ResultStore(objects)
    for key in newest_first(objects, place, latest.result.finished_at, since):
        try:
            result = store.get(key)
        except ContractError as error:
            unreadable.append(f"{objects.describe(key)}: can't be read: {error.message}")
            continue
        if result is not None:
            yield result
