"""The end of a sweep: its record says what came back, once and only once."""

import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog

from driftfleet.errors import BrokerUnavailable, ContractError
from driftfleet.ledger import Answer, Ledger
from driftfleet.model import RecordT
from driftfleet.store import ResultStore
from driftfleet.summing import summed
from driftfleet.sweeps import SweepManifest, SweepRecord

log = structlog.get_logger()


def close_sweep(sweep_id: str, ledger: Ledger, store: ResultStore) -> SweepRecord | None:
    """Close a sweep: what isn't answered is missing. Its record, or None where it was closed.

    Whoever calls it, and however often: the store lets one of them do it. A record that can't be
    read is none. Raises `BrokerUnavailable` and `StoreUnavailable`; it can be called again then.
    """
    record = _readable(sweep_id, lambda: store.sweep(sweep_id))
    manifest = _readable(sweep_id, lambda: store.manifest(sweep_id))
    if record is None and manifest is not None:
        # Whoever asked for it died between the two.
        record = _opened(manifest)
    closed = None
    if record is not None and record.closed_at is None:
        now = datetime.fromtimestamp(ledger.now(), UTC)
        ended = _ended(record, manifest, ledger.answers(sweep_id), store, now)
        if store.close_sweep(ended):
            closed = ended
            _tell(ended, now)
            want_report(ledger)
    elif record is not None and manifest is not None:
        # Whoever closed it died before it removed this, and it would be asked for again.
        store.close_sweep(record)
        want_report(ledger)
    ledger.close(sweep_id, [job.identity for job in manifest.jobs] if manifest else ())
    return closed


def want_report(ledger: Ledger) -> None:
    """Have the dashboard made soon. Nothing waits for that: the next one shows it, too."""
    with contextlib.suppress(BrokerUnavailable):
        ledger.want_report()


def _readable(sweep_id: str, read: Callable[[], RecordT | None]) -> RecordT | None:
    try:
        return read()
    except ContractError as error:
        log.error("sweep_unreadable", sweep=sweep_id, reason=error.message)
        return None


def _opened(manifest: SweepManifest) -> SweepRecord:
    """The record that a sweep should have had from its beginning."""
    return SweepRecord(
        sweep_id=manifest.sweep_id,
        source=", ".join(dict.fromkeys(job.source.slug for job in manifest.jobs)),
        asked=tuple(job.title for job in manifest.jobs),
        started_at=manifest.asked_at,
        deadline=manifest.deadline,
    )


def _tell(closed: SweepRecord, now: datetime) -> None:
    log.info(
        "sweep_closed",
        sweep=closed.sweep_id,
        source=closed.source,
        asked=len(closed.asked),
        answered=len(closed.answered),
        missing=list(closed.missing[:20]),
        missing_count=len(closed.missing),
        superseded=len(closed.superseded),
        seconds=round((now - closed.started_at).total_seconds(), 1),
    )


def _ended(
    record: SweepRecord,
    manifest: SweepManifest | None,
    answers: Iterable[Answer],
    store: ResultStore,
    now: datetime,
) -> SweepRecord:
    known = {answer.check: answer for answer in answers}
    jobs = manifest.jobs if manifest else ()
    # Redis may have forgotten an answer; the store doesn't.
    forgotten = [job for job in jobs if job.identity not in known]
    found = store.answers_of(forgotten, record.started_at)
    for job, result in zip(forgotten, found, strict=True):
        if result is not None:
            known[job.identity] = Answer.of(result, result.history_key)
    by_title = {job.title: known[job.identity] for job in jobs if job.identity in known}
    in_order = {title: by_title[title] for title in record.asked if title in by_title}
    answered = {title: one.verdict for title, one in in_order.items() if one.verdict}
    superseded = [title for title, one in in_order.items() if not one.verdict and one.superseded_by]
    accounted = {*answered, *superseded}
    return record.model_copy(
        update={
            "answered": answered,
            "summary": summed(in_order),
            "superseded": tuple(superseded),
            "missing": tuple(title for title in record.asked if title not in accounted),
            "closed_at": now,
        }
    )
