"""What `driftfleet doctor` finds of a repository, and of an organisation."""

from driftfleet.errors import CredentialsRefused, DriftfleetError, GitHubNotFound, RepositoryEmpty
from driftfleet.github.client import GitHub
from driftfleet.github.repositories import organisation
from driftfleet.settings import RepositoryRule
from producer.doctor.findings import Finding, fail, ok, warn
from producer.look import facts_of, newest_commit
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
    except DriftfleetError as error:
        return fail(what, error.message)
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
    except DriftfleetError as error:
        return fail(what, error.message, _MEND)


def _look(client: GitHub, rule: RepositoryRule, what: str) -> Finding:
    name = str(rule.repo)
    facts = facts_of(client, name)
    if facts.disabled:
        return warn(what, "is disabled, so it is left out")
    if facts.archived and not rule.archived:
        return warn(what, "is archived, so it is left out", "ask for it with `archived: true`")
    sha = newest_commit(client, facts.full_name, rule.ref)
    if facts.full_name.lower() != name.lower():
        return warn(what, f"is now {facts.full_name}", "name it so")
    return ok(what, f"can be read: {rule.ref or facts.default_branch} is at {str(sha)[:10]}")
