"""What a sweep asks for, and what came back."""

import json
from typing import Literal

from pydantic import AwareDatetime, Field

from driftfleet.jobs import Job
from driftfleet.model import Record
from driftfleet.results import Verdict


class SweepRecord(Record):
    """What a sweep asked for and what came back. ``closed_at`` is None while it runs.

    ``missing`` are titles of jobs that were never answered, ``superseded`` of those that a newer
    commit replaced while they waited, ``problems`` sentences about what could not be looked at, so
    that nothing was asked for it. At ``deadline`` it is closed, whatever is missing then.
    """

    schema_version: Literal[1] = 1
    sweep_id: str
    source: str
    asked: tuple[str, ...]
    answered: dict[str, Verdict] = Field(default_factory=dict)
    missing: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    started_at: AwareDatetime
    deadline: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None


class SweepManifest(Record):
    """The jobs of a sweep that is open: what is sent again when Redis has lost it."""

    schema_version: Literal[1] = 1
    sweep_id: str
    jobs: tuple[Job, ...]
    asked_at: AwareDatetime
    deadline: AwareDatetime

    def encode(self) -> bytes:
        """Compact JSON without the defaults, which `decode_record` restores."""
        told = self.model_dump(mode="json", exclude_defaults=True)
        told = {"schema_version": self.schema_version, **told}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
