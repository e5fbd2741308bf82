"""HTTP/1.1 on the wire: a thread a connection, and an end to all of them."""

import contextlib
import gzip
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.standin.answers import Answer, Request

_PIECE = 65536
_WORTH_COMPRESSING = 1024
_Handle = Callable[[Request], Answer]


class Listener:
    """A listening socket and its threads; ``stop`` ends every connection, pauses included."""

    def __init__(
        self,
        address: str,
        handle: _Handle,
        place: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.stopping = threading.Event()
        self._place = place
        self._scheme = "https" if tls else "http"
        port = place[1] if place else 0
        self._server = _Server((address, port), _handler(handle, self.stopping))
        if tls is not None:
            # A handshake is its connection's own business, not that of whoever accepts.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def url(self) -> str:
        address, port = self._place or self._server.server_address[:2]
        return f"{self._scheme}://{address!s}:{port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # A client that opens sixteen connections at once must not find a queue of five.
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def server_bind(self) -> None:
        # Without HTTPServer's look-up of the host's name, which may wait for a name server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self, patience_seconds: float = 5) -> None:
        """Break what is still open and wait until its threads have noticed."""
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + patience_seconds
        while self._open and time.monotonic() < until:
            time.sleep(0.005)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is its own business; a mistake of ours is told as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(handle: _Handle, stopping: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(_Exchange):
        answer_to = staticmethod(handle)
        stop_event = stopping

    return Handler


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body may be two writes: with Nagle the second would wait for a delayed ACK.
    disable_nagle_algorithm = True
    answer_to: _Handle
    stop_event: threading.Event

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def _exchange(self) -> None:
        path, _, query = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
        )
        try:
            self._send(request, type(self).answer_to(request))
        except ConnectionError:
            # The client gave up, which it may: what it was sent until then is counted.
            self.close_connection = True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _send(self, request: Request, answer: Answer) -> None:
        if answer.dropped:
            self.close_connection = True
            return
        self.stop_event.wait(answer.delay_seconds)
        body, headers = answer.body, dict(answer.headers)
        chunked = isinstance(body, Path)
        if isinstance(body, bytes):
            body = self._compressed(request, answer, body, headers)
        length = body.stat().st_size if isinstance(body, Path) else len(body)
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif answer.status != HTTPStatus.NOT_MODIFIED:
            headers["Content-Length"] = str(length)
        if answer.cut_after is not None:
            length, self.close_connection = min(answer.cut_after, max(length - 1, 0)), True
        head = self._head(answer.status, headers)
        if answer.head_pause_seconds:
            for line in head.splitlines(keepends=True):
                self.stop_event.wait(answer.head_pause_seconds)
                self.wfile.write(line)
            head = b""
        if request.method == "HEAD":
            self.wfile.write(head)
            return
        self._send_body(request, answer, head, _pieces(body, length, answer.piece_bytes))
        if chunked and answer.cut_after is None:
            self.wfile.write(b"0\r\n\r\n")

    def _send_body(
        self, request: Request, answer: Answer, head: bytes, pieces: Iterator[bytes]
    ) -> None:
        chunked = isinstance(answer.body, Path)
        for piece in pieces:
            framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
            self.wfile.write(head + framed)
            request.sent += len(piece)
            head = b""
            if answer.pause_seconds:
                self.stop_event.wait(answer.pause_seconds)
        if head:
            self.wfile.write(head)

    def _head(self, status: int, headers: dict[str, str]) -> bytes:
        phrase = responses.get(status, "Unknown")
        lines = [f"{self.protocol_version} {status} {phrase}", "Server: GitHub.com"]
        lines.append(f"Date: {self.date_time_string()}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _compressed(
        self, request: Request, answer: Answer, body: bytes, headers: dict[str, str]
    ) -> bytes:
        """JSON goes out compressed where the client takes that; spoiled answers stay readable."""
        fits = answer.payload is not None and len(body) > _WORTH_COMPRESSING
        if request.fault or not fits or "gzip" not in request.headers.get("accept-encoding", ""):
            return body
        headers["Content-Encoding"] = "gzip"
        return gzip.compress(body, compresslevel=1)


def _pieces(body: bytes | Path, length: int, size: int) -> Iterator[bytes]:
    if isinstance(body, bytes):
        # One write where nothing is to be slow, however big.
        step = size if size != _PIECE else max(length, 1)
        yield from (body[at : min(at + step, length)] for at in range(0, length, step))
        return
    with body.open("rb") as file:
        while length > 0 and (piece := file.read(min(size, length))):
            yield piece
            length -= len(piece)
