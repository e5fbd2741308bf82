"""The operations of the API: a request that may see what it asks for -> the genuine answer."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode

from tests.standin import shapes
from tests.standin.answers import Answer, Request, error_answer, json_answer
from tests.standin.repositories import Repository

if TYPE_CHECKING:
    from tests.standin.server import StandIn

_SHA = re.compile(r"[0-9a-f]{40}")
_BLOB_LIMIT = 100 << 20
_SHA_TYPES = ("application/vnd.github.sha", "application/vnd.github.v3.sha")
_RAW_TYPES = ("application/vnd.github.raw+json", "application/vnd.github.raw",
              "application/vnd.github.v3.raw")  # fmt: skip

_Route = Callable[["StandIn", Request, Repository, str], Answer]


def repository(ghe: "StandIn", request: Request, repo: Repository, _: str) -> Answer:
    """``GET /repos/{owner}/{repo}``"""
    return json_answer(shapes.full_repository(ghe.url, ghe.api_url, repo))


def commit(ghe: "StandIn", request: Request, repo: Repository, ref: str) -> Answer:
    """``GET /repos/{owner}/{repo}/commits/{ref}``; the SHA alone where that is accepted."""
    if repo.object("HEAD") is None:
        return error_answer(409, "Git Repository is empty.")
    sha = repo.resolve(ref)
    if sha is None:
        return error_answer(422, f"No commit found for SHA: {ref}")
    if request.accepts(*_SHA_TYPES):
        # Without a body's length a 304 would leave the connection waiting for one.
        kind = "application/vnd.github.sha; charset=utf-8"
        headers = {"Content-Type": kind, "ETag": f'"{sha}"'}
        return _unless_known(request, Answer(200, headers, content=sha.encode()))
    found = repo.object(sha)
    assert found is not None
    payload = shapes.commit(ghe.url, ghe.api_url, repo, sha, found[2])
    return _unless_known(request, json_answer(payload, ETag=f'W/"commit-{sha}"'))


def _unless_known(request: Request, answer: Answer) -> Answer:
    tag = answer.headers["ETag"]
    known = {item.strip() for item in request.headers.get("if-none-match", "").split(",")}
    if tag in known or f"W/{tag}" in known:
        return Answer(304, {"ETag": tag})
    return answer


def tree(ghe: "StandIn", request: Request, repo: Repository, name: str) -> Answer:
    """``GET /repos/{owner}/{repo}/git/trees/{tree_sha}``: a tree's SHA, a commit's, or a ref."""
    if repo.object("HEAD") is None:
        return error_answer(409, "Git Repository is empty.")
    asked = name if _SHA.fullmatch(name) else repo.resolve(name)
    found = repo.object(f"{asked}^{{tree}}") if asked else None
    if not asked or not found:
        return error_answer(404, "Not Found")
    # Any value recurses, even 0: it is the parameter's presence that counts.
    recursive = "recursive" in request.parameters
    entries, truncated = repo.tree(found[0], recursive, ghe.tree_limit)
    base = f"{ghe.api_url}/repos/{repo.full_name}"
    told = asked if ghe.tree_tells_asked_sha else found[0]
    payload = {
        "sha": told,
        "url": f"{base}/git/trees/{told}",
        "tree": [shapes.tree_item(base, entry) for entry in entries],
        "truncated": truncated,
    }
    return json_answer(payload, ETag=f'W/"tree-{found[0]}-{int(recursive)}"')


def blob(ghe: "StandIn", request: Request, repo: Repository, sha: str) -> Answer:
    """``GET /repos/{owner}/{repo}/git/blobs/{file_sha}``: bytes where raw ones are accepted."""
    if repo.object("HEAD") is None:
        return error_answer(409, "Git Repository is empty.")
    if not _SHA.fullmatch(sha):
        rule = "must be exactly 40 characters and contain only [0-9a-f]."
        return error_answer(422, f"The sha parameter {rule}")
    found = repo.object(sha)
    if found is None or found[1] != "blob":
        return error_answer(404, "Not Found")
    content = found[2]
    if len(content) > _BLOB_LIMIT:
        return error_answer(403, "This API returns blobs up to 100 MB in size.")
    headers = {"ETag": f'W/"blob-{sha}"'}
    if request.accepts(*_RAW_TYPES):
        headers["Content-Type"] = "application/vnd.github.raw+json; charset=utf-8"
        return Answer(200, headers, content=content)
    base = f"{ghe.api_url}/repos/{repo.full_name}"
    return json_answer(shapes.blob(base, sha, content), ETag=headers["ETag"])


def tarball(ghe: "StandIn", request: Request, repo: Repository, ref: str) -> Answer:
    """``GET /repos/{owner}/{repo}/tarball/{ref}``: where the archive is, and a token for it."""
    # An unknown ref is found out by the archive's server, with a 404.
    sha = repo.resolve(unquote(ref) or "HEAD") or "0" * 40
    host = ghe.archives_on or ghe
    query = urlencode({"token": host.grant_archive(repo, sha)})
    place = f"{host.url}/_codeload/{repo.full_name}/legacy.tar.gz/{sha}?{query}"
    return Answer(302, {"Location": place, "Content-Type": "text/html;charset=utf-8"})


def organisation(ghe: "StandIn", request: Request, org: str) -> Answer:
    """``GET /orgs/{org}/repos``, in pages, by name."""
    owned = [r for r in ghe.repositories.values() if r.owner.lower() == org.lower()]
    if not owned:
        return error_answer(404, "Not Found")
    seen = sorted((r for r in owned if ghe.sees(request, r)), key=lambda r: r.full_name)
    given = request.parameters
    size = min(max(_number(given.get("per_page"), 30), 1), 100)
    page = max(_number(given.get("page"), 1), 1)
    last = max(-(-len(seen) // size), 1)
    window = seen[(page - 1) * size : page * size]
    answer = json_answer([shapes.minimal_repository(ghe.url, ghe.api_url, r) for r in window])
    links = _links(f"{ghe.api_url}/orgs/{org}/repos", given, page, last)
    return Answer(200, {**answer.headers, **links}, answer.payload)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() else default


def _links(url: str, given: dict[str, str], page: int, last: int) -> dict[str, str]:
    turns = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    if page <= 1:
        del turns["prev"], turns["first"]
    if page >= last:
        del turns["next"], turns["last"]
    links = (
        f'<{url}?{urlencode({**given, "page": number})}>; rel="{relation}"'
        for relation, number in turns.items()
    )
    return {"Link": ", ".join(links)} if turns else {}


# Quoted slashes stay inside a segment, as they are matched before they are unquoted; GitHub takes
# plain ones, too, in a ref.
REPOSITORY_ROUTES: tuple[tuple[re.Pattern[str], str, _Route], ...] = (
    (re.compile(r"/?()"), "", repository),
    (re.compile(r"/commits/(.+)"), "/commits/{ref}", commit),
    (re.compile(r"/git/trees/(.+)"), "/git/trees/{tree_sha}", tree),
    (re.compile(r"/git/blobs/([^/]+)"), "/git/blobs/{file_sha}", blob),
    (re.compile(r"/tarball/?(.*)"), "/tarball/{ref}", tarball),
)
