"""Connections to GitHub: how many, through which proxy, and whose certificates are believed.

httpx's transports are used without its client: the client costs a third more CPU a request, keeps
cookies, and logs every URL. Each connection has a transport of its own, since a shared pool looks
at all its connections before each request.
"""

import contextlib
import os
import queue
import ssl
import urllib.request
from collections.abc import Iterator

import certifi
import httpx

from driftfleet.errors import ConfigurationError, GitHubUnavailable
from driftfleet.github.transfer import printable
from driftfleet.secrets import keep_out_of_logs

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30)
_MOST = 16
# Whoever reads an archive asks the API meanwhile: these are counted apart, within `_MOST`.
_ARCHIVES = 2


class Connections:
    """A bounded set of connections, each used by one thread at a time."""

    def __init__(
        self,
        count: int,
        origin: str,
        timeout_seconds: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        # What httpcore logs at debug level has the headers of answers, and so an archive's URL.
        keep_out_of_logs("httpcore")
        keep_out_of_logs("httpx")
        self._timeout_seconds = timeout_seconds
        self._given = transport
        self._context: ssl.SSLContext | None = None
        self._closed = False
        self._idle: queue.LifoQueue[httpx.BaseTransport | None] = queue.LifoQueue()
        self._archives: queue.LifoQueue[httpx.BaseTransport | None] = queue.LifoQueue()
        self._origin = origin
        for _ in range(min(count, _MOST - _ARCHIVES)):
            self._idle.put(None)
        for _ in range(_ARCHIVES):
            self._archives.put(None)

    @contextlib.contextmanager
    def api(self) -> Iterator[httpx.BaseTransport]:
        """A connection to the API, the one that was used last where one is idle."""
        with self._leased(self._idle, self._origin) as transport:
            yield transport

    @contextlib.contextmanager
    def archive(self, origin: str) -> Iterator[httpx.BaseTransport]:
        """A connection for an archive, closed afterwards: what is left unread is no use to it."""
        with self._leased(self._archives, origin, keep=False) as transport:
            yield transport

    def way(self) -> str:
        """The proxy through which the API is asked, for people; empty for none."""
        if self._given is not None:
            return ""
        url, variable = _proxy(self._origin)
        if url is None:
            return ""
        # Its user and password are nobody's business.
        place = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        return f"the proxy {printable(place, 100)} ({variable})"

    def close(self) -> None:
        """Close what is idle now, and the rest when it is given back; nothing is lent any more."""
        self._closed = True
        lent = []
        with contextlib.suppress(queue.Empty):
            while True:
                lent.append(self._idle.get_nowait())
        for transport in lent:
            if transport is not None:
                transport.close()
            self._idle.put(None)

    @contextlib.contextmanager
    def _leased(
        self,
        idle: "queue.LifoQueue[httpx.BaseTransport | None]",
        origin: str,
        *,
        keep: bool = True,
    ) -> Iterator[httpx.BaseTransport]:
        try:
            # Others hold theirs for a request, or for an archive: minutes at most.
            transport = idle.get(timeout=20 * self._timeout_seconds)
        except queue.Empty:
            raise GitHubUnavailable("all connections to GitHub are in use, for too long") from None
        try:
            if self._closed:
                raise GitHubUnavailable("the connections to GitHub are closed: we are stopping")
            if transport is None:
                transport = self._given or self._connect(origin)
            yield transport
        finally:
            done = self._closed or not keep
            if done and transport is not None and transport is not self._given:
                transport.close()
                transport = None
            idle.put(transport)

    def _connect(self, origin: str) -> httpx.BaseTransport:
        encrypted = origin.startswith("https://")
        if encrypted and self._context is None:
            self._context = trusted()
        try:
            return httpx.HTTPTransport(
                verify=self._context if encrypted and self._context else False,
                http2=False,
                limits=_ONE,
                # By the proxies below: this reads the environment once more, and certifi's store.
                trust_env=False,
                proxy=_proxy(origin)[0],
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            pass
        # Without the cause: the URL may hold the proxy's password.
        raise ConfigurationError(
            "the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is none that can be used: name it "
            "as http://host:port"
        )


def trusted() -> ssl.SSLContext:
    """The system's certificates, or those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.

    An Enterprise Server's own authority is in the system's store and in no other. A machine that
    has no store gets certifi's.

    Raises
    ------
    ConfigurationError
        A variable names what isn't there: OpenSSL would go on, and believe nobody.
    """
    paths = ssl.get_default_verify_paths()
    file = os.environ.get(paths.openssl_cafile_env, "")
    folders = os.environ.get(paths.openssl_capath_env, "")
    if folders and not any(os.path.isdir(folder) for folder in folders.split(os.pathsep)):
        raise ConfigurationError(f"{paths.openssl_capath_env} names {folders}: no such folder")
    context = ssl.create_default_context()
    if file:
        try:
            context.load_verify_locations(file)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"{paths.openssl_cafile_env} names {file}: it holds no certificates (PEM)"
            ) from error
        except OSError as error:
            raise ConfigurationError(
                f"{paths.openssl_cafile_env} names {file}: it can't be read: {error.strerror}"
            ) from error
    if not paths.cafile and not (paths.capath and os.listdir(paths.capath)):
        context.load_verify_locations(certifi.where())
    return context


def _proxy(origin: str) -> tuple[str | None, str]:
    """The URL of the proxy to ``origin``, and the variable that names it."""
    scheme, _, netloc = origin.partition("://")
    if urllib.request.proxy_bypass(netloc):
        return None, ""
    named = urllib.request.getproxies()
    for name in (scheme, "all"):
        if found := named.get(name):
            return found if "://" in found else f"http://{found}", f"{name.upper()}_PROXY"
    return None, ""
