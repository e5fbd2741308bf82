"""The end of a sweep: its record says what came back, once and only once."""

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from driftfleet.ledger import Answer, Ledger
from driftfleet.results import SweepManifest, SweepRecord, Verdict
from driftfleet.store import ResultStore

log = structlog.get_logger()


def close_sweep(sweep_id: str, ledger: Ledger, store: ResultStore) -> SweepRecord | None:
    """Close a sweep: what isn't answered is missing. Its record, or None where it was closed.

    Whoever calls it, and however often: the store lets one of them do it. Raises
    `BrokerUnavailable` and `StoreUnavailable`; it can be called again then.
    """
    record = store.sweep(sweep_id)
    manifest = store.manifest(sweep_id)
    closed = None
    if record is not None and record.closed_at is None and manifest is not None:
        now = datetime.fromtimestamp(ledger.now(), UTC)
        ended = _ended(record, manifest, ledger.answers(sweep_id), store, now)
        if store.close_sweep(ended):
            closed = ended
            log.info(
                "sweep_closed",
                sweep=sweep_id,
                source=closed.source,
                asked=len(closed.asked),
                answered=len(closed.answered),
                missing=list(closed.missing[:20]),
                missing_count=len(closed.missing),
                superseded=len(closed.superseded),
                seconds=round((now - closed.started_at).total_seconds(), 1),
            )
    ledger.close(sweep_id, [job.identity for job in manifest.jobs] if manifest else ())
    return closed


def _ended(
    record: SweepRecord,
    manifest: SweepManifest,
    answers: Iterable[Answer],
    store: ResultStore,
    now: datetime,
) -> SweepRecord:
    known = {answer.check: answer for answer in answers}
    answered: dict[str, Verdict] = {}
    superseded: list[str] = []
    missing: list[str] = []
    for job in manifest.jobs:
        answer = known.get(job.identity)
        if answer is None:
            # Redis may have forgotten it; the store doesn't.
            result = store.answer_of(job, manifest.asked_at)
            verdict = result.verdict if result else None
        else:
            verdict = answer.verdict
        if verdict is not None:
            answered[job.title] = verdict
        elif answer is not None and answer.superseded_by:
            superseded.append(job.title)
        else:
            missing.append(job.title)
    return record.model_copy(
        update={
            "answered": answered,
            "superseded": tuple(superseded),
            "missing": tuple(missing),
            "closed_at": now,
        }
    )
