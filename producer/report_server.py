"""Shows the dashboard to browsers on this machine: GET and HEAD, of pages and records alone.

A page of somewhere else, open in the same browser, may send us requests, too: it reads nothing of
an answer, and by a name of its own for our address (DNS rebinding) it gets none.
"""

import json
import re
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TextIO
from urllib.parse import unquote

from driftfleet.content_types import content_type_of
from driftfleet.errors import ConfigurationError, DriftfleetError, StoreUnavailable
from driftfleet.report.links import INDEX_KEY
from driftfleet.report.pages import POLICY
from driftfleet.settings import Settings
from driftfleet.store import open_objects
from driftfleet.store.objects import ObjectStore
from producer.reporting import make_report

_HOST = "127.0.0.1"
_SHOWN = ("site/", "latest/", "results/", "sweeps/")
# As keys are made (`driftfleet.places`); what begins with a dot is none.
_SEGMENT = re.compile(r"[A-Za-z0-9_~%@-][A-Za-z0-9_.~%@-]{0,254}")
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_LONGEST_PATH = 4096
_HEAD_SECONDS = 10


def serve_report(
    settings: Settings, port: int, stdout: TextIO, stderr: TextIO, *, as_json: bool
) -> int:
    """Make the pages and show them, until a signal ends it.

    Raises
    ------
    ConfigurationError
        The port is taken.
    StoreUnavailable
        The pages can't be made, and there are none.
    """
    objects = open_objects(settings.results)
    with ReportServer(objects, port) as server:
        try:
            make_report(settings, stderr, as_json=False)
        except DriftfleetError as error:
            # Who may only read the bucket sees what others made.
            if objects.get(INDEX_KEY) is None:
                raise
            stderr.write(f"warning: the pages are as they were made before: {error.message}\n")
        url = server.url
        stdout.write(json.dumps({"dashboard": url}) if as_json else f"dashboard: {url}")
        stdout.write("\n")
        stdout.flush()
        server.serve_forever(poll_interval=0.2)
    return 0


@dataclass(frozen=True)
class Answer:
    """What a request gets. ``location`` is where a redirect leads."""

    status: int
    content_type: str
    body: bytes
    location: str = ""


class ReportServer(ThreadingHTTPServer):
    """Listens on loopback. Raises `ConfigurationError` where it can't."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, objects: ObjectStore, port: int) -> None:
        self.objects = objects
        try:
            super().__init__((_HOST, port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"can't listen on {_HOST}:{port}: {error.strerror}; name another port with --port, "
                "0 is any that is free"
            ) from error

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"http://{_HOST}:{self.server_port}/{INDEX_KEY}"

    def is_ours(self, host: str | None) -> bool:
        """Whether a request's Host is this server by a name that nobody else can have."""
        return host in {f"{name}:{self.server_port}" for name in (_HOST, "localhost")}

    def answer(self, path: str) -> Answer:
        """What is under the path of a request."""
        if path in ("/", "/site", "/site/"):
            return Answer(302, "text/plain; charset=utf-8", b"", f"/{INDEX_KEY}")
        key = key_of(path)
        if key is None:
            return _told(404, "there is no such page")
        try:
            body = self.objects.get(key)
        except StoreUnavailable as error:
            return _told(503, error.message)
        if body is None:
            return _told(404, "there is no such page")
        return Answer(200, content_type_of(key), body)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes its connection is nobody's concern."""


def key_of(path: str) -> str | None:
    """The key in the store that a request's path names; None for what nobody may see."""
    if len(path) > _LONGEST_PATH:
        return None
    key = unquote(path.partition("?")[0], errors="replace").removeprefix("/")
    is_shown = key.startswith(_SHOWN) and all(map(_SEGMENT.fullmatch, key.split("/")))
    return key if is_shown else None


def _told(status: int, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    server_version = "driftfleet"
    sys_version = ""
    timeout = _HEAD_SECONDS

    def do_GET(self) -> None:
        if self.server.is_ours(self.headers.get("Host")):
            self._send(self.server.answer(self.path))
        else:
            self._send(_told(421, "this is another machine's name"))

    do_HEAD = do_GET  # noqa: N815

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.location:
            self.send_header("Location", answer.location)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Nothing of the request is said again, whatever it was."""
        code = 405 if code == 501 else int(code)
        # Of what could not be read: an answer without a head would be none.
        self.request_version = self.protocol_version
        self.close_connection = True
        self._send(_told(code, self.responses.get(code, ("error",))[0]))

    def log_message(self, format: str, *args: Any) -> None:
        """Who serves to himself needs no log of it."""
