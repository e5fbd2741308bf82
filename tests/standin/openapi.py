"""Requests and answers, held against GitHub's own description of its API.

What is validated is only noted while the server answers, and looked at when somebody asks for the
violations: a client whose time is being measured doesn't pay. Of requests that differ in nothing
that the description speaks of the first `_OF_A_KIND` are validated, of a tree its first `_ENTRIES`
entries; everything else is validated whole.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.standin.answers import Answer, Request

DESCRIPTION = (
    Path(__file__).parents[2].parent / "shared" / "data" / "ghes-3.19-openapi-trimmed.json"
)
_OF_A_KIND = 50
_ENTRIES = 250


@dataclass(frozen=True)
class Operation:
    """What a path stands for: its template, and the path with each parameter in one segment."""

    template: str
    path: str
    exempt: str = ""


@dataclass(frozen=True)
class Noted:
    """A request to look at, or with its answer the answer; ``body`` may be a sample."""

    operation: Operation
    request: Request
    answer: Answer | None
    body: bytes


class Validation:
    """Collects what was exchanged; ``lacking`` says why nothing is validated, where that is so."""

    def __init__(self) -> None:
        missing = f"no OpenAPI description at {DESCRIPTION}: the stand-in's answers go unvalidated"
        self.lacking = "" if DESCRIPTION.is_file() else missing
        self.checked = 0
        self.sampled_out = 0
        self._kinds: Counter[object] = Counter()
        self._pending: list[Noted] = []
        self._found: list[str] = []
        self._lock = threading.Lock()

    def mistake(self, request: Request, reason: str) -> None:
        """Note what needs no description to be wrong."""
        with self._lock:
            self._found.append(f"{request.method} {request.target}: {reason}")

    def note(
        self, request: Request, answer: Answer, operation: Operation | None, *, foreign: bool
    ) -> None:
        """Note an exchange. ``foreign`` answers were injected and are not meant to be GitHub's."""
        if operation is None:
            self.mistake(request, "is no operation of the API's description")
            return
        if self.lacking or operation.exempt:
            return
        with self._lock:
            if self._is_enough("request", request.method, operation.template, request.query):
                self.sampled_out += 1
            else:
                self._pending.append(Noted(operation, request, None, b""))
            kind = (operation.template, answer.status, answer.headers.get("Content-Type"))
            if foreign or answer.dropped:
                return
            if self._is_enough("answer", *kind):
                self.sampled_out += 1
            else:
                self._pending.append(Noted(operation, request, answer, _body(answer)))

    def _is_enough(self, *kind: object) -> bool:
        self._kinds[kind] += 1
        return self._kinds[kind] > _OF_A_KIND

    def violations(self) -> list[str]:
        """Validate what was noted since, and return everything found so far."""
        with self._lock:
            pending, self._pending = self._pending, []
        if pending:
            # Half a second once, and memory: only where something is validated.
            from tests.standin.description import explain  # noqa: PLC0415
        for noted in pending:
            if reason := explain(noted):
                what = "request" if noted.answer is None else f"answer {noted.answer.status}"
                self.mistake(noted.request, f"{what}: {reason}")
        with self._lock:
            self.checked += len(pending)
            return list(self._found)


def _body(answer: Answer) -> bytes:
    payload = answer.payload
    if payload is None:
        return answer.content if isinstance(answer.content, bytes) else b""
    if isinstance(payload, dict) and isinstance(payload.get("tree"), list):
        payload = {**payload, "tree": payload["tree"][:_ENTRIES]}
    return Answer(payload=payload).body  # type: ignore[return-value]
