"""How many checks may run at once of what they share."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from string import punctuation
from typing import Self
from urllib.parse import quote

from pydantic import Field, model_validator

from driftfleet.globs import folder_matches
from driftfleet.model import Record

_NAMED = re.compile(r"(repository|bucket|account):\S")
_LONGEST = 200


class AccountRule(Record):
    """The roots (globs ``repo`` and ``root``) that plan against a cloud account."""

    repo: str = "*/*"
    root: str = "**"
    account: str = Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")


class CapSettings(Record):
    """How many checks run at once, in the whole fleet, of one repository, bucket or account.

    ``accounts``: the first that matches a root names its account. ``bucket`` is that of its
    backend. ``named`` are numbers for single ones, such as ``account:prod: 2``.
    """

    repository: int | None = Field(default=None, ge=1)
    bucket: int | None = Field(default=None, ge=1)
    account: int | None = Field(default=None, ge=1)
    named: dict[str, int] = Field(default_factory=dict)
    accounts: tuple[AccountRule, ...] = ()

    @model_validator(mode="after")
    def _names_what_can_be_capped(self) -> Self:
        for name, limit in self.named.items():
            if not _NAMED.match(name):
                raise ValueError(
                    f"'named' has '{name}': it is repository:OWNER/NAME, bucket:NAME or "
                    "account:NAME"
                )
            if limit < 1:
                raise ValueError(f"'named' has '{name}: {limit}': one at least must be able to run")
        return self

    def account_of(self, repo: str, root: str) -> str | None:
        """The account that a root plans against, where a rule names it."""
        matching = (r.account for r in self.accounts if _matches(r, repo, root))
        return next(matching, None)

    def names(self, repo: str, root: str, bucket: str | None) -> Iterator[str]:
        """What a check shares with others, as far as it may matter to anybody's limits."""
        shared = {"repository": repo, "bucket": bucket, "account": self.account_of(repo, root)}
        names = [cap_name(kind, name) for kind, name in shared.items() if name]
        yield from self.limits(names)

    def limits(self, names: Iterable[str]) -> dict[str, int]:
        """How many of each may run; those without a limit are left out."""
        general = {"repository": self.repository, "bucket": self.bucket, "account": self.account}
        own = {cap_name(*_parts(name)): limit for name, limit in self.named.items()}
        # What another version parked may be of a kind that this one doesn't know.
        found = {name: own.get(name, general.get(_parts(name)[0])) for name in names}
        return {name: limit for name, limit in found.items() if limit is not None}


def cap_name(kind: str, name: str) -> str:
    """``KIND:NAME`` as it travels in a job: plain ASCII, and a repository whatever its case."""
    plain = quote(name.lower() if kind == "repository" else name, safe=punctuation.replace("%", ""))
    if len(plain) > _LONGEST:
        plain = f"{plain[: _LONGEST - 25]}~{hashlib.sha256(name.encode()).hexdigest()[:24]}"
    return f"{kind}:{plain}"


def _parts(name: str) -> tuple[str, str]:
    kind, _, rest = name.partition(":")
    return kind, rest


def _matches(rule: AccountRule, repo: str, root: str) -> bool:
    return folder_matches(repo.lower(), rule.repo.lower()) and folder_matches(root, rule.root)
