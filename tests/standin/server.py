"""The stand-in for a GitHub Enterprise Server: one object that tests fill, watch and disturb."""

import re
import secrets
import ssl
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from tests.standin import api, smart_http
from tests.standin.access import Access
from tests.standin.answers import Answer, Request, html_answer
from tests.standin.catalog import Catalog
from tests.standin.faults import Fault, Rule
from tests.standin.limits import RateLimits
from tests.standin.openapi import Validation
from tests.standin.repositories import Repository
from tests.standin.transport import Listener

_ARCHIVE_TOKEN_SECONDS = 300
_CODELOAD = re.compile(r"/_codeload/([^/]+)/([^/]+)/legacy\.tar\.gz/([0-9a-f]{40})")


class StandIn(Catalog, Access):
    """A server on a loopback address, from ``with`` to its end.

    Everything may be set at any time: ``tree_limit`` (entries of a tree's answer),
    ``archives_on`` (another stand-in that archives are redirected to), ``tree_tells_asked_sha`` (a
    tree that was asked for by a commit's SHA tells that one as its own ``sha``), ``version`` (None:
    no such header, as on github.com), and what `Access` has.

    ``clock`` is the server's time (limits, expiries); pauses end early when the server stops.
    ``place`` is the name and the port by which others reach it, with ``tls`` over https.
    """

    def __init__(
        self,
        folder: Path,
        *,
        address: str = "127.0.0.1",
        token: str = "ghp_standin0000000000000000000000000001",
        api_prefix: str = "/api/v3",
        version: str | None = "3.19.2",
        clock: Callable[[], float] = time.time,
        place: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        Catalog.__init__(self, folder)
        Access.__init__(self, token, clock)
        self.version = version
        self.login = "driftfleet-bot"
        self.tree_limit = 100_000
        self.tree_tells_asked_sha = False
        self.archives_on: StandIn | None = None
        self.limits = RateLimits(clock)
        self.requests: list[Request] = []
        self.validation = Validation()
        self._rules: list[Rule] = []
        self._archives: dict[str, tuple[Repository, str, float]] = {}
        self._lock = threading.Lock()
        self._prefix = api_prefix
        self._listener = Listener(address, self._handle, place, tls)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.stop()
        for repository in self.repositories.values():
            repository.close()

    @property
    def url(self) -> str:
        """What a browser would be given: no trailing slash."""
        return self._listener.url

    @property
    def host(self) -> str:
        """Address and port."""
        return self.url.partition("://")[2]

    @property
    def api_url(self) -> str:
        """The API's base: no trailing slash."""
        return self.url + self._prefix

    @property
    def violations(self) -> list[str]:
        """What was asked or answered against GitHub's description so far."""
        return self.validation.violations()

    def rate_limited(self, limit: int | None, remaining: int = 0, reset: float = 0) -> None:
        """Turn the rate limit on (``reset``: seconds since the epoch), or off with None."""
        self.limits.set(limit, remaining, reset)

    def grant_archive(self, repository: Repository, sha: str) -> str:
        """A short-lived token for one archive on this host."""
        token = secrets.token_hex(16).upper()
        self._archives[token] = (repository, sha, self.clock() + _ARCHIVE_TOKEN_SECONDS)
        return token

    def fault(self, pattern: str, fault: Fault, *, times: int | None = 1, after: int = 0) -> Rule:
        """Spoil requests whose path and query (as sent) the pattern is found in; see `Rule`."""
        rule = Rule(re.compile(pattern), fault, times, after)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Forget all faults."""
        self._rules.clear()

    def clear(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()

    def _handle(self, request: Request) -> Answer:
        with self._lock:
            fault = next((f for rule in self._rules if (f := rule.take(request))), None)
        request.fault = fault.name if fault else None
        try:
            answer = (
                fault.alter(lambda: self._genuine(request)) if fault else self._genuine(request)
            )
        except Exception:
            # A test has to fail for the stand-in's own mistakes, too, not only see a strange 500.
            self.validation.mistake(request, f"the stand-in failed:\n{traceback.format_exc()}")
            answer = html_answer(500, "The stand-in failed")
        request.status = 0 if answer.dropped else answer.status
        if self._is_api(request.path):
            operation = api.operation_of(request.path.removeprefix(self._prefix))
            foreign = fault is not None and fault.foreign
            self.validation.note(request, answer, operation, foreign=foreign)
            answer = self._branded(answer)
        with self._lock:
            self.requests.append(request)
        return answer

    def _is_api(self, path: str) -> bool:
        inside = path.startswith(f"{self._prefix}/")
        return (
            inside and not path.startswith("/_codeload/") and not smart_http.ROUTE.fullmatch(path)
        )

    def _branded(self, answer: Answer) -> Answer:
        brand = {"X-GitHub-Request-Id": secrets.token_hex(10), "Vary": "Accept, Authorization"}
        if self.version is not None:
            brand["X-GitHub-Enterprise-Version"] = self.version
        if answer.payload is not None or answer.status == 200:
            brand["X-GitHub-Media-Type"] = "github.v3; format=json"
        return Answer(**{**vars(answer), "headers": {**brand, **answer.headers}})

    def _genuine(self, request: Request) -> Answer:
        if match := _CODELOAD.fullmatch(request.path):
            return self._archive(request, f"{unquote(match[1])}/{unquote(match[2])}", match[3])
        if match := smart_http.ROUTE.fullmatch(request.path):
            return smart_http.answer(self, request, match)
        if self._is_api(request.path):
            return api.answer(self, request, request.path.removeprefix(self._prefix))
        return html_answer(404, "Page not found")

    def _archive(self, request: Request, full_name: str, sha: str) -> Answer:
        grant = self._archives.get(request.parameters.get("token", ""))
        if grant is None or grant[2] <= self.clock() or grant[1] != sha:
            return Answer(404, {"Content-Type": "text/plain"}, content=b"404: Not Found\n")
        repository = grant[0]
        if repository.object(f"{sha}^{{commit}}") is None:
            return Answer(404, {"Content-Type": "text/plain"}, content=b"404: Not Found\n")
        name = f"{repository.owner}-{repository.name}-{sha[:7]}.tar.gz"
        headers = {
            "Content-Type": "application/x-gzip",
            "Content-Disposition": f"attachment; filename={name}",
        }
        return Answer(200, headers, content=repository.archive(sha))
