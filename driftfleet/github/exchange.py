"""Sends one request with the token that may be sent, and tells what its answer says of that."""

import threading
from dataclasses import dataclass, replace

import httpx
from pydantic import SecretStr

from driftfleet.errors import GitHubRefused
from driftfleet.github.admission import Admission
from driftfleet.github.connections import Connections
from driftfleet.github.deadline import Deadline
from driftfleet.github.host import Host
from driftfleet.github.limits import is_limit, is_lockout
from driftfleet.github.refusals import no_access
from driftfleet.github.transfer import (
    Answer,
    Failure,
    TooLarge,
    attempt,
    build,
    is_page,
    message_of,
    receive,
)

JSON = "application/vnd.github+json"
JSON_BYTES = 64 << 20
_API_VERSION = "2022-11-28"
_SLOWEST = 10  # times the time-out: an answer that dribbles


@dataclass(frozen=True)
class Ask:
    """A request: ``target`` is its path and query, ``where`` its name in errors."""

    method: str
    target: str
    where: str
    accept: str = JSON
    etag: str | None = None
    limit_bytes: int = JSON_BYTES
    content: bytes | None = None
    archive: bool = False


class Exchange:
    """The requests of one client, which share their connections and their credentials."""

    def __init__(
        self,
        host: Host,
        admission: Admission,
        connections: Connections,
        timeout_seconds: float,
        deadline: Deadline,
    ) -> None:
        self.requests = 0
        self._origin = host.api_origin
        self._admission = admission
        self._connections = connections
        self._timeout_seconds = timeout_seconds
        self._deadline = deadline
        self._counting = threading.Lock()
        self._archive_scheme = "Bearer"
        self._gate = threading.Lock()
        self._round = 0
        self._shared: Answer | Failure | None = None

    def count(self) -> None:
        """One request more is sent."""
        with self._counting:
            self.requests += 1

    def send(self, ask: Ask) -> Answer | Failure:
        """Send once. Until a token was accepted requests go one by one, so that one is refused.

        A 401 is answered only where there is another token by now.

        Raises
        ------
        CredentialsRefused
            There is none.
        GitHubRefused
            The answer is larger than it may be.
        """
        token = self._admission.token()
        if self._admission.is_proven(token):
            return self._send(ask, token)
        before = self._round
        with self._gate:
            # Whoever waited here learns how it went, and does not find out once more: else a
            # server that is down would cost each thread its time-outs, one after the other, and
            # a rate limit would be asked by each.
            if self._round != before and self._shared is not None:
                return _for(ask, self._shared)
            token = self._admission.token()
            if not self._admission.is_proven(token):
                outcome = self._send(ask, token)
                self._shared = None if self._admission.is_proven(token) else outcome
                self._round += 1
                return outcome
        return self._send(ask, token)

    def _send(self, ask: Ask, token: SecretStr | None) -> Answer | Failure:
        scheme = self._archive_scheme if ask.archive else "Bearer"
        outcome = self._attempt(ask, token, scheme)
        if ask.archive and token and scheme == "Bearer" and _is_refusal(outcome):
            # Some tokens work there with the older scheme only; it says nothing about the token.
            outcome = self._attempt(ask, token, "token")
            if not _is_refusal(outcome):
                self._archive_scheme = "token"
        if isinstance(outcome, Answer):
            self._note(ask, outcome, token)
        return outcome

    def _note(self, ask: Ask, answer: Answer, token: SecretStr | None) -> None:
        if answer.status == 401:
            self._admission.refused(token, no_access(ask.where, answer, token is not None))
        elif answer.status == 403 and is_lockout(403, message_of(answer)):
            self._admission.locked(
                token, f"{ask.where}: the account is locked for a while: {message_of(answer)}"
            )
        elif _is_proof(answer):
            self._admission.accepted(token)

    def _attempt(self, ask: Ask, token: SecretStr | None, scheme: str) -> Answer | Failure:
        request = self._build(ask, token, scheme)
        expired = self._deadline.expiry(_SLOWEST * self._timeout_seconds)

        def ask_once() -> Answer:
            return receive(
                transport, request, where=ask.where, limit_bytes=ask.limit_bytes, expired=expired
            )

        with self._connections.api() as transport:
            self.count()
            try:
                return self._told(_without(attempt(ask_once), token))
            except TooLarge:
                pass
        raise GitHubRefused(f"{ask.where}: the answer exceeds {ask.limit_bytes} bytes", 200)

    def _told(self, outcome: Answer | Failure) -> Answer | Failure:
        """A failure with the proxy that was in between: it may well be the proxy's."""
        if isinstance(outcome, Answer) or not (way := self._connections.way()):
            return outcome
        return replace(outcome, reason=f"{outcome.reason}, through {way}")

    def _build(self, ask: Ask, token: SecretStr | None, scheme: str) -> httpx.Request:
        headers = {
            "Accept": ask.accept,
            "Accept-Encoding": "gzip",
            "User-Agent": "driftfleet",
            "X-GitHub-Api-Version": _API_VERSION,
        }
        if token is not None:
            headers["Authorization"] = f"{scheme} {token.get_secret_value()}"
        if ask.etag is not None:
            headers["If-None-Match"] = ask.etag if '"' in ask.etag else f'"{ask.etag}"'
        url = f"{self._origin}{ask.target}"
        timeout_seconds = self._deadline.bounded(self._timeout_seconds)
        return build(ask.method, url, headers, timeout_seconds, ask.content)


def _is_refusal(outcome: Answer | Failure) -> bool:
    return isinstance(outcome, Answer) and outcome.status == 401


def _is_proof(answer: Answer) -> bool:
    """Whether GitHub looked at our token and took it: a proxy or a limit may answer before."""
    status = answer.status
    if status == 403:
        return not is_limit(403, answer.headers, message_of(answer))
    known = status < 400 or status in (404, 409, 410, 422, 451)
    return known and not is_page(answer.headers)


def _for(ask: Ask, shared: Answer | Failure) -> Answer | Failure:
    return replace(shared, where=ask.where) if isinstance(shared, Answer) else shared


def _without(outcome: Answer | Failure, token: SecretStr | None) -> Answer | Failure:
    """An error that tells us our own token must not carry it into a message."""
    if token is None or isinstance(outcome, Failure) or outcome.status < 400:
        return outcome
    content = outcome.content.replace(token.get_secret_value().encode(), b"***")
    return replace(outcome, content=content)
