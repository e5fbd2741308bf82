"""What Redis tells of itself -> findings. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producer.doctor.findings import Finding, fail, ok, skip, warn

_OLDEST = (6, 2)
_SLOW_SECONDS = 0.05
_SKEW_SECONDS = 2.0
_MUCH_SKEW_SECONDS = 30.0
_NEARLY_FULL = 0.8
_GIB = 1 << 30
_IN_FILE = "and the same in redis.conf, or the managed server's parameters"
_SENT_AGAIN = "it is known in the result store, and sent again within minutes"


@dataclass(frozen=True)
class Told:
    """The answers to INFO and CONFIG GET; None where this user may not ask."""

    info: Mapping[str, Any] | None
    config: Mapping[str, str] | None

    def get(self, field: str, setting: str | None = None) -> str | None:
        """A field of INFO, or where it isn't told the setting of CONFIG that says the same."""
        if self.info is not None and field in self.info:
            return str(self.info[field])
        return None if self.config is None or setting is None else self.config.get(setting)

    @property
    def unseen(self) -> str:
        """Why something isn't known."""
        asked = (("INFO", self.info), ("CONFIG GET", self.config))
        closed = " and ".join(name for name, told in asked if told is None)
        return f"can't be seen: Redis doesn't answer {closed or 'that'} for this user"


def version_finding(told: Told, place: str) -> Finding:
    """What answers at ``place``, and whether it is new enough."""
    version = told.get("redis_version")
    if version is None:
        return skip("broker", f"{place} answers; its version {told.unseen}")
    name = f"Redis {version}"
    if (valkey := told.get("valkey_version")) is not None:
        name = f"Valkey {valkey} (as Redis {version})"
    text = f"{place} answers: {name}"
    numbers = tuple(int(number) for number in re.findall(r"[0-9]+", version)[:2])
    if numbers < _OLDEST:
        return fail("broker", f"{text}, and 6.2 is the oldest that does", "upgrade it")
    if told.get("redis_mode") == "cluster":
        return warn(
            "broker",
            f"{text}, as a Cluster, with which nobody has tried driftfleet",
            "give it a Redis of its own: one primary, with replicas or without",
        )
    return ok("broker", text)


def persistence_finding(told: Told) -> Finding:
    """What a crash of Redis takes with it."""
    appends = told.get("aof_enabled", "appendonly")
    if appends is None:
        return skip("persistence", told.unseen)
    if trouble := _trouble_with_disk(told):
        return trouble
    if appends in ("1", "yes"):
        return _appending(told)
    snapshots = None if told.config is None else told.config.get("save")
    mend = f"CONFIG SET appendonly yes, {_IN_FILE}"
    if snapshots is None:
        text = "no append-only file, and CONFIG, which tells of snapshots, is refused"
        return warn("persistence", f"{text}: a crash may forget what waits", mend)
    if snapshots:
        text = f"snapshots only (save {snapshots}): a crash forgets jobs that came since the last"
        return warn("persistence", f"{text}; {_SENT_AGAIN}", mend)
    text = "none: a restart of Redis forgets what waits"
    return warn("persistence", f"{text}; {_SENT_AGAIN}", mend)


def _trouble_with_disk(told: Told) -> Finding | None:
    kinds = (("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "snapshot"))
    for field, what in kinds:
        if told.get(field) not in (None, "ok"):
            return fail(
                "persistence",
                f"the last {what} could not be written ({field}: {told.get(field)})",
                "Redis's log says why: most often its disk is full",
            )
    return None


def _appending(told: Told) -> Finding:
    often = told.config and told.config.get("appendfsync")
    if often == "no":
        return warn(
            "persistence",
            "append-only file, written whenever the kernel likes (appendfsync no): a power cut "
            f"forgets up to half a minute; {_SENT_AGAIN}",
            f"CONFIG SET appendfsync everysec, {_IN_FILE}",
        )
    return ok("persistence", "append-only file" + (f", appendfsync {often}" if often else ""))


def eviction_finding(told: Told) -> Finding:
    """Whether Redis would rather forget a job than refuse one."""
    policy = told.get("maxmemory_policy", "maxmemory-policy")
    if policy is None:
        return skip("eviction", told.unseen)
    if policy == "noeviction":
        return ok("eviction", "none (maxmemory-policy noeviction)")
    return fail(
        "eviction",
        f"maxmemory-policy is {policy}: where memory runs short Redis forgets jobs, silently",
        f"CONFIG SET maxmemory-policy noeviction, {_IN_FILE}",
    )


def memory_finding(told: Told) -> Finding:
    """Whether there is room for jobs: a hundred thousand take about 120 MB."""
    limit, used = told.get("maxmemory", "maxmemory"), told.get("used_memory")
    if limit is None or used is None:
        return skip("memory", told.unseen)
    total, kind = int(limit), "maxmemory"
    if not total:
        total, kind = int(told.get("total_system_memory") or 0), "the machine's, no maxmemory"
    if not total:
        return ok("memory", f"{_size(int(used))} used, and no limit is told")
    text = f"{_size(int(used))} of {_size(total)} used ({kind})"
    if int(used) > total * _NEARLY_FULL:
        return warn(
            "memory",
            f"{text}: once it is full Redis refuses jobs",
            "see what fills it (INFO keyspace, redis-cli --bigkeys); give it more, or driftfleet a "
            "Redis of its own",
        )
    return ok("memory", text)


def latency_finding(seconds: float) -> Finding:
    """``seconds`` is the median of a few PINGs."""
    text = f"{seconds * 1000:.1f} ms for a PING"
    if seconds > _SLOW_SECONDS:
        mend = (
            "put Redis near to workers and producers; see its slow log (SLOWLOG GET), and whether "
            "its machine is busy"
        )
        return warn("latency", f"{text}: every job waits for several", mend)
    return ok("latency", text)


def clock_finding(ahead_seconds: float, uncertain_seconds: float) -> Finding:
    """``ahead_seconds``: by how much this machine's clock is ahead of Redis's; may be negative."""
    skew = abs(ahead_seconds)
    if skew <= _SKEW_SECONDS + uncertain_seconds:
        return ok("clock", f"{skew:.1f} s from Redis's")
    where = "ahead of" if ahead_seconds > 0 else "behind"
    text = f"this machine's is {skew:.1f} s {where} Redis's"
    mend = (
        "set both by NTP (timedatectl, chronyc tracking): by these clocks jobs are taken for lost, "
        "and answers for newer than others"
    )
    level = fail if skew > _MUCH_SKEW_SECONDS + uncertain_seconds else warn
    return level("clock", text, mend)


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / (1 << 20):.1f} MiB"
