"""The ledger: which checks are wanted, wait, run and were answered, and for which sweeps.

The queue is only how a check gets to a worker, and Redis' transport loses messages. What has to be
answered stands here, and in the store (docs/queue.md).
"""

from driftfleet.ledger.in_redis import RedisLedger
from driftfleet.ledger.memory import MemoryLedger
from driftfleet.ledger.port import Ledger
from driftfleet.ledger.records import (
    CLOSED_SECONDS,
    LEASE_SECONDS,
    MOST_RECENT,
    OPEN_SECONDS,
    RENEW_SECONDS,
    Answer,
    Ask,
    Begun,
    Counts,
    Judged,
    Opened,
    OpenSweep,
    Recent,
    Running,
    Settled,
    WorkerSeen,
)
from driftfleet.ledger.strangers import met_stranger

__all__ = [
    "CLOSED_SECONDS",
    "LEASE_SECONDS",
    "MOST_RECENT",
    "OPEN_SECONDS",
    "RENEW_SECONDS",
    "Answer",
    "Ask",
    "Begun",
    "Counts",
    "Judged",
    "Ledger",
    "MemoryLedger",
    "OpenSweep",
    "Opened",
    "Recent",
    "RedisLedger",
    "Running",
    "Settled",
    "WorkerSeen",
    "met_stranger",
]
