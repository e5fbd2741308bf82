"""Which roots a repository has: what is not among them any more is gone from the code."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime

from driftfleet.jobs import Job
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
        """``roots/OWNER/REPO[@REF].json``."""
        owner, _, name = self.repo.partition("/")
        named = f"{name}@{self.ref}" if self.ref else name
        return f"roots/{segment(owner)}/{segment(named)}.json"


def roots_of(repo: str, ref: str, jobs: Sequence[Job], at: datetime) -> RepositoryRoots:
    """The record of a look that found ``jobs``, and all of them."""
    return RepositoryRoots(
        repo=repo,
        ref=ref,
        sha=jobs[0].source.sha if jobs else "",
        at=at,
        places=tuple(sorted(place(job) for job in jobs)),
    )
