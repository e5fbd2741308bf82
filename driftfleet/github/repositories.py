"""Repositories: their records, which of them a rule selects, and their newest commit."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field, ValidationError

from driftfleet.errors import (
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    RepositoryEmpty,
)
from driftfleet.github.client import GitHub
from driftfleet.github.transfer import refuse_page
from driftfleet.github.urls import organisation_path, quote_ref, repository_path
from driftfleet.model import Record
from driftfleet.repository_rule import RepositoryRule

_SHA = re.compile(rb"[0-9a-f]{40}")
_FULL_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+$"


class Repository(Record):
    """A repository, as GitHub describes it. ``size`` is in KB, and up to an hour old."""

    full_name: str = Field(pattern=_FULL_NAME, max_length=201)
    default_branch: str = ""
    archived: bool = False
    disabled: bool = False
    fork: bool = False
    private: bool = True
    language: str | None = None
    topics: tuple[str, ...] = ()
    size: int = 0


def repository(github: GitHub, name: str) -> Repository:
    """The repository ``name``; its ``full_name`` is the new one where it was renamed.

    Raises
    ------
    GitHubNotFound
        There is none, or the token may not see it.
    """
    path = repository_path(name)
    return _read(github.get(path).json(), f"GET {path} at {github.host.asked}")


def organisation(github: GitHub, org: str) -> Iterator[Repository]:
    """All repositories of an organisation that the token may see, page by page.

    Raises
    ------
    GitHubNotFound
        There is no such organisation; a person is none.
    """
    path = f"{organisation_path(org)}/repos"
    where = f"GET {path} at {github.host.asked}"
    for page in github.pages(path, {"type": "all", "sort": "full_name"}):
        if not isinstance(page, list):
            raise GitHubUnavailable(f"{where}: the answer is no list of repositories")
        for one in page:
            yield _read(one, where)


def head(github: GitHub, repo: str, ref: str = "", known_sha: str | None = None) -> str | None:
    """The commit that ``ref`` points to now (that of the default branch for ``""``).

    One request; None where it is ``known_sha`` still, which costs nothing of a rate limit.

    Raises
    ------
    RepositoryEmpty
        It has no commit.
    GitHubNotFound
        There is no such repository, or no such ref in it.
    """
    path = f"{repository_path(repo)}/commits/{quote_ref(ref or 'HEAD')}"
    where = f"GET {path} at {github.host.asked}"
    try:
        answer = github.get(
            path, accept="application/vnd.github.sha", etag=known_sha, limit_bytes=1 << 16
        )
    except RepositoryEmpty:
        raise
    except GitHubRefused as error:
        if error.status == 409:
            raise RepositoryEmpty(error.message, 409) from error
        if error.status == 422:
            raise GitHubNotFound(
                f"{where}: no branch, tag or commit is called that", 422
            ) from error
        raise
    if answer.status == 304:
        return None
    sha = answer.content.strip()
    if not _SHA.fullmatch(sha):
        refuse_page(answer, sniff=True)
        raise GitHubUnavailable(f"{where}: the answer is no commit's SHA")
    found = sha.decode("ascii")
    return None if found == known_sha else found


def selects(rule: RepositoryRule, repository: Repository) -> bool:
    """Whether a rule wants a repository. Names, topics and languages ignore case.

    A disabled one is never wanted, nor an archived one unless the rule says so. A rule for one
    repository takes it by its name, a fork too.
    """
    if repository.disabled or (repository.archived and not rule.archived):
        return False
    full_name = repository.full_name.lower()
    if rule.repo is not None:
        return full_name == rule.repo.lower()
    if full_name.partition("/")[0] != str(rule.org).lower():
        return False
    if repository.fork and not rule.forks:
        return False
    return (
        _has_any(rule.topics, repository.topics)
        and _has_any(rule.languages, [repository.language or ""])
        and (not rule.include or _is_named(full_name, rule.include))
        and not _is_named(full_name, rule.exclude)
    )


def _has_any(wanted: tuple[str, ...], found: tuple[str, ...] | list[str]) -> bool:
    return not wanted or not {w.lower() for w in wanted}.isdisjoint(f.lower() for f in found)


def _is_named(full_name: str, globs: tuple[str, ...]) -> bool:
    """Whether any glob matches: the name alone, or with its owner where the glob has a slash."""
    name = full_name.partition("/")[2]
    return any(fnmatchcase(full_name if "/" in g else name, g.lower()) for g in globs)


def _read(value: Any, where: str) -> Repository:
    fields = Repository.model_fields
    if isinstance(value, dict):
        known = {key: value[key] for key in fields if value.get(key) is not None}
        try:
            return Repository.model_validate(known)
        except ValidationError:
            pass
    raise GitHubUnavailable(f"{where}: the answer describes no repository")
