"""What `driftfleet prune` does: removes history that is too old to be kept."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from driftfleet.duration import show_duration
from driftfleet.errors import ConfigurationError
from driftfleet.s3_settings import SCHEME as S3_SCHEME
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import open_objects
from driftfleet.store.retention import Retention
from producer.progress import Progress
from producer.table import harmless

_KINDS = {
    "results": "results of the history",
    "sweeps": "closed sweeps",
    "days": "days of the trend",
    "leftovers": "leftovers of writers that died",
}
_SHORTEST = timedelta(days=1)
_TOLD_EACH = 1000


@dataclass(frozen=True)
class PruneOrder:
    """What to remove; without ``yes`` it is only shown."""

    older_than: timedelta
    settings: Settings
    progress: Progress
    stdout: TextIO
    yes: bool
    as_json: bool


def prune(order: PruneOrder, now: datetime) -> int:
    """Remove it, or tell what would be; return the exit code.

    Raises
    ------
    ConfigurationError
        The store is no folder, or the time is too short.
    StoreUnavailable
        Something could not be read or removed; what was removed before is.
    """
    _require_time(order)
    folder = _folder(order.settings.results)
    retention = Retention(folder, now - order.older_than, now)
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    done = False
    try:
        for one in retention.old():
            if order.yes:
                retention.remove(one)
            counts[one.kind] += 1
            sizes[one.kind] += one.size_bytes
            if counts.total() % _TOLD_EACH == 0:
                order.progress.doing(f"{counts.total():,} so far, {_size(sizes.total())}")
        done = True
    finally:
        # Also to who ended it in the middle.
        order.progress.end()
        if done or (order.yes and counts):
            _tell(order, folder, counts, sizes)
    for key in retention.unreadable:
        order.progress.message(f"{folder / key}: can't be read, and stays")
    return 1 if retention.unreadable else 0


def _require_time(order: PruneOrder) -> None:
    if order.older_than < _SHORTEST:
        raise ConfigurationError(
            f"--older-than {show_duration(order.older_than)}: a day at least, such as 90d: sweeps "
            "look for their answers in the history"
        )


def _folder(results: ResultSettings) -> Path:
    store = results.store
    if store.startswith(S3_SCHEME):
        raise ConfigurationError(
            f"{store}: S3 removes what is old by itself, for nothing: by a lifecycle rule of the "
            "bucket that lets results/ and sweeps/ below the prefix expire after 90 days; "
            "deploy/results-bucket is a bucket with such rules, in Terraform"
        )
    open_objects(results)  # refuses what is no store
    folder = Path(store.partition("://")[2])
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder, and so no results")
    return folder


def _tell(order: PruneOrder, folder: Path, counts: Counter[str], sizes: Counter[str]) -> None:
    stdout = order.stdout
    if order.as_json:
        told = {k: {"count": counts[k], "bytes": sizes[k]} for k in _KINDS}
        stdout.write(json.dumps({"removed": order.yes, **told}) + "\n")
    else:
        for kind, words in _KINDS.items():
            if counts[kind]:
                stdout.write(f"{counts[kind]:>9,}  {_size(sizes[kind]):>9}  {words}\n")
        stdout.write(f"{_conclusion(order, folder, counts, sizes)}\n")
    stdout.flush()


def _conclusion(order: PruneOrder, folder: Path, counts: Counter[str], sizes: Counter[str]) -> str:
    age = show_duration(order.older_than)
    if not counts:
        return f"nothing in {harmless(str(folder))} is older than {age}"
    what = f"{counts.total():,} older than {age}, {_size(sizes.total())}"
    return f"removed {what}" if order.yes else f"would remove {what}: with --yes it is done"


def _size(count: int) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.1f} GB"
