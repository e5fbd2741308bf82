"""The newest result of a root and variant, and what came before it."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

from driftfleet.errors import Phase
from driftfleet.model import Record
from driftfleet.results import ErrorKind, Result, Verdict

# So many are kept: with one change of mind a day a month and a half.
MOST_RUNS = 50
_DRIFT = (Verdict.DRIFTED, Verdict.DRIFTED_UNAPPLIED)
_UNAPPLIED = (Verdict.UNAPPLIED, Verdict.DRIFTED_UNAPPLIED)


class LastError(Record):
    """The newest check that could not be judged."""

    at: AwareDatetime
    phase: Phase
    kind: ErrorKind


class Run(Record):
    """Checks in a row that said the same: one verdict, one fingerprint, one kind of error.

    ``first`` and ``last`` are when the first and the last of them finished. ``error`` is the kind.
    """

    verdict: Verdict
    fingerprint: str = ""
    error: ErrorKind | None = None
    first: AwareDatetime
    last: AwareDatetime
    checks: int = 1


class LatestRecord(Record):
    """The newest result of a root and variant, and since when it has been so.

    ``first_seen`` is when the present verdict was first given without another one between;
    ``streak`` is how many checks in a row gave it. ``drifted_since`` and ``unapplied_since`` are
    when a check first said so of what is still so: an error in between neither ends nor begins
    them. ``fingerprint`` is of the changes of the last check that was judged, and
    ``fingerprint_since`` when it was first seen. ``runs`` is what was said, newest first; the
    oldest are dropped, but never the newest that is no error. Times are those when checks finished.
    """

    schema_version: Literal[1] = 1
    first_seen: AwareDatetime
    streak: int
    drifted_since: AwareDatetime | None = None
    unapplied_since: AwareDatetime | None = None
    last_clean: AwareDatetime | None = None
    last_error: LastError | None = None
    fingerprint: str = ""
    fingerprint_since: AwareDatetime | None = None
    runs: tuple[Run, ...] = ()
    result: Result


def follow(latest: LatestRecord | None, result: Result) -> LatestRecord:
    """The record after one check more, which is newer than what the record knows."""
    at, error = result.finished_at, result.error
    is_judged = result.verdict != Verdict.ERROR
    goes_on = latest is not None and latest.result.verdict == result.verdict
    return LatestRecord(
        first_seen=latest.first_seen if latest and goes_on else at,
        streak=latest.streak + 1 if latest and goes_on else 1,
        drifted_since=_since(latest.drifted_since if latest else None, latest, result, _DRIFT),
        unapplied_since=_since(
            latest.unapplied_since if latest else None, latest, result, _UNAPPLIED
        ),
        last_clean=at if result.verdict == Verdict.CLEAN else latest and latest.last_clean,
        last_error=LastError(at=at, phase=error.phase, kind=error.kind)
        if error
        else latest and latest.last_error,
        fingerprint=result.fingerprint if is_judged else latest.fingerprint if latest else "",
        fingerprint_since=_fingerprint_since(latest, result),
        runs=_runs(_known_runs(latest) if latest else (), result),
        result=result,
    )


def _since(
    before: datetime | None,
    latest: LatestRecord | None,
    result: Result,
    verdicts: tuple[Verdict, ...],
) -> datetime | None:
    if before is None and latest is not None and latest.result.verdict in verdicts:
        # A record of before there was such a field.
        before = latest.first_seen
    if result.verdict == Verdict.ERROR:
        return before
    return (before or result.finished_at) if result.verdict in verdicts else None


def _fingerprint_since(latest: LatestRecord | None, result: Result) -> datetime | None:
    if result.verdict == Verdict.ERROR:
        return latest.fingerprint_since if latest else None
    if not result.fingerprint:
        return None
    is_same = latest is not None and latest.fingerprint == result.fingerprint
    return (latest.fingerprint_since if latest and is_same else None) or result.finished_at


def _known_runs(latest: LatestRecord) -> tuple[Run, ...]:
    """Of a record of before there were runs its streak is one."""
    streak = {"first": latest.first_seen, "checks": latest.streak}
    return latest.runs or (_run(latest.result).model_copy(update=streak),)


def _runs(runs: tuple[Run, ...], result: Result) -> tuple[Run, ...]:
    run = _run(result)
    if runs and _says_the_same(runs[0], run):
        last = max(runs[0].last, run.last)
        longer = runs[0].model_copy(update={"last": last, "checks": runs[0].checks + 1})
        return (longer, *runs[1:])
    return _newest((run, *runs))


def _run(result: Result) -> Run:
    return Run(
        verdict=result.verdict,
        fingerprint=result.fingerprint,
        error=result.error.kind if result.error else None,
        first=result.finished_at,
        last=result.finished_at,
    )


def _newest(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """So many as are kept, with the newest judgement for the last where all others are errors."""
    kept, dropped = runs[:MOST_RUNS], runs[MOST_RUNS:]
    judged = [run for run in runs if run.verdict != Verdict.ERROR]
    return (*kept[:-1], judged[0]) if judged and judged[0] in dropped else kept


def _says_the_same(one: Run, other: Run) -> bool:
    return (one.verdict, one.fingerprint, one.error) == (
        other.verdict,
        other.fingerprint,
        other.error,
    )
