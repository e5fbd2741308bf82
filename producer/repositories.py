"""Rules -> the repositories to look at: named ones as they are, organisations by their lists."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from driftfleet.errors import CredentialsRefused, GitHubNotFound, GitHubRefused, GitHubUnavailable
from driftfleet.github.client import GitHub
from driftfleet.github.repositories import Repository, organisation, selects
from driftfleet.repository_rule import RepositoryRule
from producer.found import Trouble
from producer.targets import title_of


@dataclass(frozen=True)
class Wanted:
    """A repository to look at; ``name`` as it was named or listed, ``ref`` empty for the default.

    ``rule`` is the one that wants it, the first that does.
    ``archived`` says to look at it even then; ``listed`` is what an organisation's list said of it,
    which spares asking.
    """

    name: str
    rule: RepositoryRule
    ref: str = ""
    archived: bool = False
    listed: Repository | None = None


@dataclass
class Choice:
    """The repositories that the rules name, each once, and what a person should know of it."""

    wanted: list[Wanted] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def choose(github: GitHub, rules: Iterable[RepositoryRule]) -> Choice:
    """Expand the rules; names ignore case, and what is named wins over what is listed.

    An organisation that can't be listed is a trouble and keeps no other from being looked at.

    Raises
    ------
    CredentialsRefused
        Nothing more may be asked.
    """
    rules = sorted(rules, key=lambda rule: rule.org is not None)
    choice = Choice()
    seen: set[str] = set()
    for rule in rules:
        for one in _named(rule) if rule.repo is not None else _listed(github, rule, choice):
            if one.name.lower() not in seen:
                seen.add(one.name.lower())
                choice.wanted.append(one)
    return choice


def _named(rule: RepositoryRule) -> list[Wanted]:
    return [Wanted(name=str(rule.repo), rule=rule, ref=rule.ref, archived=rule.archived)]


def _listed(github: GitHub, rule: RepositoryRule, choice: Choice) -> list[Wanted]:
    title = title_of(rule)
    try:
        repositories = list(organisation(github, str(rule.org)))
    except CredentialsRefused:
        raise
    except GitHubNotFound:
        choice.troubles.append(Trouble(title, _no_organisation(title, github.host.name)))
        return []
    except (GitHubRefused, GitHubUnavailable) as error:
        choice.troubles.append(
            Trouble(title, f"{title}: its repositories can't be listed: {error.message}")
        )
        return []
    left_out = Counter(
        reason for one in repositories if (reason := _reason_against(rule, one)) is not None
    )
    if left_out:
        choice.messages.append(_count(title, len(repositories), left_out))
    elif not repositories:
        choice.messages.append(f"{title}: has no repository that the token may see")
    return [
        Wanted(name=one.full_name, rule=rule, archived=rule.archived, listed=one)
        for one in repositories
        if _reason_against(rule, one) is None
    ]


def _reason_against(rule: RepositoryRule, repository: Repository) -> str | None:
    if repository.disabled:
        return "disabled"
    if repository.archived and not rule.archived:
        return "archived"
    if repository.fork and not rule.forks:
        return "forks"
    return None if selects(rule, repository) else "not selected by the rule"


def _count(title: str, total: int, left_out: Counter[str]) -> str:
    parts = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    kept = total - left_out.total()
    return f"{title}: {kept} of {total} repositories are looked at; left out: {parts}"


def _no_organisation(title: str, host: str) -> str:
    return (
        f"{title}: there is no such organisation on {host}, or the token may not see it (the "
        "repositories of a person are named one by one, as owner/repo)"
    )
