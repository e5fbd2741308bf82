"""What is new in a fleet, and what has been waiting for somebody."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftfleet.fleet_status import FleetStatus
from driftfleet.results import ErrorKind, Verdict
from driftfleet.root_status import RootStatus

NEW_WITHIN = timedelta(hours=24)
_ACTS = (Verdict.DRIFTED, Verdict.UNAPPLIED, Verdict.DRIFTED_UNAPPLIED)


@dataclass(frozen=True)
class Item:
    """A root, and since when what is told of it is so."""

    root: RootStatus
    at: datetime


@dataclass(frozen=True)
class News:
    """What began within the last day, newest first. A root can be in ``drifted`` and ``unapplied``.

    ``clean`` are clean again; a root that was never anything else is no news.
    """

    error: tuple[Item, ...]
    drifted: tuple[Item, ...]
    unapplied: tuple[Item, ...]
    clean: tuple[Item, ...]


@dataclass(frozen=True)
class KindOfError:
    """The roots that an error of one kind keeps from being judged; ``example`` is the newest."""

    kind: ErrorKind
    count: int
    example: RootStatus


def news(fleet: FleetStatus, at: datetime) -> News:
    """What is new in the fleet at a moment."""

    def since(items: Iterable[tuple[RootStatus, datetime | None]]) -> tuple[Item, ...]:
        new = [Item(one, began) for one, began in items if began and at - began <= NEW_WITHIN]
        return tuple(sorted(new, key=lambda item: item.at, reverse=True))

    acts = [one for one in fleet.roots if one.verdict in _ACTS]
    return News(
        error=since((one, _began(one, Verdict.ERROR)) for one in fleet.roots),
        drifted=since((one, one.drifted_since) for one in acts),
        unapplied=since((one, one.unapplied_since) for one in acts),
        clean=since((one, _began(one, Verdict.CLEAN)) for one in fleet.roots if one.before),
    )


def new_keys(fleet: FleetStatus, at: datetime) -> frozenset[str]:
    """The keys of the roots that are in the `news` of that moment."""
    told = vars(news(fleet, at)).values()
    return frozenset(item.root.key for items in told for item in items)


def longest(fleet: FleetStatus, most: int) -> Sequence[RootStatus]:
    """The roots that have drifted or been unapplied for longest."""
    acts = [one for one in fleet.roots if one.verdict in _ACTS]
    return sorted(acts, key=lambda one: (one.since, one.repo, one.root, one.variant))[:most]


def kinds_of_error(fleet: FleetStatus) -> Sequence[KindOfError]:
    """Why roots can't be judged, the most frequent kind first."""
    known: dict[ErrorKind, list[RootStatus]] = defaultdict(list)
    for one in fleet.roots:
        if one.error_kind:
            known[one.error_kind].append(one)
    kinds = [
        KindOfError(kind, len(roots), max(roots, key=lambda one: one.checked_at))
        for kind, roots in known.items()
    ]
    return sorted(kinds, key=lambda one: (-one.count, one.kind))


def _began(root: RootStatus, verdict: Verdict) -> datetime | None:
    return root.first_seen if root.verdict == verdict else None
