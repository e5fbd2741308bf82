"""The word that the whole path is there: beat -> queue -> worker -> store, once a minute."""

from typing import Literal

from driftfleet.model import Record

HEARTBEAT_TASK = "driftfleet.heartbeat"
HEARTBEAT_KEY = "heartbeat.json"


class Heartbeat(Record):
    """When it was sent and stored, in seconds since the epoch, and by which worker."""

    schema_version: Literal[1] = 1
    sent_at: float
    stored_at: float
    worker: str
