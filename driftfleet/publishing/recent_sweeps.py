"""Which sweeps were the last, without listing all that ever were."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from driftfleet.store.objects import ObjectStore
from driftfleet.sweep_id import asked_at

MOST_RECENT = 50
_SWEEPS, _END = "sweeps/", ".json"
# Who asks for sweeps: their ids begin so. Others are known by the roots that they checked.
_KINDS = frozenset({"scan", "enqueue", "sweep"})
# Each is at most five times the one before: where the narrower one has not enough, the wider one
# lists no more than a few hundred.
_WINDOWS = tuple(timedelta(hours=hours) for hours in (1, 5, 24, 4 * 24, 16 * 24, 64 * 24, 256 * 24))
_LATE = timedelta(days=1)


def recent_sweeps(
    objects: ObjectStore, known: Iterable[str], before: Sequence[str], now: datetime
) -> tuple[str, ...]:
    """The ids of the last sweeps, newest first.

    ``known`` are ids of sweeps that there have been, by which it is seen when the last ones were;
    ``before`` is what this function found the last time. Raises `StoreUnavailable`.
    """
    ids = [*known, *before]
    kinds = _KINDS | {one.partition("-")[0] for one in ids if asked_at(one)}
    times = [at for one in before if (at := asked_at(one))]
    if times:
        # Fewer than there is room for: one may have come late that was asked for earlier.
        first = min(times) - (_LATE if len(before) < MOST_RECENT else timedelta())
        return _newest({*before, *_since(objects, kinds, first)})
    moments = [at for one in ids if (at := asked_at(one)) and at <= now]
    last = max(moments, default=now)
    found: set[str] = set()
    for window in _WINDOWS:
        found = set(_since(objects, kinds, last - window))
        if len(found) >= MOST_RECENT:
            break
    return _newest(found)


def _since(objects: ObjectStore, kinds: Iterable[str], first: datetime) -> Iterable[str]:
    for kind in sorted(kinds):
        start = f"{_SWEEPS}{kind}-"
        # A moment before that second, which `after` leaves out.
        after = f"{start}{first:%Y%m%dT%H%M%S}"
        for key in objects.keys(start, after):
            name = key.removeprefix(_SWEEPS).removesuffix(_END)
            if asked_at(name):
                yield name


def _newest(ids: Iterable[str]) -> tuple[str, ...]:
    ordered = sorted(ids, key=lambda one: (str(asked_at(one)), one), reverse=True)
    return tuple(ordered[:MOST_RECENT])
