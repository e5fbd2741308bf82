"""Git over HTTP: git's own ``http-backend``, behind basic authentication."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.standin.answers import Answer, Request
from tests.standin.repositories import Repository, git, git_environment

if TYPE_CHECKING:
    from tests.standin.server import StandIn

ROUTE = re.compile(
    r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?"
    r"(?P<rest>/info/refs|/git-upload-pack|/git-receive-pack)"
)


def answer(ghe: "StandIn", request: Request, match: re.Match[str]) -> Answer:
    """Serve a fetch: any user's name will do, the password has to be a token."""
    repository, moved = ghe.find(match["owner"], match["name"])
    request.authorised = ghe.knows(request.token)
    if not request.authorised and (request.token or repository is None or repository.private):
        # As GitHub does for what doesn't exist: nobody learns a private name.
        challenge = {"WWW-Authenticate": 'Basic realm="GitHub"', "Content-Type": "text/plain"}
        return Answer(401, challenge, content=b"Repository not found.\n")
    if repository is None or not ghe.sees(request, repository):
        return _text(404, "Repository not found.")
    if moved:
        place = f"{ghe.url}/{repository.full_name}.git{match['rest']}"
        query = f"?{request.query}" if request.query else ""
        return Answer(301, {"Location": place + query})
    if "receive-pack" in request.target:
        return _text(403, "Write access to repository not granted.")
    if match["rest"] == "/info/refs" and request.parameters.get("service") != "git-upload-pack":
        return _text(403, "Please upgrade your git client.")
    return _backend(repository, request, match["rest"])


def _text(status: int, message: str) -> Answer:
    return Answer(status, {"Content-Type": "text/plain"}, content=f"{message}\n".encode())


@cache
def _program() -> Path:
    return Path(git(None, "--exec-path").decode().strip()) / "git-http-backend"


def _backend(repository: Repository, request: Request, rest: str) -> Answer:
    variables = {
        "GIT_PROJECT_ROOT": str(repository.folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": rest,
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        [_program()],
        input=request.body,
        capture_output=True,
        env={**git_environment(), **variables},
        check=False,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200" if done.stdout else "500").split()[0])
    return Answer(status, headers, content=body)
