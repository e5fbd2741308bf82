"""A proxy before an S3 server, which fails as S3 and networks do, and notes what was asked."""

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

How = Literal["answer", "hang", "hang after", "reset", "reset after", "half"]


@dataclass
class Fault:
    """What happens to the next ``times`` requests with ``method`` for a path with ``path`` in it.

    ``answer``: the server says ``code`` with ``status`` instead of doing it. ``hang``, ``reset``:
    it is silent, or breaks the connection; ``after``: once it has done what it was asked. ``half``:
    the connection ends in the middle of the answer's body. ``body`` is said instead of S3's XML.
    """

    how: How = "answer"
    status: int = 500
    code: str = "InternalError"
    message: str = "We encountered an internal error. Please try again."
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    path: str = ""
    times: int = 1
    body: bytes | None = None


class Asked(NamedTuple):
    """A request: its path without the bucket's, its query, its headers in lower case."""

    method: str
    key: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]

    @property
    def call(self) -> str:
        """What the tries of one call have in common, by the header of AWS' SDKs."""
        return self.headers["amz-sdk-invocation-id"]


class S3Proxy(ThreadingHTTPServer):
    """Hands requests on to ``server``, but for those that one of ``faults`` is for.

    ``page_keys`` is how many keys a list has at most, as if there were many times as many. With
    ``deaf`` conditions are dropped, as servers do that don't know them. Requests of clocks that are
    off are refused as S3 does, after a quarter of an hour; moto takes any.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(server).netloc
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.page_keys = 0
        self.deaf = False
        self.ended = threading.Event()
        self._lock = threading.Lock()

    def reset(self) -> None:
        """Do nothing wrong any more, and forget what was asked."""
        with self._lock:
            self.asked, self.faults, self.page_keys, self.deaf = [], [], 0, False

    def note(self, asked: Asked) -> Fault | None:
        with self._lock:
            self.asked.append(asked)
            for fault in self.faults:
                fits = fault.times and asked.method.startswith(fault.method)
                if fits and fault.path in asked.key:
                    fault.times -= 1
                    return fault
        return None if _is_in_time(asked) else _TOO_SKEWED

    def requests(self, method: str = "", path: str = "") -> list[Asked]:
        """Those that came with ``method`` for a path with ``path`` in it."""
        with self._lock:
            return [one for one in self.asked if one.method.startswith(method) and path in one.key]

    def calls(self, method: str = "") -> list[Asked]:
        """As `requests`, the last try alone of each call: where the machine stands still a client
        gives up what is answered all the same, and asks again.
        """
        return list({one.call: one for one in self.requests(method)}.values())

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away as they like."""


_TOO_SKEWED = Fault(
    status=403,
    code="RequestTimeTooSkewed",
    message="The difference between the request time and the server's time is too large.",
)
_MOST_SKEW_SECONDS = 900
_USUAL = {"x-amz-request-id": "4442587FB7D0A2F9", "Content-Type": "application/xml"}


def _is_in_time(asked: Asked) -> bool:
    told = asked.headers.get("x-amz-date")
    if told is None:
        return True
    at = datetime.strptime(told, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return abs((datetime.now(UTC) - at).total_seconds()) <= _MOST_SKEW_SECONDS


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3Proxy

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.note(self._asked())
        if fault is None:
            self._answer(*self._pass_on(body))
        elif fault.how == "answer":
            self._answer(fault.status, {**_USUAL, "Date": _now(), **fault.headers}, _xml(fault))
        else:
            self._fail(fault.how, body)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = do_any  # noqa: N815

    def _fail(self, how: How, body: bytes) -> None:
        if how == "half":
            status, headers, answer = self._pass_on(body)
            self._answer(status, headers, answer, sent=len(answer) // 2)
        elif how.endswith("after"):
            self._pass_on(body)
        if how.startswith("hang"):
            self.server.ended.wait(60)
        # Closed with what was not sent thrown away: the other side is reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.connection.close()

    def _asked(self) -> Asked:
        parts = urlsplit(self.path)
        key = unquote(parts.path).removeprefix("/").partition("/")[2]
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(self.command, key, parse_qs(parts.query, keep_blank_values=True), headers)

    def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            dropped = {"connection", "expect"}
            if self.server.deaf:
                dropped |= {"if-match", "if-none-match"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
            connection.request(self.command, self._path(), body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _path(self) -> str:
        if self.server.page_keys and "list-type=2" in self.path:
            return f"{self.path}&max-keys={self.server.page_keys}"
        return self.path

    def _answer(
        self, status: int, headers: Mapping[str, str], body: bytes, sent: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _xml(fault: Fault) -> bytes:
    if fault.body is not None:
        return fault.body
    return f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>".encode()


def _now() -> str:
    return formatdate(usegmt=True)


@contextlib.contextmanager
def proxied(server: str) -> Iterator[S3Proxy]:
    """A proxy before the server at this URL, for the block."""
    with S3Proxy(server) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            proxy.shutdown()
            thread.join()
