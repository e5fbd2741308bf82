"""What `driftfleet doctor` finds of a repository, and of an organisation."""

from driftfleet.errors import (
    CredentialsRefused,
    DriftfleetError,
    GitHubNotFound,
    GitHubUnavailable,
    RepositoryEmpty,
)
from driftfleet.github.client import GitHub
from driftfleet.github.newest import facts_of, newest_commit
from driftfleet.github.repositories import organisation
from driftfleet.repository_rule import RepositoryRule
from producer.doctor.findings import Finding, fail, ok, warn
from producer.doctor.silence import mend_of_silence
from producer.targets import title_of

_MEND = (
    "see its spelling, and whether the token may see it and read its contents (contents:read, or "
    "the scope 'repo'; where there is SSO, authorise the token for it)"
)


def organisation_finding(client: GitHub, rule: RepositoryRule) -> Finding:
    """Whether it can be listed. Raises `CredentialsRefused`."""
    what = title_of(rule)
    try:
        found = list(organisation(client, str(rule.org)))
    except CredentialsRefused:
        raise
    except GitHubNotFound:
        return fail(what, f"not found on {client.host.name}, or the token may not see it", _MEND)
    except GitHubUnavailable as error:
        return fail(what, error.message, mend_of_silence(error.message))
    except DriftfleetError as error:
        return fail(what, error.message, _MEND)
    if not found:
        return warn(what, "has no repository that the token may see", _MEND)
    archived = sum(one.archived for one in found)
    return ok(what, f"{len(found)} repositories, {archived} of them archived")


def repository_finding(client: GitHub, rule: RepositoryRule) -> Finding:
    """Whether it is there and may be read. Raises `CredentialsRefused`."""
    what = title_of(rule)
    try:
        return _look(client, rule, what)
    except CredentialsRefused:
        raise
    except RepositoryEmpty:
        return warn(what, "is empty: it has no commit yet")
    except GitHubUnavailable as error:
        return fail(what, error.message, mend_of_silence(error.message))
    except DriftfleetError as error:
        return fail(what, error.message, _MEND)


def _look(client: GitHub, rule: RepositoryRule, what: str) -> Finding:
    name = str(rule.repo)
    facts = facts_of(client, name)
    if facts.disabled:
        return warn(what, "is disabled, so it is left out")
    if facts.archived and not rule.archived:
        mend = (
            f"to look at it all the same, list it in fleet.yaml: {{repo: {name}, archived: true}}"
        )
        return warn(what, "is archived, so it is left out", mend)
    try:
        sha = newest_commit(client, facts.full_name, rule.ref)
    except GitHubNotFound as error:
        if not rule.ref:
            raise
        mend = f"see its spelling, or name {name} alone for its branch {facts.default_branch}"
        return fail(what, error.message, mend)
    if facts.full_name.lower() != name.lower():
        return warn(what, f"is now {facts.full_name}", "name it so")
    return ok(what, f"can be read: {rule.ref or facts.default_branch} is at {str(sha)[:10]}")
