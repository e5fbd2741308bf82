"""A redis-server as somebody else runs it: on a port, with whatever configuration; for tests."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from producer.embedded import find_server, held_port
from tests.conftest import lacking

# This host, by an address that doesn't look like it: as if it were somebody else's.
ELSEWHERE = "0.0.0.0"
_START_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server that answers at ``port`` of loopback."""

    port: int
    process: subprocess.Popen[bytes]

    def url(
        self, *, user: str = "", host: str = "127.0.0.1", tls: bool = False, options: str = ""
    ) -> str:
        """``user`` is ``NAME:PASSWORD``; ``options`` are of TLS."""
        scheme = "rediss" if tls or options else "redis"
        return f"{scheme}://{user}{'@' if user else ''}{host}:{self.port}/0{options}"

    def client(self, password: str | None = None) -> redis.Redis:
        """As its operator."""
        return redis.Redis(port=self.port, password=password, decode_responses=True)


@contextlib.contextmanager
def serving(folder: Path, *configuration: str, tls: bool = False) -> Iterator[Server]:
    """Run a server with these lines of configuration; ``tls``: on the port nothing else is spoken.

    Its dump and its append-only file are in ``folder``.
    """
    log = folder / "redis.log"
    with held_port() as port:
        ports = [f"tls-port {port}", "port 0"] if tls else [f"port {port}"]
        lines = ["bind 127.0.0.1", *ports, 'save ""', f"dir {folder}", *configuration, ""]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [find_server(), "-"], stdin=subprocess.PIPE, stdout=output, stderr=output
            )
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write("\n".join(lines).encode())
            _await(port, process, log)
            yield Server(port, process)
        finally:
            process.kill()
            process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(_START_SECONDS * 100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
            said = log.read_text(errors="replace")
            if "tls" in said.lower():
                lacking(f"a redis-server that speaks TLS: {said.strip()[-200:]}")
            pytest.fail(f"redis-server did not start: {said}")
    pytest.fail("redis-server does not answer")
