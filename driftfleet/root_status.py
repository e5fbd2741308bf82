"""A root and variant in one line: what `status` prints and the dashboard's table shows."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from driftfleet.errors import Phase
from driftfleet.latest import LastError, LatestRecord
from driftfleet.model import Record
from driftfleet.places import Named
from driftfleet.results import ErrorKind, Summary, Timings, Verdict

_LONGEST_MESSAGE = 300


class RootStatus(Record):
    """What is known of a root and variant, without its changes.

    ``repo`` is ``owner/name``, or ``local/NAME-DIGEST`` of a folder; ``key`` and ``result_key``
    name its latest record and its result in the store. ``checked_at`` is when the last check
    finished, ``judged_at`` when the last one did that was no error; the other times are those of
    `driftfleet.latest.LatestRecord`. ``before`` is the verdict that the present one followed; None
    where nobody knows of another. Of an error there are phase, kind and how its message begins.
    """

    schema_version: Literal[1] = 1
    key: str
    kind: Literal["local", "github"]
    repo: str
    root: str
    variant: str
    ref: str = ""
    sha: str = ""
    verdict: Verdict
    before: Verdict | None = None
    summary: Summary = Summary()
    error_phase: Phase | None = None
    error_kind: ErrorKind | None = None
    error_message: str = ""
    first_seen: AwareDatetime
    streak: int
    drifted_since: AwareDatetime | None = None
    unapplied_since: AwareDatetime | None = None
    last_clean: AwareDatetime | None = None
    last_error: LastError | None = None
    fingerprint: str = ""
    fingerprint_since: AwareDatetime | None = None
    checked_at: AwareDatetime
    judged_at: AwareDatetime | None = None
    started_at: AwareDatetime
    timings_seconds: Timings = Timings()
    sweep_id: str
    result_key: str

    @property
    def title(self) -> str:
        """As `driftfleet.jobs.Job.title`."""
        return Named(self.repo, self.root, self.variant).title

    @property
    def counts(self) -> Summary:
        """What of ``summary`` somebody may have to act on.

        Outputs of a clean root only follow what drifted and was taken over.
        """
        if self.verdict != Verdict.CLEAN:
            return self.summary
        return self.summary.model_copy(update={"outputs": 0})

    @property
    def since(self) -> datetime:
        """Since when somebody should have acted: an error in between doesn't make drift younger.

        Of a clean root, and of one in error, since when it has been so.
        """
        if self.verdict in (Verdict.CLEAN, Verdict.ERROR):
            return self.first_seen
        known = [self.drifted_since, self.unapplied_since]
        return min((one for one in known if one), default=self.first_seen)

    def is_stale(self, now: datetime, after: timedelta) -> bool:
        """Whether nothing has judged it for longer. An error is no judgement.

        One that was never judged counts from when it has been in error, which is when it was met.
        """
        return now - (self.judged_at or self.first_seen) > after


def status_of(key: str, latest: LatestRecord) -> RootStatus:
    """The line of the latest record under ``key``."""
    result, job, error = latest.result, latest.result.job, latest.result.error
    return RootStatus(
        key=key,
        kind=job.source.kind,
        repo=job.source.slug,
        root=job.root,
        variant=job.variant.name,
        ref=job.source.ref,
        sha=job.source.sha,
        verdict=result.verdict,
        before=next((r.verdict for r in latest.runs if r.verdict != result.verdict), None),
        summary=result.summary,
        error_phase=error.phase if error else None,
        error_kind=error.kind if error else None,
        error_message=error.message[:_LONGEST_MESSAGE] if error else "",
        first_seen=latest.first_seen,
        streak=latest.streak,
        drifted_since=latest.drifted_since,
        unapplied_since=latest.unapplied_since,
        last_clean=latest.last_clean,
        last_error=latest.last_error,
        fingerprint=latest.fingerprint,
        fingerprint_since=latest.fingerprint_since,
        checked_at=result.finished_at,
        judged_at=result.finished_at if error is None else _judged_at(latest),
        started_at=result.started_at,
        timings_seconds=result.timings_seconds,
        sweep_id=job.sweep_id,
        result_key=result.history_key,
    )


def _judged_at(latest: LatestRecord) -> datetime | None:
    """When a check last ended that was no error; where its run was dropped, no later than that."""
    runs = [run.last for run in latest.runs if run.verdict != Verdict.ERROR]
    known = [latest.last_clean, latest.fingerprint_since, *runs]
    return max((one for one in known if one), default=None)
