"""A repository of the fleet with its schedule, and what is kept of its last sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from driftfleet.errors import ContractError
from driftfleet.schedule_settings import NEVER, ScheduleSettings, schedule_of
from driftfleet.store import ResultStore
from driftfleet.swept import Swept, swept_key
from producer.parallel import Done, each
from producer.repositories import Wanted
from producer.schedule import is_due, is_overdue, slot_name
from producer.targets import title_of

# A store on the network takes its time for each.
_THREADS = 16


@dataclass(frozen=True)
class Standing:
    """A repository, what is to happen to it when, and its last sweep, if one is kept.

    ``name`` is what its slots are worked out from.
    """

    wanted: Wanted
    name: str
    schedule: ScheduleSettings
    swept: Swept | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether its sweep is to start now. One that nothing is kept of was first seen now."""
        return is_due(self.schedule, self.name, now, *self._known(now))

    def is_overdue(self, now: datetime) -> bool:
        """Whether it missed a slot, and waits for its turn or for the end of a closed time."""
        return is_overdue(self.schedule, self.name, now, *self._known(now))

    def known_since(self, now: datetime) -> datetime:
        """When it was swept last, or else seen first: who is overdue starts in that order."""
        swept_at, first_seen = self._known(now)
        return swept_at or first_seen

    def _known(self, now: datetime) -> tuple[datetime | None, datetime]:
        return (self.swept.swept_at, self.swept.first_seen) if self.swept else (None, now)

    @property
    def why_not(self) -> str | None:
        """Why it is never due, for a person; None where it is scheduled."""
        if self.schedule.interval is not None:
            return None
        if self.schedule.every != NEVER:
            return "neither 'every' nor 'cron' is set in 'schedule'"
        said = self.wanted.rule.schedule
        own = said is not None and said.every is not None
        where = f"the rule of {title_of(self.wanted.rule)}" if own else "'schedule'"
        return f"'every' is never in {where}"


def standings(
    wanted: Sequence[Wanted], default: ScheduleSettings, host: str, store: ResultStore
) -> tuple[list[Standing], list[str]]:
    """Each repository in its order, and in sentences whose record can't be read.

    A record that can't be read is as none, so that the repository is swept and gets another.

    Raises
    ------
    StoreUnavailable
        The store gave no answer.
    """
    problems: list[str] = []

    def stand(one: Wanted) -> Standing:
        schedule = schedule_of(default, one.rule.schedule)
        swept = None
        try:
            swept = store.record(Swept, swept_key(one.name, one.ref))
        except ContractError as error:
            problems.append(f"{one.name}: its last sweep is not known: {error.message}")
        return Standing(one, slot_name(host, one.name, one.ref), schedule, swept)

    found = {e.item: e.result for e in each(wanted, stand, _THREADS) if isinstance(e, Done)}
    return [found[one] for one in wanted], sorted(problems)
