"""What `driftfleet status` does: the newest verdict of every root, and what is not known."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TextIO
from urllib.parse import unquote

from driftfleet.fleet_status import FleetStatus
from driftfleet.places import Named, named, place_of_latest
from driftfleet.results import Verdict
from driftfleet.root_status import RootStatus
from driftfleet.settings import Settings
from driftfleet.store import FleetReader, open_objects
from producer.chosen import Chosen
from producer.progress import Progress
from producer.status_view import show_status
from producer.table import ORDER
from producer.telling import told


@dataclass(frozen=True)
class StatusOrder:
    """What to show. ``stale``: only what was not judged for longer than that."""

    chosen: Chosen
    settings: Settings
    progress: Progress
    stdout: TextIO
    stale: timedelta | None = None
    as_json: bool = False


def show_fleet_status(order: StatusOrder, now: datetime) -> int:
    """Read the status, show it, and return the exit code.

    Raises
    ------
    ConfigurationError
        The store holds nothing, or nothing of a repository that is named.
    StoreUnavailable
        The store gave no answer.
    """
    objects = open_objects(order.settings.results)
    order.progress.doing(f"reading {objects.describe('')}")
    try:
        with told(order.progress.message):
            whole = FleetReader(objects).read()
    finally:
        order.progress.end()
    _require_some(whole, order.chosen, objects.describe(""))
    shown = _of(whole, order.chosen)
    if order.stale is not None:
        shown = _stale(shown, now, order.stale)
    for key, reason in shown.unreadable.items():
        order.progress.message(f"{objects.describe(key)}: can't be read: {reason}")
    show_status(shown, now, order.stdout, order.progress, as_json=order.as_json, stale=order.stale)
    return exit_code_of(shown, stale=order.stale is not None)


def exit_code_of(fleet: FleetStatus, *, stale: bool = False) -> int:
    """0 all clean, 3 some root drifted or is unapplied, 1 of some root it is not known.

    ``stale``: what is in ``fleet`` should not be: 1 on any.
    """
    unknown = bool(fleet.never or fleet.unreadable)
    if stale:
        return 1 if unknown or fleet.roots else 0
    verdicts = {one.verdict for one in fleet.roots}
    if Verdict.ERROR in verdicts or unknown:
        return 1
    return 3 if verdicts - {Verdict.CLEAN} else 0


def _require_some(whole: FleetStatus, chosen: Chosen, where: str) -> None:
    places = [*whole.never, *map(place_of_latest, whole.unreadable)]
    repos = [one.repo for one in [*whole.roots, *whole.gone]]
    chosen.require([*repos, *(_named(place).repo for place in places)], where)


def _of(whole: FleetStatus, chosen: Chosen) -> FleetStatus:
    """Those that are meant, what needs somebody first. What isn't known may be any verdict."""

    def meant(ones: Iterable[RootStatus]) -> list[RootStatus]:
        return [one for one in ones if chosen.has(one.repo, one.ref, one.root, one.verdict)]

    def is_meant(place: str) -> bool:
        name = _named(place)
        # A look at a repository that can't be read is of all its roots.
        root = not name.root or chosen.has_root(name.root)
        return chosen.has_repository(name.repo) and root

    return FleetStatus(
        roots=tuple(sorted(meant(whole.roots), key=_urgency)),
        gone=tuple(meant(whole.gone)),
        never=tuple(filter(is_meant, whole.never)),
        unreadable={k: v for k, v in whole.unreadable.items() if is_meant(place_of_latest(k))},
    )


def _stale(fleet: FleetStatus, now: datetime, after: timedelta) -> FleetStatus:
    """Longest first; who is gone isn't waited for."""
    stale = [one for one in fleet.roots if one.is_stale(now, after)]
    stale.sort(
        key=lambda one: (one.judged_at is not None, one.judged_at or one.first_seen, one.key)
    )
    return replace(fleet, roots=tuple(stale), gone=())


def _urgency(one: RootStatus) -> tuple[int, float, str]:
    since = 0.0 if one.verdict == Verdict.CLEAN else one.since.timestamp()
    return ORDER.index(one.verdict), since, one.key


def _named(place: str) -> Named:
    """Also of the key of a look, ``roots/OWNER/REPO[@REF]``, which is of no root."""
    if not place.startswith("roots/"):
        return named(place)
    repo = unquote(place.removeprefix("roots/"))
    # Only a folder's name may have an "@", and a folder has no refs.
    return Named(repo if repo.startswith("local/") else repo.partition("@")[0], "", "")
