"""Gives git the token, while modules are fetched and to nobody but what fetches them.

The token goes over a unix socket: into no file, argument list or environment.
"""

import contextlib
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from driftfleet.errors import ConfigurationError, DriftfleetError
from driftfleet.github.host import Host

log = structlog.get_logger()
_LONGEST = 1 << 16
_SECONDS = 5.0
_MOST_ANCESTORS = 64
# Of a token that is good elsewhere, in one check: then it isn't offered any more.
_MOST_REFUSALS = 8
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
# A repository's, as git and git-lfs name it; the host serves more, which no module is.
_REPOSITORY = re.compile(
    r"/?(?!api/)[A-Za-z0-9_][\w.-]*/(?!\.{1,2}(?:/|\Z))[\w.-]+/?(?:/?info/lfs)?", re.ASCII
)
# What GitHub wants from an app's installation; to other tokens any name will do.
_USER = "x-access-token"


class TokenSource(Protocol):
    """Which token may be sent: `worker.github_connection.LazyConnection`."""

    def token(self) -> SecretStr | None:
        """The token to send now. Raises `CredentialsRefused` where none may be."""

    def accepted(self, token: SecretStr | None) -> None:
        """The server took ``token``."""

    def refused(self, token: SecretStr | None, reason: str, deadline: float) -> None:
        """Git was answered 401 with ``token``; raises where none may be sent any more.

        ``deadline`` is when to have an answer, a time of ``time.monotonic``.
        """


class TokenService:
    """Answers git's credential requests for one host; ``token`` is the first to be offered.

    Git says ``erase`` when it was refused with a credential (HTTP 401). Then ``source`` is asked
    what is true of it: it may have another, or none any more, and ``failure`` says why; or this one
    is good, and what git asked for was not the host's to give. ``deadline``, a time of
    ``time.monotonic``, is when the check is over.
    """

    def __init__(self, host: Host, source: TokenSource, token: SecretStr, deadline: float) -> None:
        parts = urlsplit(host.web_url)
        self._protocol, self._host = parts.scheme, parts.netloc
        self._source = source
        self._deadline = deadline
        self._token: SecretStr | None = token
        self._renewed = False
        self._vouched: SecretStr | None = None
        self._refusals = 0
        self._lock = threading.Lock()
        self._channel: socket.socket | None = None
        self.failure: DriftfleetError | None = None

    def take_renewal(self) -> bool:
        """Whether there is another token since this was last asked: what failed may work now."""
        with self._lock:
            renewed, self._renewed = self._renewed, False
        return renewed

    @contextlib.contextmanager
    def serve(self, path: Path) -> Iterator[Path]:
        """Listen at ``path`` for the time of the block.

        Raises
        ------
        ConfigurationError
            The path is too long for a unix socket.
        """
        try:
            listener = _listen(path)
        except OSError as error:
            raise ConfigurationError(
                f"{path}: no socket can be made: {error.strerror or error}; choose a shorter "
                "worker.writable_root (DRIFTFLEET_WORKER__WRITABLE_ROOT)"
            ) from error
        thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield path
        finally:
            # Wakes the thread, from its accept or from a client that says nothing.
            for waiting in (listener, self._channel):
                if waiting is not None:
                    with contextlib.suppress(OSError):
                        waiting.shutdown(socket.SHUT_RDWR)
            thread.join(2 * _SECONDS)
            listener.close()
            path.unlink(missing_ok=True)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                channel, _ = listener.accept()
            except OSError:
                return
            self._channel = channel
            with channel, contextlib.suppress(OSError):
                channel.settimeout(_SECONDS)
                if _is_ours(channel):
                    channel.sendall(self._answered(_receive(channel)))

    def _answered(self, request: bytes) -> bytes:
        try:
            return self._answer(request)
        except Exception:
            # A bug of ours; git would wait for this thread until the check's time is over.
            log.exception("module_token_broke", host=self._host)
            return b""

    def _answer(self, request: bytes) -> bytes:
        action, *lines = request.decode("utf-8", "replace").split("\n")
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        if (fields.get("protocol"), fields.get("host")) != (self._protocol, self._host):
            return b""
        if not _REPOSITORY.fullmatch(fields.get("path", "")):
            return b""
        with self._lock:
            # A password that stands in a source may be tried, too.
            offered = self._token
            secret = offered.get_secret_value() if offered is not None else ""
            if action == "get" and secret:
                return f"username={_USER}\npassword={secret}\n".encode()
            if secret and fields.get("password") == secret:
                self._learn(action, offered)
        return b""

    def _learn(self, action: str, token: SecretStr | None) -> None:
        if action == "store":
            self._source.accepted(token)
        elif action == "erase" and token != self._vouched:
            self._question(token)
        elif action == "erase":
            self._refusals += 1
            if self._refusals >= _MOST_REFUSALS:
                self._token = None

    def _question(self, token: SecretStr | None) -> None:
        reason = f"{self._host} refused the token for git (401)"
        try:
            self._source.refused(token, reason, self._deadline)
            self._token = self._source.token()
        except DriftfleetError as error:
            self._token, self.failure = None, error
            return
        self._renewed = self._token is not None and self._token != token
        self._vouched = None if self._renewed else token


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # In a folder of mode 0700; the worker's umask makes the socket 0600, this makes it certain.
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(16)
    except OSError:
        listener.close()
        raise
    return listener


def _receive(channel: socket.socket) -> bytes:
    data = bytearray()
    while len(data) < _LONGEST and (chunk := channel.recv(4096)):
        data += chunk
    return bytes(data)


def _is_ours(channel: socket.socket) -> bool:
    """Whether the other side is our user's, and this process or a descendant of it.

    Another check's plan on this machine is the same user's, and below another process.
    """
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return uid == os.getuid() and os.getpid() in _ancestors(pid)


def _ancestors(pid: int) -> Iterator[int]:
    for _ in range(_MOST_ANCESTORS):
        if pid <= 0:
            return
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return
        # The name in parentheses may hold anything, parentheses too.
        pid = int(stat.rpartition(b")")[2].split()[1])
