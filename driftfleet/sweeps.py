"""What a sweep asks for, and what came back."""

import json
from typing import Literal

from pydantic import AwareDatetime, Field

from driftfleet.jobs import Job
from driftfleet.model import Record
from driftfleet.results import ErrorKind, Timings, Verdict


class Answered(Record):
    """A check of a sweep, and where its time went."""

    title: str
    verdict: Verdict
    timings_seconds: Timings


class SweepSummary(Record):
    """What a closed sweep comes down to.

    ``verdicts`` counts its answers; ``errors`` names the kind of each that is one, by title;
    ``timings_seconds`` is the sum over its checks of each phase; ``slowest`` are those that took
    longest in all. An answer of which Redis and the store know no time is not in the last two.
    """

    verdicts: dict[Verdict, int] = Field(default_factory=dict)
    errors: dict[str, ErrorKind] = Field(default_factory=dict)
    timings_seconds: Timings = Timings()
    slowest: tuple[Answered, ...] = ()


class SweepRecord(Record):
    """What a sweep asked for and what came back. ``closed_at`` is None while it runs.

    ``missing`` are titles of jobs that were never answered, ``superseded`` of those that a newer
    commit replaced while they waited, ``problems`` sentences about what could not be looked at, so
    that nothing was asked for it. At ``deadline`` it is closed, whatever is missing then; there is
    a ``summary`` of it from its close on.
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
    summary: SweepSummary | None = None


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
