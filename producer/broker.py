"""What Redis holds of the queues: kombu's lists and what workers have taken (kombu 5.7).

It reads kombu's own keys: pyproject.toml pins kombu's minor version.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import redis

from driftfleet.celery_app import PRIORITY_STEPS
from driftfleet.errors import ContractError
from driftfleet.jobs import CHECK_QUEUES, decode_job
from driftfleet.ledger import keys
from driftfleet.redis_client import ask_redis

_SEPARATOR = "\x06\x16"
_HELD_KEYS = ("unacked", "unacked_index")
_PAGE = 500
# A message's id ends in the identity of its check (driftfleet.celery_app.send). In `unacked` the
# message is text within JSON, and its quotes are escaped.
_IDENTITIES = r"""
local id = '\\?"id\\?": ?\\?"[^"\\]-(' .. string.rep('%x', 24) .. ')\\?"'
local function identity(text) return text:match(id) end
local found = {}
if KEYS[1] == 'unacked' then
  local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
  for n = 2, #page[2], 2 do found[#found + 1] = identity(page[2][n]) end
  return {page[1], found}
end
local items = redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[1] + ARGV[2] - 1)
for _, item in ipairs(items) do found[#found + 1] = identity(item) end
return {#items < tonumber(ARGV[2]) and '0' or tostring(ARGV[1] + ARGV[2]), found}
"""


def queue_keys() -> tuple[str, ...]:
    """The lists of all queues of checks, the most urgent first."""
    return tuple(
        f"{name}{_SEPARATOR}{step}" if step else name
        for step in PRIORITY_STEPS
        for name in CHECK_QUEUES
    )


class Broker:
    """The messages of checks. Everything raises `BrokerUnavailable`."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._identities = client.register_script(_IDENTITIES)

    def holds_messages(self) -> bool:
        """Whether a message waits or is with a worker."""
        return bool(ask_redis(lambda: self._redis.exists(*queue_keys(), "unacked", keys.LATER)))

    def forget_messages(self) -> None:
        """Drop all messages, those of a dead worker too: for the scan that owns this Redis."""
        ask_redis(lambda: self._redis.delete(*queue_keys(), *_HELD_KEYS, keys.LATER))

    def length(self) -> int:
        """How many messages wait."""

        def count() -> list[int]:
            with self._redis.pipeline(transaction=False) as pipe:
                for key in queue_keys():
                    pipe.llen(key)
                return [int(length) for length in pipe.execute()]

        return sum(ask_redis(count))

    def put_off(self) -> int:
        """How many jobs wait for their time."""
        return int(ask_redis(lambda: self._redis.zcard(keys.LATER)))

    def oldest_sent_at(self) -> float | None:
        """When the message was sent that has waited longest, in seconds since the epoch."""

        def ends() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                for key in queue_keys():
                    pipe.lindex(key, -1)
                return pipe.execute()

        times = [at for message in ask_redis(ends) if (at := _sent_at(message)) is not None]
        return min(times, default=None)

    def identities(self) -> set[str]:
        """The checks that the queue knows of: waiting, with a worker, put off, or for a cap.

        Page by page: one that moves meanwhile may be missed, so what is missing is only probably
        lost. Those with workers come last, for that is where the waiting ones go.
        """
        found: set[str] = set()
        parked: Any = ask_redis(lambda: list(self._redis.scan_iter(f"{keys.PARKED}*", count=1000)))
        for key in parked:
            jobs: Any = ask_redis(lambda key=key: self._redis.lrange(key, 0, -1))  # type: ignore[misc]
            found.update(_identities_of_jobs(jobs))
        later: Any = ask_redis(lambda: self._redis.zrange(keys.LATER, 0, -1))
        found.update(_identities_of_jobs(later))
        for key in (*queue_keys(), "unacked"):
            found.update(self._identities_in(key))
        return found

    def _identities_in(self, key: str) -> Iterator[str]:
        cursor = "0"
        while True:
            page: Any = ask_redis(
                lambda cursor=cursor: self._identities(keys=[key], args=[cursor, _PAGE])  # type: ignore[misc]
            )
            yield from (one.decode() for one in page[1])
            cursor = page[0].decode()
            if cursor == "0":
                return


def _identities_of_jobs(jobs: Any) -> Iterator[str]:
    for text in jobs:
        with contextlib.suppress(ContractError, ValueError, RecursionError):
            yield decode_job(json.loads(text)).identity


def _sent_at(message: bytes | None) -> float | None:
    try:
        sent_at = float(json.loads(message or b"{}")["headers"]["sent_at"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return sent_at if math.isfinite(sent_at) else None
