"""A repository's record and its newest commit, or why there is none, in words for a person."""

from driftfleet.errors import GitHubNotFound, GitHubRefused, RepositoryEmpty
from driftfleet.github.client import GitHub
from driftfleet.github.repositories import Repository, head, repository

_NOT_FOUND = 404
_UNPROCESSABLE = 422


def facts_of(github: GitHub, name: str) -> Repository:
    """A repository's record. Raises `GitHubNotFound` in words for a person, and others."""
    try:
        return repository(github, name)
    except GitHubNotFound as error:
        host = github.host.name
        message = f"there is no such repository on {host}, or the token may not see it"
        raise GitHubNotFound(message, error.status) from error


def newest_commit(
    github: GitHub, full_name: str, ref: str, known_sha: str | None = None
) -> str | None:
    """The commit of a ref ("" for the default branch's); None where it is still ``known_sha``.

    Raises
    ------
    GitHubNotFound
        There is none, in words for a person.
    RepositoryEmpty
        There is no commit at all.
    """
    try:
        return head(github, full_name, ref, known_sha=known_sha)
    except RepositoryEmpty:
        raise
    except GitHubRefused as error:
        if ref and error.status in (_NOT_FOUND, _UNPROCESSABLE):
            message = f"it has no branch, tag or commit '{ref}' that the token may see"
        elif error.status == _NOT_FOUND:
            message = "its newest commit can't be read: the token needs the right contents:read"
        else:
            raise
        raise GitHubNotFound(message, error.status) from error
