"""When repositories are checked by themselves: the section `schedule`, and what a rule says of it.

docs/schedule.md tells what each does; `producer.schedule` works out when something is due.
"""

import difflib
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from driftfleet.cron import Cron, shortest_gap
from driftfleet.duration import Duration, parse_duration, show_duration
from driftfleet.model import Record
from driftfleet.windows import Window, cover_the_day

NEVER = "never"
# Beat ticks each minute, and a sweep takes longer than that.
_SHORTEST_INTERVAL = timedelta(minutes=5)
_HOUR = timedelta(hours=1)
# A day less than `driftfleet.ledger.OPEN_SECONDS`.
_LONGEST_DEADLINE = timedelta(days=7)


def _parse_interval(value: object) -> timedelta | str | None:
    if value is False:
        # YAML's `no` and `off`.
        raise ValueError(f"must be a length of time such as 6h, or {NEVER}")
    if value is None or value == NEVER:
        return NEVER if value else None
    return parse_duration(value)


def _show_interval(every: timedelta | str | None) -> str | None:
    return show_duration(every) if isinstance(every, timedelta) else every


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = _near_zone(name)
        hint = f"; did you mean '{near}'?" if near else ""
        raise ValueError(f"'{name}' is no time zone, such as UTC or Europe/Berlin{hint}") from error
    return name


def _near_zone(name: str) -> str | None:
    """What is spelled alike, or in that city."""
    zones = {zone.lower(): zone for zone in sorted(available_timezones())}
    wanted = name.lower().replace(" ", "_")
    cities = [lower for lower in zones if lower.endswith(f"/{wanted}")]
    near = [wanted] if wanted in zones else cities or difflib.get_close_matches(wanted, zones, n=1)
    return zones[near[0]] if near else None


Interval = Annotated[
    timedelta | Literal["never"] | None,
    PlainValidator(_parse_interval),
    PlainSerializer(_show_interval, when_used="json"),
]
Zone = Annotated[str, AfterValidator(_known_zone)]


class ScheduleRule(Record):
    """When the repositories of a rule are checked; None: as the section `schedule` says.

    ``every`` is a length of time or ``never``, ``cron`` a crontab in ``timezone``; its repositories
    start spread over ``spread``. Nothing starts ``not_between``. A root that was judged at its
    newest commit less than ``minimum_age`` ago is left out. A sweep that isn't complete after
    ``deadline`` is closed.
    """

    every: Interval = None
    cron: Cron | None = None
    spread: Duration | None = None
    not_between: tuple[Window, ...] | None = None
    timezone: Zone | None = None
    minimum_age: Duration | None = None
    deadline: Duration | None = None

    @field_validator("not_between", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: object) -> object:
        # With nothing after its colon, as any other list.
        return () if value is None else value

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        if self.every is not None and self.cron is not None:
            raise ValueError("has both 'every' and 'cron': say one of the two")
        if self.every is not None and self.spread is not None:
            raise ValueError(
                "has both 'every' and 'spread': 'every' is spread over all of its interval, and "
                "'spread' belongs to 'cron'"
            )
        if self.not_between and cover_the_day(self.not_between):
            raise ValueError("'not_between' covers the whole day: nothing could ever start")
        return self


class ScheduleSettings(ScheduleRule):
    """When repositories are checked, whole: with neither ``every`` nor ``cron`` none ever is."""

    not_between: tuple[Window, ...] = ()
    timezone: Zone = "UTC"
    deadline: Duration = timedelta(hours=12)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (interval := self.interval) is None:
            return self
        name = "every" if self.cron is None else "cron"
        if interval < _SHORTEST_INTERVAL:
            raise ValueError(
                f"'{name}' starts a repository again after {show_duration(interval)}: at least "
                f"{show_duration(_SHORTEST_INTERVAL)} must be between"
            )
        if self.spread is not None and self.spread > interval:
            raise ValueError(
                f"'spread' ({show_duration(self.spread)}) is longer than the shortest time between "
                f"two starts of 'cron' ({show_duration(interval)})"
            )
        if self.minimum_age is not None and self.minimum_age > interval / 2:
            raise ValueError(
                f"'minimum_age' ({show_duration(self.minimum_age)}) is over half of '{name}' "
                f"({show_duration(interval)}): what was checked a little late would be left out "
                f"the next time; {show_duration(interval / 2)} at most"
            )
        return self

    @property
    def interval(self) -> timedelta | None:
        """The shortest time between two starts of a repository; None where none is scheduled."""
        if self.cron is not None:
            return shortest_gap(self.cron)
        return self.every if isinstance(self.every, timedelta) else None

    @property
    def zone(self) -> ZoneInfo:
        """The zone of ``cron`` and ``not_between``."""
        return ZoneInfo(self.timezone)

    @property
    def spread_over(self) -> timedelta:
        """Over how long after its moment the repositories start."""
        if self.cron is None:
            return self.interval or timedelta()
        return self.spread if self.spread is not None else min(_HOUR, shortest_gap(self.cron))

    @property
    def left_out_for(self) -> timedelta:
        """How long a root that was judged is left out: ``minimum_age``, or its default."""
        if self.minimum_age is not None:
            return self.minimum_age
        return min(_HOUR, self.interval / 2) if self.interval else _HOUR


@lru_cache(maxsize=1024)
def schedule_of(default: ScheduleSettings, rule: ScheduleRule | None) -> ScheduleSettings:
    """What counts for the repositories of a rule: what it says, and else the default.

    Raises
    ------
    ValidationError
        The two contradict each other; `Settings` refuses such rules.
    """
    if rule is None:
        return default
    names = list(ScheduleRule.model_fields)
    said = {name: getattr(rule, name) for name in names if getattr(rule, name) is not None}
    whole = {name: getattr(default, name) for name in names}
    if said.keys() & {"every", "cron"}:
        whole.update(every=None, cron=None)
    if "every" in said:
        whole.update(spread=None)
    whole.update(said)
    return ScheduleSettings(**{name: value for name, value in whole.items() if value is not None})


def refuse_contradiction(
    default: ScheduleSettings, rule: ScheduleRule | None, check_seconds: float
) -> None:
    """Refuse a schedule that can't be kept; ``check_seconds`` is the limit of one check.

    Raises
    ------
    ValueError
        Names the two settings that contradict each other.
    """
    try:
        schedule = schedule_of(default, rule)
    except ValidationError as error:
        raise ValueError("; ".join(str(one["ctx"]["error"]) for one in error.errors())) from error
    if schedule.deadline > _LONGEST_DEADLINE:
        raise ValueError(
            f"'deadline' ({show_duration(schedule.deadline)}) is longer than Redis is told to keep "
            f"an open sweep: {show_duration(_LONGEST_DEADLINE)} at most"
        )
    if schedule.deadline.total_seconds() < check_seconds:
        raise ValueError(
            f"'deadline' ({show_duration(schedule.deadline)}) is shorter than one check may take "
            f"('limits.timeout_seconds': {check_seconds:.0f})"
        )
