"""What is due, from what is stored and the time: pure, so that whoever asks finds the same.

A repository's moments come from its name and the schedule alone. Those that fall into a closed time
move behind it; what is left are its slots. docs/schedule.md tells it at length.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from driftfleet.cron import last_fire, next_fire
from driftfleet.jobs import Job
from driftfleet.latest import LatestRecord
from driftfleet.places import place
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.swept import Swept
from driftfleet.windows import Span, closed_at, next_closed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_MOST_MOVED = timedelta(hours=1)
# What is noted for a later time than that was noted by a clock that is wrong.
_SKEW = timedelta(hours=2)


def slot_name(host: str, repo: str, ref: str = "") -> str:
    """What a repository's slots are worked out from: ``host/owner/name@ref``, which ignores case
    where GitHub does.
    """
    return f"{host}/{repo}".lower() + f"@{ref}"


def offset(name: str, interval: timedelta) -> timedelta:
    """Where in the interval ``name`` starts: the same always, in whole seconds, evenly spread."""
    digest = hashlib.sha256(name.encode()).digest()
    seconds = int(interval.total_seconds())
    return timedelta(seconds=int.from_bytes(digest[:8], "big") * seconds >> 64)


def latest_slot(schedule: ScheduleSettings, name: str, now: datetime) -> datetime | None:
    """The repository's last slot up to ``now``, in UTC; None where it has none."""
    moment = _moment_until(schedule, name, now)
    while moment is not None:
        slot = _moved(schedule, name, moment)
        if slot <= now:
            return slot
        # What falls into one closed time moves to one slot, so what came before it is next.
        span = closed_at(schedule.not_between, schedule.zone, moment)
        assert span is not None
        moment = _moment_until(schedule, name, span.start - _TICK)
    return None


def next_slot(schedule: ScheduleSettings, name: str, after: datetime) -> datetime | None:
    """The repository's first slot after ``after``, in UTC; None where it has none."""
    before = _moment_until(schedule, name, after)
    if before is not None and (slot := _moved(schedule, name, before)) > after:
        return slot
    moment = _moment_after(schedule, name, after)
    return None if moment is None else _moved(schedule, name, moment)


def is_due(
    schedule: ScheduleSettings,
    name: str,
    now: datetime,
    swept_at: datetime | None,
    first_seen: datetime,
) -> bool:
    """Whether a sweep is to start: it is overdue, and now is no closed time."""
    if closed_at(schedule.not_between, schedule.zone, now) is not None:
        return False
    return is_overdue(schedule, name, now, swept_at, first_seen)


def is_overdue(
    schedule: ScheduleSettings,
    name: str,
    now: datetime,
    swept_at: datetime | None,
    first_seen: datetime,
) -> bool:
    """Whether a slot has come since the last sweep began, be it one or many.

    A repository that was never swept waits for its first slot after ``first_seen``, so that a new
    fleet doesn't start all at once.
    """
    slot = latest_slot(schedule, name, now)
    known = swept_at or first_seen
    return slot is not None and (known < slot or known > now + _SKEW)


def order(due: Iterable[Swept]) -> list[Swept]:
    """Whose turn is first where not all can start: by how long ago they were swept, or seen."""
    return sorted(due, key=lambda one: (one.swept_at or one.first_seen, one.repo, one.ref))


def due_jobs(
    jobs: Sequence[Job],
    latest: Mapping[str, LatestRecord],
    minimum_age: timedelta,
    now: datetime,
) -> list[Job]:
    """Those that are to be asked for now: what was never judged first, then the oldest.

    ``latest`` is by `driftfleet.results.place`. Left out is what was judged as it is, at this
    commit, less than ``minimum_age`` ago, unless by an error that may have passed.
    """

    def known(job: Job) -> LatestRecord | None:
        return latest.get(place(job))

    due = [job for job in jobs if not _is_fresh(job, known(job), minimum_age, now)]
    judged = {id(job): record.result.started_at for job in due if (record := known(job))}
    return sorted(due, key=lambda job: judged.get(id(job), _EPOCH))


def _is_fresh(job: Job, latest: LatestRecord | None, minimum_age: timedelta, now: datetime) -> bool:
    if latest is None:
        return False
    result = latest.result
    if (result.job.source.sha, result.job.variant) != (job.source.sha, job.variant):
        return False
    if result.error is not None and result.error.transient:
        return False
    # A worker's clock may be ahead: what is from far in the future isn't fresh for all that time.
    return abs(now - result.started_at) < minimum_age


def _moment_until(schedule: ScheduleSettings, name: str, at: datetime) -> datetime | None:
    shift = offset(name, schedule.spread_over)
    if schedule.cron is not None:
        fire = last_fire(schedule.cron, schedule.zone, at - shift)
        return None if fire is None else fire + shift
    if schedule.interval is None:
        return None
    first = _EPOCH + shift
    return first + (at - first) // schedule.interval * schedule.interval


def _moment_after(schedule: ScheduleSettings, name: str, after: datetime) -> datetime | None:
    if schedule.cron is not None:
        shift = offset(name, schedule.spread_over)
        fire = next_fire(schedule.cron, schedule.zone, after - shift)
        return None if fire is None else fire + shift
    before = _moment_until(schedule, name, after)
    return None if before is None or schedule.interval is None else before + schedule.interval


def _moved(schedule: ScheduleSettings, name: str, moment: datetime) -> datetime:
    """The moment itself, or where it falls into a closed time one behind that."""
    while (span := closed_at(schedule.not_between, schedule.zone, moment)) is not None:
        moment = _behind(schedule, name, span)
    return moment


def _behind(schedule: ScheduleSettings, name: str, span: Span) -> datetime:
    """Within an hour behind a closed time: the repository's own next moment, else spread anew.

    So the order of moments is that of their slots, and nothing starts twice within that hour.
    """
    following = next_closed(schedule.not_between, schedule.zone, span.end)
    room = min(_MOST_MOVED, following.start - span.end) if following else _MOST_MOVED
    own = _moment_after(schedule, name, span.end - _TICK)
    if own is not None and own < span.end + room:
        return own
    # Not by the same hash: those of one closed time lie beside each other in the interval.
    return span.end + offset(f"{name} moved", room)
