"""Which roots a repository has: what is not among them any more is gone from the code."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

from driftfleet.jobs import Job, Source
from driftfleet.model import Record
from driftfleet.places import place, segment


class RepositoryRoots(Record):
    """What a whole look at a repository found at one commit.

    ``repo`` is the slug of its results, ``places`` are its roots and variants as they are in keys
    (``OWNER/REPO/ROOT/VARIANT``), ``at`` is when it was looked at.
    """

    schema_version: Literal[1] = 1
    repo: str
    ref: str = ""
    sha: str = ""
    at: AwareDatetime
    places: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """``roots/OWNER/REPO[@REF].json``. A name's case makes no difference, a ref's does."""
        owner, _, name = self.repo.lower().partition("/")
        named = f"{name}@{self.ref}" if self.ref else name
        return f"roots/{segment(owner)}/{segment(named)}.json"


def roots_of(source: Source, jobs: Sequence[Job], at: datetime) -> RepositoryRoots:
    """The record of a look at ``source`` that found ``jobs``, and all of them."""
    return RepositoryRoots(
        repo=source.slug,
        ref=source.ref,
        sha=source.sha,
        at=at,
        places=tuple(sorted(place(job) for job in jobs)),
    )
