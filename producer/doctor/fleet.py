"""Checks of what `driftfleet doctor` finds of the fleet: whether anybody is at work."""

import time

import redis

from driftfleet.errors import BrokerUnavailable, DriftfleetError
from driftfleet.heartbeat import HEARTBEAT_KEY, Heartbeat
from driftfleet.ledger import RedisLedger, WorkerSeen
from driftfleet.settings import Settings
from driftfleet.store import open_store
from producer.doctor.findings import Finding, ok, skip, warn

# beat sends one a minute; a worker whose slots are all busy takes it when one is free.
_LATE_SECONDS = 15 * 60
_MOST_NAMED = 5


def workers(client: redis.Redis) -> list[Finding]:
    """Whether workers take jobs from this Redis."""
    try:
        return [workers_finding(RedisLedger(client).workers())]
    except BrokerUnavailable as error:
        if not isinstance(error.__cause__, redis.ResponseError):
            raise
        return [skip("workers", f"can't be seen: {error.__cause__}")]


def workers_finding(seen: list[WorkerSeen]) -> Finding:
    """What is said of the workers that told of themselves in the last minutes."""
    if not seen:
        return warn(
            "workers",
            "none has told of itself in the last two minutes: jobs wait",
            "start `driftfleet worker` where the settings are these; where one runs its log says "
            "why it takes nothing",
        )
    names = ", ".join(f"{one.name} ({one.slots})" for one in seen[:_MOST_NAMED])
    more = f" and {len(seen) - _MOST_NAMED} more" if len(seen) > _MOST_NAMED else ""
    text = f"{len(seen)}, with {sum(one.slots for one in seen)} slots: {names}{more}"
    waiting = [f"{one.name} starts nothing: {one.waits_for}" for one in seen if one.waits_for]
    if waiting:
        mend = "give these what they wait for; nothing is lost meanwhile"
        return warn("workers", "\n".join([text, *waiting]), mend)
    return ok("workers", text)


def heartbeat(settings: Settings, now: float | None = None) -> Finding:
    """Whether the whole path works, from beat through queue and worker to the store."""
    try:
        beat = open_store(settings.results).record(Heartbeat, HEARTBEAT_KEY)
    except DriftfleetError as error:
        return skip("heartbeat", error.message)
    if beat is None:
        return skip("heartbeat", "none was ever stored: has `driftfleet beat` been started?")
    age = (time.time() if now is None else now) - beat.stored_at
    took = max(0.0, beat.stored_at - beat.sent_at)
    text = f"{_ago(age)}, {took:.1f} s after beat sent it, by {beat.worker}"
    if age > _LATE_SECONDS:
        return warn(
            "heartbeat",
            f"the last was stored {text}",
            "one of beat, Redis, workers and the store doesn't work: the findings above say which, "
            "or the logs of beat and the workers",
        )
    return ok("heartbeat", f"stored {text}")


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s ago"
    minutes = seconds / 60
    return f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"
