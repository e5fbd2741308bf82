"""Stores with a fleet in them, of which a dashboard can be made."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from driftfleet.fingerprint import fingerprint
from driftfleet.jobs import Job, Source, Variant
from driftfleet.latest import LatestRecord, follow
from driftfleet.ledger import Answer
from driftfleet.results import (
    Change,
    CheckError,
    Cost,
    ErrorKind,
    Result,
    Summary,
    Timings,
    Verdict,
    Versions,
)
from driftfleet.store import ResultStore
from driftfleet.store.objects import ObjectStore
from driftfleet.summing import summed
from driftfleet.sweeps import SweepRecord

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHA = "0123456789abcdef" * 2 + "01234567"


def sweep_id(number: int, at: datetime = AT, kind: str = "sweep") -> str:
    """An id as sweeps have them."""
    return f"{kind}-{at:%Y%m%dT%H%M%S}-{number:06x}"


def job(
    root: str = "a",
    *,
    repo: str = "acme/infra",
    sweep: str = "sweep-20261129T110000-000001",
    variant: str = "default",
    kind: str = "github",
    ref: str = "",
) -> Job:
    """A job of a repository, or with ``kind`` ``local`` of a folder."""
    source = Source.model_validate({"kind": kind, "repo": repo, "ref": ref, "sha": SHA})
    return Job(sweep_id=sweep, source=source, root=root, variant=Variant(name=variant))


def change(
    address: str,
    kind: str = "drift",
    *,
    actions: Sequence[str] = ("update",),
    attributes: Sequence[str] = ("tags",),
    module: str = "",
) -> Change:
    """A change of a resource."""
    return Change.model_validate(
        {
            "address": address, "module": module, "kind": kind, "actions": tuple(actions),
            "attributes": tuple(attributes), "type": "aws_thing", "provider": "hashicorp/aws",
        }
    )  # fmt: skip


def result(
    of: Job,
    verdict: Verdict = Verdict.CLEAN,
    *,
    at: datetime = AT,
    changes: Sequence[Change] = (),
    error: CheckError | None = None,
    cut: int = 0,
    plan: float = 4.5,
) -> Result:
    """An answer that came ``at`` a moment, after some seconds."""
    drifted = sum(one.kind == "drift" for one in changes)
    return Result(
        job=of,
        verdict=Verdict.ERROR if error else verdict,
        summary=Summary(drifted=drifted, change=len(changes) - drifted),
        changes=tuple(changes),
        changes_cut=cut,
        fingerprint=fingerprint(changes),
        error=error,
        versions=Versions(terraform="1.11.4", providers={"hashicorp/aws": "5.91.0"}),
        timings_seconds=Timings(
            wait=12, source=0.8, init=2.1, plan=plan, show=0.4, total=plan + 3.5
        ),
        cost=Cost(
            cpu_seconds=3.2, peak_memory_bytes=812 << 20, peak_disk_bytes=4 << 20, api_calls=3
        ),
        started_at=at - timedelta(seconds=plan + 3.5),
        finished_at=at,
        worker="worker-7",
    )  # fmt: skip


def failed(kind: ErrorKind = ErrorKind.TIMEOUT, message: str = "It took too long.") -> CheckError:
    """Why a check could not be judged."""
    return CheckError(phase="plan", kind=kind, message=message, transient=True)


def latest(*results: Result) -> LatestRecord:
    """What is kept after these, the oldest first."""
    record: LatestRecord | None = None
    for one in results:
        record = follow(record, one)
    assert record is not None
    return record


def closed(
    name: str,
    results: Sequence[Result],
    *,
    missing: Sequence[str] = (),
    problems: Sequence[str] = (),
    at: datetime = AT,
    deadline: datetime | None = None,
) -> SweepRecord:
    """The record of a sweep that these answered."""
    answers = {one.job.title: Answer.of(one, one.history_key) for one in results}
    return SweepRecord(
        sweep_id=name,
        source=", ".join(dict.fromkeys(one.job.source.slug for one in results)),
        asked=(*answers, *missing),
        answered={one.job.title: one.verdict for one in results},
        missing=tuple(missing),
        problems=tuple(problems),
        started_at=at - HOUR,
        deadline=deadline,
        closed_at=at,
        summary=summed(answers),
    )


def swept(
    objects: ObjectStore,
    roots: Sequence[str],
    verdict: Verdict = Verdict.CLEAN,
    *,
    number: int = 1,
    at: datetime = AT,
    repo: str = "acme/infra",
) -> str:
    """Keep a sweep of these roots, and what came back; its id."""
    store = ResultStore(objects)
    name = sweep_id(number, at - HOUR)
    error = failed() if verdict == Verdict.ERROR else None
    changes = [change("aws_thing.x")] if verdict == Verdict.DRIFTED else []
    results = [
        result(job(root, sweep=name, repo=repo), verdict, at=at, changes=changes, error=error)
        for root in roots
    ]
    for one in results:
        store.add(one)
    store.put_sweep(closed(name, results, at=at))
    return name
