"""What goes in and what comes out: a request as it was received, an answer as it is to be sent."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

DOCUMENTATION = "https://docs.github.com/enterprise-server@3.19/rest"


@dataclass
class Request:
    """A request, and what became of it.

    ``path`` is as it was sent, still quoted and without the query. ``token`` is the credential that
    came with it, whatever the scheme; ``authorised`` tells whether it was accepted. ``sent`` counts
    the body's bytes on the wire, ``fault`` names the injected one.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    status: int = 0
    sent: int = 0
    authorised: bool = False
    fault: str | None = None

    @property
    def target(self) -> str:
        """Path and query, as on the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def token(self) -> str | None:
        """The bearer token, or the password of basic authentication."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            return self._basic(value)[1]
        return value.strip() or None

    @property
    def user(self) -> str | None:
        """The user's name of basic authentication."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        return self._basic(value)[0] if scheme.lower() == "basic" else None

    @staticmethod
    def _basic(value: str) -> tuple[str, str]:
        try:
            user, _, password = b64decode(value).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password

    def accepts(self, *media_types: str) -> bool:
        """Whether the Accept header names one of these."""
        given = self.headers.get("accept", "").split(",")
        return any(item.split(";")[0].strip() in media_types for item in given)


@dataclass(frozen=True)
class Answer:
    """An answer, and how it is to be sent.

    ``payload`` is sent as JSON, else ``content``: bytes, or a file that is streamed in chunks.
    The rest is for faults: ``dropped`` closes the connection before the first byte, ``cut_after``
    in the body after that many; ``delay_seconds`` passes before the head, ``head_pause_seconds``
    before each of its lines, ``pause_seconds`` after every ``piece_bytes`` of the body.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: Any = None
    content: bytes | Path = b""
    dropped: bool = False
    cut_after: int | None = None
    delay_seconds: float = 0
    head_pause_seconds: float = 0
    pause_seconds: float = 0
    piece_bytes: int = 65536

    @property
    def body(self) -> bytes | Path:
        """What is sent."""
        if self.payload is None:
            return self.content
        text = json.dumps(self.payload, ensure_ascii=False, separators=(",", ":"))
        # A path that is no UTF-8 arrives as GitHub's own JSON has it: with U+FFFD.
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()


def json_answer(payload: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON answer; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/json; charset=utf-8", **named}, payload)


def error_answer(status: int, message: str, **headers: str) -> Answer:
    """An error as GitHub words it."""
    payload = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return json_answer(payload, status, **headers)


def html_answer(status: int, title: str) -> Answer:
    """A page as a proxy or a login wall would send it."""
    text = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body>{title}</body></html>"
    return Answer(status, {"Content-Type": "text/html; charset=utf-8"}, content=text.encode())
