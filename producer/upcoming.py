"""What `driftfleet schedule` does: the fleet, its sweeps so far, and what follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from driftfleet.errors import ConfigurationError
from driftfleet.github.host import host_of
from driftfleet.repository_rule import RepositoryRule
from driftfleet.schedule_settings import schedule_of
from driftfleet.settings import Settings
from driftfleet.store import open_store
from producer.access import open_access
from producer.cache_place import kept_or_temporary_cache
from producer.progress import Progress
from producer.repositories import Choice, Wanted, choose
from producer.standing import Standing, standings
from producer.targets import read_targets, title_of
from producer.timetable import timetable
from producer.timetable_view import show_json, show_text


@dataclass(frozen=True)
class Upcoming:
    """Whose starts to show, how far ahead, and how much of it."""

    targets: Sequence[str]
    settings: Settings
    environment: Mapping[str, str]
    progress: Progress
    stdout: TextIO
    hours: int
    as_json: bool
    everything: bool


def show_upcoming(order: Upcoming, now: datetime) -> int:
    """Work out what starts from ``now`` on, show it, and return the exit code.

    Raises
    ------
    ConfigurationError
        No repository is listed, or none scheduled; one that was named isn't of the fleet; there is
        no GitHub.
    StoreUnavailable
        The store gave no answer.
    """
    _require_schedule(order.settings)
    asked = read_targets(order.targets, order.settings, folders=False).rules
    try:
        choice, known, unreadable = _look(order, asked if order.targets else ())
    finally:
        order.progress.end()
    problems = [*(trouble.reason for trouble in choice.troubles), *unreadable]
    for message in [*choice.messages, *problems]:
        order.progress.message(message)
    if order.targets and not problems:
        _require_all(asked, choice.wanted)
    table = timetable(known, now, order.hours, order.settings.schedule.zone)
    if order.as_json:
        show_json(table, order.stdout)
    else:
        show_text(table, order.stdout, everything=order.everything)
    return 1 if problems else 0


def _require_schedule(settings: Settings) -> None:
    rules = settings.repositories
    if not rules:
        raise ConfigurationError(
            "no repository is on any schedule: list them in 'repositories' in fleet.yaml"
        )
    schedules = [schedule_of(settings.schedule, rule.schedule) for rule in rules]
    if all(schedule.interval is None for schedule in schedules):
        raise ConfigurationError(
            "nothing is scheduled: say how often in fleet.yaml (or DRIFTFLEET_SCHEDULE__EVERY), or "
            "in a rule of its own:\n  schedule:\n    every: 6h"
        )


def _look(
    order: Upcoming, asked: Sequence[RepositoryRule]
) -> tuple[Choice, list[Standing], list[str]]:
    """The repositories that are asked for, all where none is, and whose records can't be read."""
    settings = order.settings
    rules = [rule for rule in settings.repositories if not asked or _meet(rule, asked)]
    choice = _choose(order, rules)
    if asked:
        choice.wanted = [one for one in choice.wanted if any(_is_meant(one, by) for by in asked)]
    order.progress.doing(f"reading when {len(choice.wanted):,} repositories were swept")
    store = open_store(settings.results)
    host = host_of(settings.github).name
    known, unreadable = standings(choice.wanted, settings.schedule, host, store)
    return choice, known, unreadable


def _choose(order: Upcoming, rules: Sequence[RepositoryRule]) -> Choice:
    settings, environment, tell = order.settings, order.environment, order.progress.message
    order.progress.doing(f"asking {host_of(settings.github).name} for repositories")
    with (
        kept_or_temporary_cache(settings, environment, order.progress) as folder,
        open_access(settings, environment, folder, tell) as access,
    ):
        return choose(access.github, rules)


def _meet(rule: RepositoryRule, asked: Iterable[RepositoryRule]) -> bool:
    """Whether some repository may be of the rule and be asked for."""
    return any(
        _same(rule.repo, one.repo)
        if rule.repo is not None and one.repo is not None
        else _same(_owner(rule), _owner(one))
        for one in asked
    )


def _is_meant(wanted: Wanted, by: RepositoryRule) -> bool:
    if by.repo is None:
        return _same(wanted.name.partition("/")[0], by.org)
    return _same(wanted.name, by.repo) and by.ref in ("", wanted.ref)


def _owner(rule: RepositoryRule) -> str:
    return rule.org if rule.org is not None else str(rule.repo).partition("/")[0]


def _same(one: str | None, other: str | None) -> bool:
    return str(one).lower() == str(other).lower()


def _require_all(asked: Iterable[RepositoryRule], wanted: Sequence[Wanted]) -> None:
    strange = [title_of(rule) for rule in asked if not any(_is_meant(w, rule) for w in wanted)]
    if strange:
        raise ConfigurationError(
            f"{', '.join(strange)}: none of the fleet's repositories (`repositories` in "
            "fleet.yaml), so nothing starts it"
        )
