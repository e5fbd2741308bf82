"""What every request of the API passes before its operation: its headers, credentials and limit."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import jwt

from tests.standin import routes, shapes
from tests.standin.answers import DOCUMENTATION, Answer, Request, error_answer, json_answer
from tests.standin.openapi import Operation
from tests.standin.repositories import Repository

if TYPE_CHECKING:
    from tests.standin.server import StandIn

VERSION = "2022-11-28"
_REPOSITORY = re.compile(r"/repos/([^/]+)/([^/]+)(/.*)?")
_BY_ID = re.compile(r"/repositories/(\d+)(/.*)?")
_ORGANISATION = re.compile(r"/orgs/([^/]+)/repos")
_INSTALLATION = re.compile(r"/app/installations/(\d+)/access_tokens")
_CLOCK_SKEW_SECONDS = 60
_JWT_AT_MOST_SECONDS = 600


def answer(ghe: "StandIn", request: Request, path: str) -> Answer:
    """Answer a request of the API; ``path`` is what follows its base."""
    if not request.headers.get("user-agent"):
        return error_answer(403, "Request forbidden by administrative rules. User-Agent is missing")
    if request.headers.get("x-github-api-version", VERSION) != VERSION:
        return error_answer(400, "The specified API version is not supported.")
    if match := _INSTALLATION.fullmatch(path):
        return _installation_token(ghe, request, int(match[1]))
    refused = _authenticate(ghe, request)
    if refused is None and path != "/rate_limit":
        refused = ghe.limits.refuse()
    if refused is not None:
        return refused
    found = _dispatch(ghe, request, path)
    return replace(found, headers={**found.headers, **ghe.limits.count(found, path)})


def _authenticate(ghe: "StandIn", request: Request) -> Answer | None:
    request.authorised = ghe.knows(request.token)
    if request.token is None:
        closed = ghe.private_mode
        return error_answer(401, "Must authenticate to access this API.") if closed else None
    if ghe.locked:
        message = "Maximum number of login attempts exceeded. Please try again later."
        return error_answer(403, message)
    if request.authorised:
        return None
    ghe.count_refusal()
    return error_answer(401, "Bad credentials")


def operation_of(path: str) -> Operation | None:
    """The operation of the API's description that a path stands for; None: there is none."""
    if path in ("/meta", "/user", "/rate_limit"):
        return Operation(path, path)
    if _ORGANISATION.fullmatch(path):
        return Operation("/orgs/{org}/repos", path)
    if match := _INSTALLATION.fullmatch(path):
        template = "/app/installations/{installation_id}/access_tokens"
        return Operation(template, path, exempt="isn't among the described operations")
    match = _REPOSITORY.fullmatch(path) or _BY_ID.fullmatch(path)
    if match is None:
        return None
    rest = match[match.re.groups] or ""
    for pattern, template, _ in routes.REPOSITORY_ROUTES:
        if found := pattern.fullmatch(rest):
            # A ref with slashes fills one parameter, which the description's templates can't say.
            name = quote(unquote(found[1]), safe="")
            base = path.removesuffix(rest) if match.re is _REPOSITORY else "/repos/OWNER/REPO"
            place, _, parameter = template.rpartition("/")
            filled = f"{place}/{name}" if parameter else template
            return Operation("/repos/{owner}/{repo}" + template, base + filled)
    return None


def _dispatch(ghe: "StandIn", request: Request, path: str) -> Answer:
    if request.method != "GET" or operation_of(path) is None:
        return error_answer(404, "Not Found")
    if match := _ORGANISATION.fullmatch(path):
        return routes.organisation(ghe, request, unquote(match[1]))
    match = _REPOSITORY.fullmatch(path) or _BY_ID.fullmatch(path)
    return _in_repository(ghe, request, match) if match else _plain(ghe, request, path)


def _plain(ghe: "StandIn", request: Request, path: str) -> Answer:
    if path == "/meta":
        return json_answer(
            {"verifiable_password_authentication": False, "installed_version": ghe.version}
        )
    if path == "/rate_limit":
        return ghe.limits.overview()
    if request.token is None:
        return error_answer(401, "Requires authentication")
    if request.token in ghe.installation_tokens:
        return error_answer(403, "Resource not accessible by integration")
    return json_answer(shapes.public_user(ghe.url, ghe.api_url, ghe.login))


def _in_repository(ghe: "StandIn", request: Request, match: re.Match[str]) -> Answer:
    repository: Repository | None
    if match.re is _BY_ID:
        repository, moved = ghe.repositories.get(int(match[1])), False
    else:
        repository, moved = ghe.find(unquote(match[1]), unquote(match[2]))
    rest = match[match.re.groups] or ""
    if repository is None or not ghe.sees(request, repository):
        return error_answer(404, "Not Found")
    if moved:
        place = f"{ghe.api_url}/repositories/{repository.id}{rest}"
        query = f"?{request.query}" if request.query else ""
        payload = {
            "message": "Moved Permanently",
            "url": place + query,
            "documentation_url": DOCUMENTATION,
        }
        return json_answer(payload, 301, Location=place + query)
    for pattern, _, route in routes.REPOSITORY_ROUTES:
        if found := pattern.fullmatch(rest):
            return route(ghe, request, repository, unquote(found[1]))
    return error_answer(404, "Not Found")


def _installation_token(ghe: "StandIn", request: Request, installation: int) -> Answer:
    if request.method != "POST":
        return error_answer(404, "Not Found")
    if ghe.app is None or not (problem := _token_problem(ghe, request)):
        if ghe.app is None or installation != ghe.app.installation:
            return error_answer(404, "Not Found")
        request.authorised = True
        token, expires = ghe.issue_installation_token()
        when = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        rights = {"contents": "read", "metadata": "read"}
        payload = {"token": token, "expires_at": when, "permissions": rights}
        return json_answer({**payload, "repository_selection": "all"}, 201)
    ghe.count_refusal()
    return error_answer(401, problem)


def _token_problem(ghe: "StandIn", request: Request) -> str:
    """What GitHub would say of the JWT: nothing where it may be exchanged.

    Source: GitHub's documentation of JSON web tokens for apps: RS256, ``iss`` the app, ``exp`` at
    most ten minutes ahead, ``iat`` not in the future.
    """
    assert ghe.app is not None
    try:
        claims = jwt.decode(
            request.token or "",
            ghe.app.public_key,
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "iss"]},
        )
    except jwt.PyJWTError:
        return "A JSON web token could not be decoded"
    now = ghe.clock()
    if str(claims["iss"]) != str(ghe.app.id):
        return "'Issuer' claim ('iss') must be an Integer"
    if not now < claims["exp"] <= now + _JWT_AT_MOST_SECONDS + _CLOCK_SKEW_SECONDS:
        return "'Expiration time' claim ('exp') is too far in the future"
    if claims["iat"] > now + _CLOCK_SKEW_SECONDS:
        return "'Issued at' claim ('iat') must be an Integer representing the time of issue"
    return ""
