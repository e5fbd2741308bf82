"""What `driftfleet flower` does: checks who may look, listens, and shows the queue till its end."""

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Mapping, Sequence

import structlog
from celery import Celery
from pydantic import SecretStr
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets

from driftfleet import pulse
from driftfleet.broker_password import environment_with, with_broker_password
from driftfleet.celery_app import build_app
from driftfleet.configuration import drop_variable
from driftfleet.errors import ConfigurationError
from driftfleet.flower_settings import FlowerSettings
from driftfleet.logs import configure_logs
from driftfleet.redaction.names import secrets_in
from driftfleet.redaction.redactor import Redactor
from driftfleet.redis_client import connect
from driftfleet.secrets import open_secret
from driftfleet.settings import Settings
from producer.enqueue import require_broker
from producer.flower_application import OPEN_PATH, FleetFlower, tls_options
from producer.stopping import SIGNALS

log = structlog.get_logger()

# Who is not let in yet may send this much.
_BODY_BYTES = 1 << 20
_TURN_MILLISECONDS = 5000


def serve_flower(settings: Settings, environment: Mapping[str, str]) -> int:
    """Serve until a signal comes; return the exit code.

    Raises
    ------
    ConfigurationError
        There is no broker, it can't be listened there, or others could look without a password.
    SecretUnavailable
        The place that keeps the password did not answer.
    """
    settings = with_broker_password(settings, environment)
    url = require_broker(settings, "flower")
    # What can't be a URL of Redis is told here; whether Redis is there is told by the log.
    connect(url, settings.broker.ca_file).close()
    password = _password(settings.flower, environment)
    sockets = _listen(settings.flower)
    try:
        _require_password(sockets, password)
        _configure_logs(settings, environment, password)
        # Flower would open its API to whoever asks.
        drop_variable("FLOWER_UNAUTHENTICATED_API")
        return asyncio.run(_serve(settings, sockets, password))
    finally:
        for one in sockets:
            one.close()


async def _serve(
    settings: Settings, sockets: Sequence[socket.socket], password: SecretStr | None
) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            loop.add_signal_handler(signum, _end, ended, signum)
    user = settings.flower.user
    credentials = f"{user}:{password.get_secret_value()}" if password else None
    application = FleetFlower(_celery_app(settings), credentials)
    server = HTTPServer(application, max_body_size=_BODY_BYTES)
    server.add_sockets(sockets)
    application.events.start()
    pulse.begin("flower")
    turning = PeriodicCallback(pulse.turn, _TURN_MILLISECONDS)
    turning.start()
    _tell(settings, sockets, protected=password is not None)
    received = await ended
    turning.stop()
    server.stop()
    log.info("flower_ended", signal=signal.Signals(received).name)
    return 128 + received


def _celery_app(settings: Settings) -> Celery:
    app = build_app(settings)
    assert settings.broker.url is not None
    if options := tls_options(settings.broker.url.get_secret_value()):
        app.conf.broker_use_ssl = {**app.conf.broker_use_ssl, **options}
    return app


def _end(ended: asyncio.Future[int], signum: int) -> None:
    if not ended.done():
        ended.set_result(signum)


def _password(flower: FlowerSettings, environment: Mapping[str, str]) -> SecretStr | None:
    if flower.password is None:
        return None
    password = open_secret(flower.password, environment, "flower.password").read()
    # Browsers do not agree on how they send anything else.
    if not (password.get_secret_value().isascii() and password.get_secret_value().isprintable()):
        raise ConfigurationError(f"the password in {flower.password} is not printable ASCII")
    return password


def _listen(flower: FlowerSettings) -> list[socket.socket]:
    try:
        return bind_sockets(flower.port, address=flower.host)
    except OSError as error:
        raise ConfigurationError(
            f"flower can't listen on {flower.host}:{flower.port}: {error.strerror or error}; "
            "flower.host is an address of this machine, flower.port one that nobody uses "
            "(DRIFTFLEET_FLOWER__HOST, DRIFTFLEET_FLOWER__PORT)"
        ) from error


def _require_password(sockets: Sequence[socket.socket], password: SecretStr | None) -> None:
    """Asked of what it is bound to: a host's name may be anybody's address."""
    open_to_others = [one for one in map(_address, sockets) if not is_loopback(one)]
    if open_to_others and password is None:
        raise ConfigurationError(
            f"flower shows the fleet's repositories, and {open_to_others[0]} is not this machine's "
            "alone: name where its password is kept with flower.password, such as "
            "env://FLOWER_PASSWORD (DRIFTFLEET_FLOWER__PASSWORD), or let it listen on 127.0.0.1"
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine's own processes can connect to an IP address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _address(bound: socket.socket) -> str:
    return str(bound.getsockname()[0])


def _configure_logs(
    settings: Settings, environment: Mapping[str, str], password: SecretStr | None
) -> None:
    known = secrets_in(environment_with(settings, environment))
    if password is not None:
        known.append(password.get_secret_value())
    configure_logs(settings.logs, Redactor(known))
    if settings.logs.level != "debug":
        # Each request that is not answered 200: a browser's first has no password yet.
        logging.getLogger("tornado.access").setLevel(logging.ERROR)


def _tell(settings: Settings, sockets: Sequence[socket.socket], *, protected: bool) -> None:
    for bound in sockets:
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.info(
            "flower_served",
            url=f"http://{shown}:{port}/",
            user=settings.flower.user if protected else None,
            without_password=f"{OPEN_PATH} alone" if protected else "all pages",
        )
    if not settings.broker.events:
        log.warning("flower_sees_nothing", reason="broker.events is false: workers send no events")
