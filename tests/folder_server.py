"""A folder served on loopback, over TLS or not, with a note of what was asked for."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.certificates import Certificate


class FolderServer(ThreadingHTTPServer):
    """``asked`` are the paths of requests, ``agents`` the programs that made them.

    Those whose headers it ``refuses`` are answered 401.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: list[str] = []
        self.agents: list[str] = []
        self.noting = threading.Lock()
        self.refuses: Callable[[Message], bool] = lambda headers: False


class _Handler(SimpleHTTPRequestHandler):
    server: FolderServer

    def __init__(self, *arguments: object) -> None:
        server = arguments[-1]
        super().__init__(*arguments, directory=str(server.folder))  # type: ignore[attr-defined,arg-type]

    def do_GET(self) -> None:
        # Both lists have one order.
        with self.server.noting:
            self.server.asked.append(self.path)
            self.server.agents.append((self.headers["User-Agent"] or "").partition("/")[0])
        if self.server.refuses(self.headers):
            self.send_error(401)
            return
        super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def serving_folder(folder: Path, certificate: Certificate | None = None) -> Iterator[FolderServer]:
    """Serve it for the block."""
    with FolderServer(folder) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
