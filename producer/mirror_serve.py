"""What `driftfleet mirror serve` does: checks what it was given, and serves until it is stopped."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from driftfleet.errors import ConfigurationError
from driftfleet.logs import configure_logs
from driftfleet.mirror.permissions import require_unwritable
from driftfleet.mirror.server import MirrorServer
from driftfleet.settings import Settings
from producer.mirror_fleet import mirror_of

log = structlog.get_logger()


@dataclass(frozen=True)
class ServeOrder:
    """Where to listen (``HOST:PORT``), and the PEM files of TLS."""

    listen: str
    certificate: Path | None
    key: Path | None
    insecure_http: bool


def serve_mirror(settings: Settings, order: ServeOrder) -> int:
    """Serve until a signal's exception comes.

    Raises
    ------
    ConfigurationError
        No mirror is named, others may write to it, it can't be listened there, or the certificate
        is none.
    """
    mirror = mirror_of(settings)
    host, port = _address(order.listen)
    context = _context(order)
    require_unwritable(mirror)
    configure_logs(settings.logs)
    try:
        server = MirrorServer(mirror, (host, port), context)
    except OSError as error:
        raise ConfigurationError(f"can't listen on {order.listen}: {error.strerror}") from error
    try:
        scheme = "http" if context is None else "https"
        shown = f"[{host}]" if ":" in host else host
        url = f"{scheme}://{shown}:{server.server_address[1]}/"
        log.info("mirror_served", mirror=str(mirror), url=url)
        server.serve_forever()
    finally:
        server.end()
    return 0


def _address(listen: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != listen or "@" in listen:
        raise ConfigurationError(
            f"--listen {listen}: write HOST:PORT, as 127.0.0.1:8443 or [::1]:8443"
        )
    return host, port


def _context(order: ServeOrder) -> ssl.SSLContext | None:
    if order.insecure_http:
        if order.certificate is not None or order.key is not None:
            raise ConfigurationError("--insecure-http speaks no TLS: it takes no certificate")
        return None
    if order.certificate is None or order.key is None:
        raise ConfigurationError(
            "terraform takes network mirrors over https only: name a certificate for this "
            "machine's name and its key (--certificate FILE --key FILE); behind a proxy that does "
            "TLS, --insecure-http"
        )
    for file in (order.certificate, order.key):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{file}: {error.strerror}") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without an answer OpenSSL would ask for the key's password on the terminal.
        context.load_cert_chain(order.certificate, order.key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "the key has a password, or is none"
        raise ConfigurationError(
            f"{order.certificate} and {order.key} are no certificate with its key, both in PEM and "
            f"without a password ({reason})"
        ) from error
    return context
