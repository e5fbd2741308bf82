"""Every root of the fleet, as the store knows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from driftfleet.places import place_of_latest
from driftfleet.repository_roots import RepositoryRoots
from driftfleet.root_status import RootStatus

_LOOK_COUNTS = timedelta(days=7)


@dataclass(frozen=True)
class FleetStatus:
    """The roots that there are, by repository, root and variant.

    ``gone`` were judged once and are no longer in the code; ``never`` are the places
    (``OWNER/REPO/ROOT/VARIANT``) of roots that are in the code and were never answered;
    ``unreadable`` says of latest records, and of looks at repositories, why they can't be read, by
    key.
    """

    roots: tuple[RootStatus, ...] = ()
    gone: tuple[RootStatus, ...] = ()
    never: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)


def fleet_status(
    roots: Iterable[RootStatus],
    looks: Iterable[RepositoryRoots],
    unreadable: Mapping[str, str],
) -> FleetStatus:
    """The roots, sorted into those that are there and those that are gone.

    A root is gone where no look at its repository found it, and all began after its check. A look
    at one ref counts as long as none at another is a week younger: a branch that somebody asked for
    once has no say for ever.
    """
    known = _by_repository(looks)
    found = {place for every in known.values() for look in every for place in look.places}
    there: list[RootStatus] = []
    gone: list[RootStatus] = []
    for one in sorted(roots, key=lambda one: (one.repo, one.root, one.variant)):
        at = [look.at for look in known.get(one.repo.lower(), ())]
        is_gone = at and place_of_latest(one.key) not in found and min(at) > one.started_at
        (gone if is_gone else there).append(one)
    answered = {place_of_latest(one.key) for one in there} | {
        place_of_latest(key) for key in unreadable
    }
    return FleetStatus(tuple(there), tuple(gone), tuple(sorted(found - answered)), unreadable)


def _by_repository(looks: Iterable[RepositoryRoots]) -> dict[str, list[RepositoryRoots]]:
    every: dict[str, list[RepositoryRoots]] = {}
    for look in looks:
        every.setdefault(look.repo.lower(), []).append(look)
    newest = {repo: max(look.at for look in of_it) for repo, of_it in every.items()}
    return {
        repo: [look for look in of_it if newest[repo] - look.at < _LOOK_COUNTS]
        for repo, of_it in every.items()
    }
