"""Checks of what `driftfleet doctor` finds of the result store: it has to keep what it is given."""

import contextlib
import os
import secrets
from pathlib import Path

from driftfleet.errors import ConfigurationError, StoreUnavailable
from driftfleet.s3_settings import SCHEME as S3_SCHEME
from driftfleet.settings import Settings
from driftfleet.store import open_objects
from driftfleet.store.objects import ObjectStore
from producer.doctor.findings import Finding, fail, ok

_ELSEWHERE = "name another in results.store (DRIFTFLEET_RESULTS__STORE)"
_UNLIKE = "what was written is not what is read"
_MEND = f"give us the right to write there, free its disk, or {_ELSEWHERE}"
_S3_MEND = f"docs/results.md, S3, has what it needs; or {_ELSEWHERE}"


def results(settings: Settings) -> Finding:
    """Whether the result store takes, gives and removes, and keeps its conditions."""
    try:
        objects = open_objects(settings.results)
    except ConfigurationError as error:
        return fail("results", error.message, "set results.store (DRIFTFLEET_RESULTS__STORE)")
    folder = folder_of(settings)
    if folder is not None and not folder.is_dir():
        return _not_there_yet(folder)
    return try_objects(objects)


def folder_of(settings: Settings) -> Path | None:
    """The folder of a store that is one."""
    scheme, _, path = settings.results.store.partition("://")
    return Path(path) if scheme == "file" else None


def _not_there_yet(folder: Path) -> Finding:
    """A doctor makes none: whoever makes it owns it."""
    existing = next(one for one in folder.parents if one.exists())
    if folder.exists() or not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        existing = folder if folder.exists() else existing
        return fail(
            "results",
            f"{folder}: {existing} is no folder that can be written to",
            f"{_ELSEWHERE}, or give us the right",
        )
    return ok("results", f"{folder} (is made when needed)")


def try_objects(objects: ObjectStore) -> Finding:
    """Everything that a fleet asks of its store, done once, under a key of its own."""
    key = f"doctor/{secrets.token_hex(8)}.json"
    place = objects.describe("")
    try:
        wrong = _wrong_with(objects, key)
        objects.delete(key)
        if wrong is None and objects.get(key) is not None:
            wrong = "what was removed is still there"
    except StoreUnavailable as error:
        with contextlib.suppress(StoreUnavailable):
            objects.delete(key)
        return fail("results", error.message, _S3_MEND if place.startswith(S3_SCHEME) else _MEND)
    if wrong is not None:
        mend = f"it can't be a result store; {_ELSEWHERE}"
        return fail("results", f"{place}: {wrong}", mend)
    return ok("results", f"{place}: writes, reads, lists, refuses a second writer, removes")


def _wrong_with(objects: ObjectStore, key: str) -> str | None:
    if not objects.put_if(key, b"1", None):
        return "a new object was refused as if there were one"
    body, tag = objects.get_tagged(key) or (b"", "")
    if body != b"1":
        return _UNLIKE
    if list(objects.keys(key)) != [key]:
        return "what was written is not listed"
    for body, seen, taken, wrong in (
        (b"2", None, False, "a second writer was not refused: of two who close a sweep both would"),
        (b"2", tag, True, "who had seen the present version was refused"),
        (b"3", tag, False, "who had seen an older version was not refused: it replaced a newer"),
    ):
        if objects.put_if(key, body, seen) is not taken:
            return wrong
    return None if objects.get(key) == b"2" else _UNLIKE
