"""Serves a mirror over HTTPS: GET and HEAD, one request a connection, bounded in all it takes.

Whoever can reach it may be slow, rude or hostile: the head of a request has its bytes and seconds,
each answer a slowest pace, and there are only so many connections. A connection that is over its
time is shut down by the accepting thread, and its own thread finds it closed.
"""

import contextlib
import io
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import structlog

from driftfleet.mirror.archive import PackageArchive, PackageChanged
from driftfleet.mirror.protocol import NotInMirror, answer
from driftfleet.mirror.unpack import PackageRefused
from driftfleet.versions.printable import printable

log = structlog.get_logger()

_POLL_SECONDS = 0.2
_LONGEST_LOGGED = 300


@dataclass(frozen=True)
class ServerLimits:
    """``head_seconds`` are for TLS and the request's head; ``slowest`` is an answer's pace.

    With all ``connections`` taken a new one waits for ``head_seconds``, and is then closed.
    """

    connections: int = 64
    head_bytes: int = 16 << 10
    head_seconds: float = 10.0
    slowest_bytes_per_second: int = 64 << 10
    stop_seconds: float = 5.0


class MirrorServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves ``mirror`` at ``address``; without a ``context`` it speaks plain HTTP.

    `serve_forever` serves. Raises ``OSError`` where it can't listen there.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        mirror: Path,
        address: tuple[str, int],
        context: ssl.SSLContext | None,
        limits: ServerLimits | None = None,
    ) -> None:
        self.mirror = mirror
        self.limits = limits or ServerLimits()
        self._context = context
        self._slots = threading.BoundedSemaphore(self.limits.connections)
        # Each with the time at which it is over; only its own thread and the accepting one write.
        self._deadlines: dict[socket.socket, float] = {}
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def give_until(self, connection: socket.socket, seconds: float) -> None:
        """From now on the connection has so much time."""
        self._deadlines[connection] = time.monotonic() + seconds

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, client = super().get_request()
        if self._context is None:
            return connection, client
        try:
            # The handshake waits for the client, so it is the connection's thread that makes it.
            secured = self._context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        except BaseException:
            connection.close()
            raise
        return secured, client

    def process_request(self, request: Any, client_address: Any) -> None:
        last = time.monotonic() + self.limits.head_seconds
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            self.service_actions()
            if time.monotonic() > last:
                log.warning("mirror_busy", client=client_address[0])
                self.shutdown_request(request)
                return
        self.give_until(request, self.limits.head_seconds)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def service_actions(self) -> None:
        """Shut down what is over its time; `serve_forever` calls it all the time."""
        now = time.monotonic()
        for connection, deadline in list(self._deadlines.items()):
            if now > deadline:
                _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        log.exception("mirror_request_failed", client=client_address[0])

    def end(self) -> None:
        """Listen no more; let answers that are under way come to their end for a while."""
        self.server_close()
        last = time.monotonic() + self.limits.stop_seconds
        while self._deadlines and time.monotonic() < last:
            self.service_actions()
            time.sleep(_POLL_SECONDS / 10)
        for connection in list(self._deadlines):
            _cut(connection)

    def _forget(self, connection: socket.socket) -> None:
        if self._deadlines.pop(connection, None) is not None:
            self._slots.release()


def _cut(connection: socket.socket) -> None:
    # Not `SSLSocket.shutdown`, which takes TLS away from under the thread that uses it.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _HeadTooLarge(Exception):
    """The head of the request has more bytes than it may."""


class _Head(io.RawIOBase):
    """What a connection may send."""

    def __init__(self, connection: socket.socket, most_bytes: int) -> None:
        self._connection = connection
        self._left = most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise _HeadTooLarge
        count = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    server: MirrorServer
    server_version = "driftfleet"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._began = time.monotonic()
        self._status = self._sent = 0
        self.path = self.command = ""
        self.rfile = io.BufferedReader(_Head(self.connection, self.server.limits.head_bytes))

    def handle(self) -> None:
        problem = ""
        try:
            if isinstance(self.connection, ssl.SSLSocket):
                self.connection.do_handshake()
            self._answer()
        except PackageChanged as error:
            problem = str(error)
        except OSError as error:
            problem = str(error) or type(error).__name__
        self._log(problem)

    def _answer(self) -> None:
        try:
            self.handle_one_request()
        except _HeadTooLarge:
            self.send_error(431)

    def do_GET(self) -> None:
        try:
            found = answer(self.server.mirror, self.path)
        except NotInMirror:
            self.send_error(404)
        except (PackageRefused, OSError) as error:
            path = printable(self.path[:_LONGEST_LOGGED])
            log.error("mirror_unreadable", path=path, reason=str(error))
            self.send_error(500)
        else:
            if isinstance(found, bytes):
                self._head(200, "application/json", len(found))
                self._write(found)
                return
            with contextlib.closing(found) as archive:
                self._send(archive)

    do_HEAD = do_GET  # noqa: N815

    def _send(self, archive: PackageArchive) -> None:
        self._head(200, "application/zip", archive.length_bytes)
        if self.command == "HEAD":
            return
        for chunk in archive.chunks():
            self._write(chunk)

    def _head(self, status: int, content: str, length: int) -> None:
        # One request a connection: what is sent after it is read by nobody.
        self.close_connection = True
        limits = self.server.limits
        seconds = limits.head_seconds + length / limits.slowest_bytes_per_second
        self.server.give_until(self.connection, seconds)
        self._status = int(status)
        self.send_response_only(status)
        self.send_header("Server", self.server_version)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def _write(self, content: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(content)
            self._sent += len(content)

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Nothing of the request is said again, whatever it was."""
        if code == 501:
            code = 405
        self.request_version = self.protocol_version
        text = f"{code} {self.responses.get(code, ('error',))[0]}\n".encode()
        self._head(code, "text/plain; charset=utf-8", len(text))
        self._write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """`_log` writes one line for each request."""

    def _log(self, problem: str) -> None:
        # A terminal may show it.
        path = printable(self.path[:_LONGEST_LOGGED])
        # None where it could not be read.
        method = printable((self.command or "")[:_LONGEST_LOGGED])
        seconds = round(time.monotonic() - self._began, 3)
        request = {"client": self.client_address[0], "method": method, "path": path}
        facts = {"status": self._status, "bytes": self._sent, "seconds": seconds}
        if problem:
            log.warning("mirror_request_cut", **request, **facts, reason=problem)
        else:
            log.info("mirror_request", **request, **facts)
