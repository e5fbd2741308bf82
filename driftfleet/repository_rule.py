"""What `repositories` lists: a repository, or those of an organisation."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from driftfleet.model import Record
from driftfleet.names import is_organisation, is_ref, is_repository
from driftfleet.schedule_settings import ScheduleRule


class RepositoryRule(Record):
    """Repositories to watch: one (``repo: owner/name``, at ``ref``) or those of an ``org``.

    Of an organisation: those with any of ``topics``, any of ``languages`` (GitHub's main one), and
    a name that one of ``include`` (globs) matches and none of ``exclude``. Empty means any.
    ``schedule`` says what differs from the fleet's.
    """

    repo: str | None = None
    ref: str = ""
    org: str | None = None
    topics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    archived: bool = False
    forks: bool = False
    schedule: ScheduleRule | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """A plain ``owner/name`` or ``owner/name@ref`` is a rule, too."""
        if isinstance(value, Mapping | RepositoryRule):
            return value
        if not isinstance(value, str):
            raise ValueError(
                "must be owner/name, owner/name@ref, or a mapping with 'repo' or 'org'"
            )
        if value.lower().startswith("org:"):
            name = value[4:].strip() or "NAME"
            raise ValueError(f"'{value}' is text: with a blank it is an organisation: org: {name}")
        repo, at, ref = value.partition("@")
        if at and not ref:
            raise ValueError(
                f"'{value}' names no ref after the '@': write {repo}@BRANCH, or {repo} for the "
                "default branch"
            )
        return {"repo": repo, "ref": ref}

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.repo is None) == (self.org is None):
            raise ValueError("must name either 'repo' (owner/name) or 'org'")
        if self.repo is not None and not is_repository(self.repo):
            raise ValueError(f"'{self.repo}' is no repository's name: it is owner/name")
        if self.org is not None and not is_organisation(self.org):
            raise ValueError(f"'{self.org}' is no organisation's name; a repository is 'repo'")
        if self.ref and not is_ref(self.ref):
            raise ValueError(f"{self.repo}: {self.ref!a} is no branch, tag or commit")
        # Ignored, each would watch something else than its writer means.
        if strange := self._strangers():
            other = "an 'org'" if self.repo is not None else "a 'repo'"
            raise ValueError(f"{self.named}: {', '.join(strange)}: belongs to {other} only")
        return self

    @property
    def named(self) -> str:
        """For people: ``repo owner/name`` or ``org NAME``."""
        return f"repo {self.repo}" if self.repo is not None else f"org {self.org}"

    def _strangers(self) -> list[str]:
        """The keys that say nothing of a rule of this kind."""
        selecting = ("topics", "languages", "include", "exclude", "forks")
        return [
            key for key in (selecting if self.repo is not None else ("ref",)) if getattr(self, key)
        ]
