"""What pages there are, and what each was made from: ``site/pages.json``.

It is a cache: without it, or with a broken one, every page is made anew.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

import structlog
from pydantic import Field

from driftfleet.day import DayRecord
from driftfleet.errors import ContractError
from driftfleet.model import Record, decode_record
from driftfleet.remedies import REMEDIES
from driftfleet.report.links import SITE
from driftfleet.report.sweep import SweepLine
from driftfleet.store.objects import ObjectStore

log = structlog.get_logger()

MANIFEST_KEY = f"{SITE}/pages.json"


class SweepEntry(Record):
    """What is known of a sweep without reading its record again.

    ``made_of`` is nothing where there is no page; ``is_closed`` says that its record stays as it
    is, or that there is none. ``links`` are the pages of roots that its own leads to. A sweep of
    the list has a ``line``.
    """

    made_of: str = ""
    is_closed: bool = False
    links: tuple[str, ...] = ()
    line: SweepLine | None = None


class Manifest(Record):
    """``pages`` are those of roots, with a digest of what each was made from.

    ``recent`` are the sweeps of the list, newest first; ``days`` are over, and stay as they are.
    ``made_on`` is the day (UTC) of which this is.
    """

    schema_version: Literal[1] = 1
    pages: dict[str, str] = Field(default_factory=dict)
    sweeps: dict[str, SweepEntry] = Field(default_factory=dict)
    recent: tuple[str, ...] = ()
    made_on: date | None = None
    days: dict[date, DayRecord] = Field(default_factory=dict)

    def without(self, keys: frozenset[str], sweeps: frozenset[str]) -> "Manifest":
        """The manifest that knows nothing of these pages."""
        return self.model_copy(
            update={
                "pages": {key: told for key, told in self.pages.items() if key not in keys},
                "sweeps": {name: one for name, one in self.sweeps.items() if name not in sweeps},
            }
        )

    def encode(self) -> bytes:
        """Compact JSON without the defaults."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"


def read_manifest(objects: ObjectStore) -> tuple[Manifest, str | None]:
    """The manifest, and the tag of what is there; an empty one where that can't be read."""
    found = objects.get_tagged(MANIFEST_KEY)
    if found is None:
        return Manifest(), None
    body, tag = found
    try:
        return decode_record(Manifest, body), tag
    except ContractError as error:
        log.warning(
            "pages_unreadable", where=objects.describe(MANIFEST_KEY), reason=error.message[:500]
        )
        return Manifest(), tag


def digest(*parts: object) -> str:
    """The same for the same parts."""
    told = hashlib.sha256()
    for part in parts:
        told.update(str(part).encode(errors="surrogatepass"))
        told.update(b"\0")
    return told.hexdigest()[:16]


@cache
def makeup() -> str:
    """A digest of what turns records into pages: another one where pages would look different."""
    told = hashlib.sha256(version("driftfleet").encode())
    for name, part in _sources(files("driftfleet.report")):
        told.update(name.encode() + b"\0" + part.read_bytes() + b"\0")
    return digest(told.hexdigest(), *(f"{kind} {text}" for kind, text in REMEDIES.items()))


def _sources(folder: Traversable, below: str = "") -> Iterable[tuple[str, Traversable]]:
    for part in sorted(folder.iterdir(), key=lambda one: one.name):
        if part.is_dir():
            if part.name != "__pycache__":
                yield from _sources(part, f"{below}{part.name}/")
        else:
            yield f"{below}{part.name}", part
