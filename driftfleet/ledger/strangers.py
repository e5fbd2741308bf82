"""Keys of ours that somebody else has written: found, told of, and removed.

What such a key held is lost anyway. A check that is missing then is put back by the producer, and
what a sweep asked for stands in the store (docs/queue.md).
"""

import re
from collections.abc import Iterator
from typing import Any

import redis
import structlog

from driftfleet.ledger import keys
from driftfleet.redis_client import ask_redis

log = structlog.get_logger()

# What Redis says where a script or a command met one.
_SAID = re.compile(r"WRONGTYPE|value is not an integer|not a valid float")
_PAGE = 1000
_TYPES: tuple[tuple[str, str], ...] = (
    (keys.OPEN, "zset"), (keys.ABOUT, "hash"), (keys.LATER, "zset"), (keys.RECENT, "list"),
    (keys.WORKERS, "hash"), (keys.COST, "string"), (keys.PARKED, "list"), (keys.WANT, "string"),
    (keys.JOINED, "set"), (keys.OUTDATED, "string"), (keys.RUN, "string"), (keys.TRIES, "string"),
    (keys.LOST, "string"), (keys.CAP, "zset"), (keys.ROOTS, "hash"),
    (keys.REPORT, "string"),
    ("driftfleet:roster", "string"), ("driftfleet:swept", "hash"),
    ("driftfleet.", "list"), ("unacked_index", "zset"), ("unacked_mutex", "string"),
    ("unacked", "hash"),
)  # fmt: skip
_PARTS = {"pending": "set", "running": "hash", "answered": "list", "opening": "string"}
_SINGLE = (
    keys.OPEN, keys.ABOUT, keys.LATER, keys.RECENT, keys.WORKERS, keys.REPORT,
    "driftfleet:roster", "driftfleet:swept", "unacked", "unacked_index", "unacked_mutex",
)  # fmt: skip
_COUNTERS = (keys.TRIES, keys.LOST)
_PATTERNS = ("driftfleet*", "unacked*")


def met_stranger(error: BaseException) -> bool:
    """Whether Redis refused something because of what a key of ours holds."""
    cause = error.__cause__ or error
    return isinstance(cause, redis.ResponseError) and bool(_SAID.search(str(cause)))


def remove_strangers(client: redis.Redis, *, everywhere: bool) -> int:
    """Remove what can't be ours; how many keys. Raises `BrokerUnavailable`.

    ``everywhere`` looks at all keys: for when something is known to be wrong. Else it looks at
    those of which there is one.
    """
    if everywhere:
        found = [key for pattern in _PATTERNS for key in _found(client, pattern)]
    else:
        found = list(_strangers(client, [key.encode() for key in _SINGLE]))
    for key in found:
        log.error("key_removed", key=key.decode(errors="backslashreplace"), reason="not ours")
        ask_redis(lambda key=key: client.delete(key))  # type: ignore[misc]
    # What these wait for is not known any more: it is asked for again, from the store.
    pending = re.compile(rf"{keys.SWEEP}(.+):pending")
    sweeps = [m[1] for key in found if (m := pending.fullmatch(key.decode(errors="replace")))]
    if sweeps:
        ask_redis(lambda: client.zrem(keys.OPEN, *sweeps))
    return len(found)


def _found(client: redis.Redis, pattern: str) -> Iterator[bytes]:
    cursor: Any = 0
    while True:
        page: Any = ask_redis(
            lambda cursor=cursor: client.scan(cursor, match=pattern, count=_PAGE)  # type: ignore[misc]
        )
        cursor, names = page
        yield from _strangers(client, names)
        if not cursor:
            return


def _strangers(client: redis.Redis, names: list[bytes]) -> Iterator[bytes]:
    def types() -> list[bytes]:
        with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.type(name)
            return pipe.execute()

    for name, kind in zip(names, ask_redis(types), strict=True):
        text = name.decode(errors="replace")
        expected = _expected(text)
        if expected is None or kind == b"none":
            continue
        if kind.decode() != expected or (text.startswith(_COUNTERS) and not _counts(client, name)):
            yield name


def _expected(name: str) -> str | None:
    if name.startswith(keys.SWEEP):
        return _PARTS.get(name.rpartition(":")[2])
    return next((kind for start, kind in _TYPES if name.startswith(start)), None)


def _counts(client: redis.Redis, name: bytes) -> bool:
    value: Any = ask_redis(lambda: client.get(name))
    return value is None or value.isdigit()
