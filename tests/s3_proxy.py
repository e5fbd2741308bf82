"""A proxy before an S3 server, which fails as S3 and networks do, and notes what was asked."""

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
    the connection ends in the middle of the answer's body.
    """

    how: How = "answer"
    status: int = 500
    code: str = "InternalError"
    message: str = "We encountered an internal error. Please try again."
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    path: str = ""
    times: int = 1


class Asked(NamedTuple):
    """A request: its path without the bucket's, its query, its headers in lower case."""

    method: str
    key: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]


class S3Proxy(ThreadingHTTPServer):
    """Hands requests on to ``server``, but for those that one of ``faults`` is for."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(server).netloc
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()

    def note(self, asked: Asked) -> Fault | None:
        with self._lock:
            self.asked.append(asked)
            for fault in self.faults:
                fits = fault.times and asked.method.startswith(fault.method)
                if fits and fault.path in asked.key:
                    fault.times -= 1
                    return fault
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away as they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3Proxy

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.note(self._asked())
        if fault is None:
            self._answer(*self._pass_on(body))
        elif fault.how == "answer":
            self._answer(fault.status, {**fault.headers, "Date": self._date(fault)}, _xml(fault))
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
            headers = {**self.headers, "Connection": "close"}
            headers.pop("Expect", None)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

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

    def _date(self, fault: Fault) -> str:
        return fault.headers.get("Date", formatdate(usegmt=True))

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _xml(fault: Fault) -> bytes:
    text = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message>"
    return f"{text}<RequestId>4442587FB7D0A2F9</RequestId></Error>".encode()


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
