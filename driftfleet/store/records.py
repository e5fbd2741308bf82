"""Records in an object store: results, the latest of each root, sweeps."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from driftfleet.errors import ContractError, StoreUnavailable
from driftfleet.fitting import fit
from driftfleet.jobs import Job
from driftfleet.latest import LatestRecord, follow
from driftfleet.model import Record, RecordT, decode_record
from driftfleet.places import latest_key, place
from driftfleet.results import Result
from driftfleet.store.history import oldest_first
from driftfleet.store.objects import ObjectStore
from driftfleet.store.reading import read_each
from driftfleet.sweeps import SweepManifest, SweepRecord

# Each time somebody else was quicker: so many never are.
_MOST_TRIES = 100
_OPEN = "open/"


class ResultStore:
    """Keeps results under the keys that docs/results.md documents.

    Everything may raise `StoreUnavailable`, and what reads a record `ContractError`.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def add(self, result: Result) -> str:
        """Keep a result in the history and as the latest where it is newer; return its key.

        Adding the same result twice leaves one, and of two that race the newer is the latest. Of
        two results of one key the first is kept, and counts.
        """
        result = fit(result)
        key = result.history_key
        result = self._kept(result)
        for _ in range(_MOST_TRIES):
            latest, tag = self._readable_latest(result.latest_key)
            if latest is not None and _age(result) <= _age(latest.result):
                return key
            if self._objects.put_if(result.latest_key, _encode(follow(latest, result)), tag):
                return key
        raise _never_still(self._objects.describe(result.latest_key))

    def _kept(self, result: Result) -> Result:
        """The result that the history has from now on under this one's key: nothing is replaced."""
        if self._objects.put_if(result.history_key, _encode(result), None):
            return result
        return self._readable_result(result.history_key) or result

    def _readable_latest(self, key: str) -> tuple[LatestRecord | None, str | None]:
        """The latest record, and the tag of what is there."""
        found = self._objects.get_tagged(key)
        if found is None:
            return None, None
        body, tag = found
        try:
            return decode_record(LatestRecord, body), tag
        except ContractError:
            # Half a record, or one of another schema, must not keep a root from being judged.
            return None, tag

    def get(self, key: str) -> Result | None:
        """The result of the history under ``key``."""
        return self.record(Result, key)

    def latest(self, key: str) -> LatestRecord | None:
        """The latest record under ``key``."""
        return self.record(LatestRecord, key)

    def latest_of(self, job: Job) -> LatestRecord | None:
        """The latest record of the job's root and variant."""
        return self.latest(latest_key(job))

    def latest_keys(self) -> Iterator[str]:
        """The keys of all latest records."""
        return self._objects.keys("latest/")

    def answer_of(self, job: Job, since: datetime) -> Result | None:
        """The newest result that answers what ``job`` asks, whatever its sweep; None without one.

        ``since`` is the earliest that it may have finished. Records that can't be read are none.
        """
        latest, _ = self._readable_latest(latest_key(job))
        if latest is not None and _answers(latest.result, job, since):
            return latest.result
        found = map(self._readable_result, self._history(job, since))
        return next((one for one in found if one and _answers(one, job, since)), None)

    def answers_of(self, jobs: Sequence[Job], since: datetime) -> list[Result | None]:
        """`answer_of` for each, many at a time: on a network each takes its time."""
        return read_each(jobs, lambda job: self.answer_of(job, since))

    def latest_of_each(self, jobs: Sequence[Job]) -> list[LatestRecord | None]:
        """`latest_of` for each, many at a time; records that can't be read are none."""
        return read_each(jobs, lambda job: self._readable_latest(latest_key(job))[0])

    def _history(self, job: Job, since: datetime) -> Iterator[str]:
        """The keys of the results of the job's place from then on, newest first."""
        return reversed(list(oldest_first(self._objects, place(job), since)))

    def _readable_result(self, key: str) -> Result | None:
        try:
            return self.get(key)
        except ContractError:
            return None

    def open_sweep(self, record: SweepRecord, manifest: SweepManifest) -> bool:
        """Keep what a sweep asks for, so that it is seen to its end whatever Redis loses.

        False where the sweep has a record already, which stays as it is.
        """
        # Its jobs first: a record without them would be one that nobody closes.
        self._objects.put(_open_key(record.sweep_id), manifest.encode())
        key = _sweep_key(record.sweep_id)
        if self._objects.put_if(key, _encode(record), None):
            return True
        if (body := self._objects.get(key)) is not None and _is_closed(body):
            self._objects.delete(_open_key(record.sweep_id))
        return False

    def open_sweeps(self) -> Iterator[str]:
        """The ids of the sweeps that are open."""
        for key in self._objects.keys(_OPEN):
            yield key.removeprefix(_OPEN).removesuffix(".json")

    def manifest(self, sweep_id: str) -> SweepManifest | None:
        """What an open sweep asks for; None where it is closed."""
        return self.record(SweepManifest, _open_key(sweep_id))

    def close_sweep(self, record: SweepRecord) -> bool:
        """Keep the record of a sweep's end; True for one caller alone, whoever else tries it."""
        assert record.closed_at is not None, f"{record.sweep_id} isn't closed"
        closed = self._close(record)
        # In any case: who closed it may have died before this.
        self._objects.delete(_open_key(record.sweep_id))
        return closed

    def _close(self, record: SweepRecord) -> bool:
        key = _sweep_key(record.sweep_id)
        for _ in range(_MOST_TRIES):
            found = self._objects.get_tagged(key)
            if found is not None and _is_closed(found[0]):
                return False
            if self._objects.put_if(key, _encode(record), found[1] if found else None):
                return True
        raise _never_still(self._objects.describe(key))

    def put_sweep(self, sweep: SweepRecord) -> str:
        """Keep a sweep's record, whatever is there; return its key."""
        key = _sweep_key(sweep.sweep_id)
        self.keep(key, sweep)
        return key

    def sweep(self, sweep_id: str) -> SweepRecord | None:
        """A sweep's record."""
        return self.record(SweepRecord, _sweep_key(sweep_id))

    def keep(self, key: str, record: Record) -> None:
        """Keep any record under ``key``, whatever is there."""
        self._objects.put(key, _encode(record))

    def record(self, model: type[RecordT], key: str) -> RecordT | None:
        """The record of the kind ``model`` under ``key``."""
        body = self._objects.get(key)
        return None if body is None else decode_record(model, body)

    def describe(self, key: str) -> str:
        """Where a person finds the record: a path or a URL."""
        return self._objects.describe(key)


def _encode(record: Record) -> bytes:
    # One line: what reads many of them (Athena, jq, DuckDB) takes each line for a record.
    return record.model_dump_json().encode() + b"\n"


def _sweep_key(sweep_id: str) -> str:
    return f"sweeps/{sweep_id}.json"


def _open_key(sweep_id: str) -> str:
    return f"{_OPEN}{sweep_id}.json"


def _age(result: Result) -> tuple[datetime, str]:
    # By their start: a check that took long saw an older world than one that began after it. The
    # sweep decides between two of one moment, or whoever came first would.
    return result.started_at, result.job.sweep_id


def _answers(result: Result, job: Job, since: datetime) -> bool:
    return result.job.identity == job.identity and result.finished_at >= since


def _is_closed(body: bytes) -> bool:
    try:
        return decode_record(SweepRecord, body).closed_at is not None
    except ContractError:
        return _says_closed(body)


def _says_closed(body: bytes) -> bool:
    """Of a record of another version: it was closed by that one. What is no JSON says nothing."""
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("closed_at") is not None


def _never_still(place: str) -> StoreUnavailable:
    return StoreUnavailable(f"{place} was changed by others each of {_MOST_TRIES} times")
