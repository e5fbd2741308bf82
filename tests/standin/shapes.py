"""The API's objects, with every field that GitHub's description requires."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

from tests.standin.repositories import Repository, TreeEntry

_BORN = "2023-11-14T22:13:20Z"
# full-repository and minimal-repository have the same URLs; those with braces are templates.
_REPOSITORY_URLS = """
archive_url:/{archive_format}{/ref} assignees_url:/assignees{/user} blobs_url:/git/blobs{/sha}
branches_url:/branches{/branch} collaborators_url:/collaborators{/collaborator}
comments_url:/comments{/number} commits_url:/commits{/sha} compare_url:/compare/{base}...{head}
contents_url:/contents/{+path} contributors_url:/contributors deployments_url:/deployments
downloads_url:/downloads events_url:/events forks_url:/forks git_commits_url:/git/commits{/sha}
git_refs_url:/git/refs{/sha} git_tags_url:/git/tags{/sha} hooks_url:/hooks
issue_comment_url:/issues/comments{/number} issue_events_url:/issues/events{/number}
issues_url:/issues{/number} keys_url:/keys{/key_id} labels_url:/labels{/name}
languages_url:/languages merges_url:/merges milestones_url:/milestones{/number}
notifications_url:/notifications{?since,all,participating} pulls_url:/pulls{/number}
releases_url:/releases{/id} stargazers_url:/stargazers statuses_url:/statuses/{sha}
subscribers_url:/subscribers subscription_url:/subscription tags_url:/tags teams_url:/teams
trees_url:/git/trees{/sha}
"""
_USER_URLS = """
events_url:/events{/privacy} followers_url:/followers following_url:/following{/other_user}
gists_url:/gists{/gist_id} organizations_url:/orgs received_events_url:/received_events
repos_url:/repos starred_url:/starred{/owner}{/repo} subscriptions_url:/subscriptions
"""


def _urls(base: str, templates: str) -> dict[str, str]:
    return {key: base + suffix for key, _, suffix in (t.partition(":") for t in templates.split())}


def user(web: str, api: str, login: str, kind: str = "Organization") -> dict[str, Any]:
    """A simple-user, as the owner of repositories."""
    number = sum(login.encode())
    return {
        "login": login,
        "id": number,
        "node_id": b64encode(f"User{number}".encode()).decode(),
        "avatar_url": f"{web}/avatars/u/{number}",
        "gravatar_id": "",
        "url": f"{api}/users/{login}",
        "html_url": f"{web}/{login}",
        **_urls(f"{api}/users/{login}", _USER_URLS),
        "type": kind,
        "site_admin": False,
    }


def public_user(web: str, api: str, login: str) -> dict[str, Any]:
    """Who a token belongs to: the answer of ``GET /user``."""
    nobody = dict.fromkeys(("name", "company", "location", "email", "hireable", "bio"))
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    return {
        **user(web, api, login, "User"),
        **nobody,
        **counts,
        "blog": "",
        "user_view_type": "public",
        "created_at": _BORN,
        "updated_at": _BORN,
    }


def minimal_repository(web: str, api: str, repository: Repository) -> dict[str, Any]:
    """A repository as lists hold it."""
    name = repository.full_name
    counts = ("forks", "forks_count", "open_issues", "open_issues_count")
    watching = ("stargazers_count", "watchers", "watchers_count")
    return {
        "id": repository.id,
        "node_id": b64encode(f"Repository{repository.id}".encode()).decode(),
        "name": repository.name,
        "full_name": name,
        "owner": user(web, api, repository.owner),
        "private": repository.private,
        "visibility": "private" if repository.private else "public",
        "html_url": f"{web}/{name}",
        "description": None,
        "fork": repository.fork,
        "url": f"{api}/repos/{name}",
        **_urls(f"{api}/repos/{name}", _REPOSITORY_URLS),
        "clone_url": f"{web}/{name}.git",
        "git_url": f"git://{_host(web)}/{name}.git",
        "ssh_url": f"git@{_host(web)}:{name}.git",
        "svn_url": f"{web}/{name}",
        "mirror_url": None,
        "homepage": None,
        "language": repository.language,
        **dict.fromkeys(counts + watching, 0),
        "size": 0,
        "default_branch": repository.default_branch,
        "topics": list(repository.topics),
        **dict.fromkeys(("has_issues", "has_projects", "has_wiki"), True),
        **dict.fromkeys(("has_pages", "has_downloads", "has_discussions"), False),
        "archived": repository.archived,
        "disabled": repository.disabled,
        **dict.fromkeys(("pushed_at", "created_at", "updated_at"), _BORN),
        "license": None,
        "permissions": {"admin": False, "push": False, "pull": True},
    }


def full_repository(web: str, api: str, repository: Repository) -> dict[str, Any]:
    """A repository as it is told alone."""
    counts = {"network_count": 0, "subscribers_count": 0}
    return {**minimal_repository(web, api, repository), **counts}


def _host(web: str) -> str:
    return web.partition("://")[2].partition(":")[0]


def commit(web: str, api: str, repository: Repository, sha: str, raw: bytes) -> dict[str, Any]:
    """A commit from the object's own text."""
    head, _, message = raw.decode(errors="replace").partition("\n\n")
    lines = [line.partition(" ")[::2] for line in head.split("\n")]
    tree = next(value for key, value in lines if key == "tree")
    when = next(value for key, value in lines if key == "committer").split()[-2]
    person = {
        "name": "Stand-in",
        "email": "standin@example.com",
        "date": datetime.fromtimestamp(int(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    base = f"{api}/repos/{repository.full_name}"
    page = f"{web}/{repository.full_name}/commit"
    unsigned = {"verified": False, "reason": "unsigned"}
    return {
        "url": f"{base}/commits/{sha}",
        "sha": sha,
        "node_id": b64encode(f"Commit{sha}".encode()).decode(),
        "html_url": f"{page}/{sha}",
        "comments_url": f"{base}/commits/{sha}/comments",
        "commit": {
            "url": f"{base}/git/commits/{sha}",
            "author": person,
            "committer": person,
            "message": message.rstrip("\n"),
            "comment_count": 0,
            "tree": {"sha": tree, "url": f"{base}/git/trees/{tree}"},
            "verification": {**unsigned, "payload": None, "signature": None, "verified_at": None},
        },
        # What GitHub answers for an author who has no account there.
        "author": {},
        "committer": {},
        "parents": [
            {"sha": value, "url": f"{base}/commits/{value}", "html_url": f"{page}/{value}"}
            for key, value in lines
            if key == "parent"
        ],
    }


def tree_item(base: str, entry: TreeEntry) -> dict[str, Any]:
    """An entry of a tree; a submodule has neither size nor URL."""
    item: dict[str, Any] = {
        "path": entry.path,
        "mode": entry.mode,
        "type": entry.type,
        "sha": entry.sha,
    }
    if entry.type != "commit":
        item["url"] = f"{base}/git/{entry.type}s/{entry.sha}"
    if entry.size is not None:
        item["size"] = entry.size
    return item


def blob(base: str, sha: str, content: bytes) -> dict[str, Any]:
    """A blob as JSON: base64 in lines of 60, as GitHub wraps it."""
    text = b64encode(content).decode()
    lines = (text[at : at + 60] + "\n" for at in range(0, len(text), 60))
    return {
        "sha": sha,
        "node_id": b64encode(f"Blob{sha}".encode()).decode(),
        "size": len(content),
        "url": f"{base}/git/blobs/{sha}",
        "content": "".join(lines),
        "encoding": "base64",
    }


def rate_limit(limit: int, remaining: int, reset: int) -> dict[str, Any]:
    """The answer of ``GET /rate_limit``."""
    core = {
        "limit": limit,
        "remaining": remaining,
        "reset": reset,
        "used": limit - remaining,
        "resource": "core",
    }
    return {"resources": {"core": core, "search": {**core, "resource": "search"}}, "rate": core}
