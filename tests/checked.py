"""Results of checks as stores keep them, and a store that counts what it is asked."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from driftfleet.fingerprint import fingerprint
from driftfleet.jobs import Job, Source, Variant
from driftfleet.results import (
    Change,
    CheckError,
    ErrorKind,
    Result,
    Summary,
    Timings,
    Verdict,
)
from driftfleet.store.objects import Listed, ObjectStore

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def job(
    root: str = "envs/prod", variant: str = "default", repo: str = "acme/infra", ref: str = ""
) -> Job:
    return Job(
        sweep_id="s1",
        source=Source(kind="github", repo=repo, ref=ref, sha="0" * 40),
        root=root,
        variant=Variant(name=variant),
    )


def checked(
    of: Job | None = None,
    hours: float = 0,
    verdict: Verdict = Verdict.CLEAN,
    *,
    address: str = "aws_instance.a",
    message: str = "no credentials",
) -> Result:
    """The answer to a job that took ten seconds and ended then; drift is of one resource."""
    kinds = {
        Verdict.DRIFTED: ("drift",),
        Verdict.UNAPPLIED: ("unapplied",),
        Verdict.DRIFTED_UNAPPLIED: ("drift", "unapplied"),
    }.get(verdict, ())
    changes = tuple(
        Change.model_validate(
            {
                "address": address,
                "type": address.partition(".")[0],
                "kind": kind,
                "actions": ("update",),
                "attributes": ("tags",),
            }
        )
        for kind in kinds
    )
    return Result(
        job=of or job(),
        verdict=verdict,
        changes=changes,
        summary=Summary(drifted=kinds.count("drift"), change=kinds.count("unapplied")),
        fingerprint=fingerprint(changes),
        error=CheckError(phase="init", kind=ErrorKind.CREDENTIALS, message=message)
        if verdict == Verdict.ERROR
        else None,
        timings_seconds=Timings(total=10),
        started_at=at(hours) - timedelta(seconds=10),
        finished_at=at(hours),
    )


class Counting:
    """An `ObjectStore` that counts the requests to another one, and what listings gave.

    ``asked`` has ``list`` by prefix, ``get``, ``put`` and ``delete`` by key; ``listed`` counts keys
    by prefix.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.asked: Counter[tuple[str, str]] = Counter()
        self.listed: Counter[str] = Counter()

    def of(self, what: str) -> list[str]:
        """What was asked for in this way."""
        return sorted(name for kind, name in self.asked if kind == what)

    def times(self, what: str) -> int:
        """How often anything was asked for in this way."""
        return sum(count for (kind, _), count in self.asked.items() if kind == what)

    def forget(self) -> None:
        self.asked.clear()
        self.listed.clear()

    def put(self, key: str, body: bytes) -> None:
        self.asked["put", key] += 1
        self._objects.put(key, body)

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        self.asked["put", key] += 1
        return self._objects.put_if(key, body, tag)

    def get(self, key: str) -> bytes | None:
        self.asked["get", key] += 1
        return self._objects.get(key)

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        self.asked["get", key] += 1
        return self._objects.get_tagged(key)

    def delete(self, key: str) -> None:
        self.asked["delete", key] += 1
        self._objects.delete(key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self.asked["list", prefix] += 1
        for key in self._objects.keys(prefix, after):
            self.listed[prefix] += 1
            yield key

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        self.asked["list", prefix] += 1
        for one in self._objects.listing(prefix, after):
            self.listed[prefix] += 1
            yield one

    def describe(self, key: str) -> str:
        return self._objects.describe(key)
