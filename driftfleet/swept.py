"""When a repository was swept last, which is all that the schedule remembers."""

from typing import Literal

from pydantic import AwareDatetime

from driftfleet.model import Record
from driftfleet.places import segment


class Swept(Record):
    """A repository's last sweep; without ``swept_at`` it was only seen so far.

    ``repo`` and ``ref`` are as fleet.yaml names it or GitHub lists it, ``ref`` empty for the
    default branch. ``sha`` is the commit of that sweep, ``swept_at`` when it began, ``checks`` how
    many a sweep of the whole repository has. ``first_seen`` is when the schedule met it first.
    """

    schema_version: Literal[1] = 1
    repo: str
    ref: str = ""
    sha: str = ""
    sweep_id: str = ""
    swept_at: AwareDatetime | None = None
    checks: int | None = None
    first_seen: AwareDatetime

    @property
    def key(self) -> str:
        """``swept/OWNER/REPO[@REF].json``."""
        return swept_key(self.repo, self.ref)


def swept_key(repo: str, ref: str = "") -> str:
    """Where the record is kept. A name's case makes no difference, a ref's does."""
    owner, _, name = repo.lower().partition("/")
    return f"swept/{segment(owner)}/{segment(f'{name}@{ref}' if ref else name)}.json"
