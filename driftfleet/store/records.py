"""Records in an object store: results, the latest of each root, sweeps."""

from collections.abc import Iterator

from driftfleet.errors import ContractError
from driftfleet.results import LatestRecord, Result, SweepRecord, decode_record
from driftfleet.store.objects import ObjectStore


class ResultStore:
    """Keeps results under the keys that docs/results.md documents."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def add(self, result: Result) -> str:
        """Keep a result in the history and as the latest where it is newer; return its key.

        Adding the same result twice leaves one. Raises `StoreUnavailable`.
        """
        key = result.history_key
        self._objects.put(key, _encode(result))
        latest = self._readable_latest(result.latest_key)
        # By their start: a check that took long saw an older world than one that began after it.
        if latest is None or latest.result.started_at < result.started_at:
            self._objects.put(result.latest_key, _encode(_follow(latest, result)))
        return key

    def _readable_latest(self, key: str) -> LatestRecord | None:
        try:
            return self.latest(key)
        except ContractError:
            # Half a record, or one of another schema, must not keep a root from being judged.
            return None

    def get(self, key: str) -> Result | None:
        """The result of the history under ``key``. Raises `StoreUnavailable`, `ContractError`."""
        body = self._objects.get(key)
        return None if body is None else decode_record(Result, body)

    def latest(self, key: str) -> LatestRecord | None:
        """The latest record under ``key``. Raises `StoreUnavailable`, `ContractError`."""
        body = self._objects.get(key)
        return None if body is None else decode_record(LatestRecord, body)

    def latest_keys(self) -> Iterator[str]:
        """The keys of all latest records."""
        return self._objects.keys("latest/")

    def put_sweep(self, sweep: SweepRecord) -> str:
        """Keep a sweep's record; return its key. Raises `StoreUnavailable`."""
        key = f"sweeps/{sweep.sweep_id}.json"
        self._objects.put(key, _encode(sweep))
        return key

    def sweep(self, sweep_id: str) -> SweepRecord | None:
        """A sweep's record. Raises `StoreUnavailable`, `ContractError`."""
        body = self._objects.get(f"sweeps/{sweep_id}.json")
        return None if body is None else decode_record(SweepRecord, body)

    def describe(self, key: str) -> str:
        """Where a person finds the record: a path or a URL."""
        return self._objects.describe(key)


def _encode(record: Result | LatestRecord | SweepRecord) -> bytes:
    return record.model_dump_json(indent=2).encode() + b"\n"


def _follow(latest: LatestRecord | None, result: Result) -> LatestRecord:
    if latest is None or latest.result.verdict != result.verdict:
        return LatestRecord(first_seen=result.finished_at, streak=1, result=result)
    return LatestRecord(first_seen=latest.first_seen, streak=latest.streak + 1, result=result)
