"""Flower as this fleet needs it: behind one password, read-only, without remote control, no disk.

Its application is built here and not by `celery flower`, which would take options from FLOWER_*
variables and run a ``flowerconfig.py`` of the current folder. What is overridden here is no public
interface of Flower's: pyproject.toml pins its minor version (docs/adr/0006).
"""

import asyncio
import hmac
import time
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog
from celery import Celery
from celery.events import EventReceiver
from flower.app import Flower
from flower.events import Events
from flower.options import options
from flower.urls import settings as flower_settings
from flower.views import BaseHandler
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler, authenticated

log = structlog.get_logger()

# What a stranger gets: the word OK. Whoever starts Flower asks it whether it lives.
OPEN_PATH = "/healthcheck"
_REALM = 'Basic realm="driftfleet", charset="UTF-8"'
_LONGEST_WAIT_SECONDS = 30
# 4.4 KB each. A sweep of more roots than this pushes its own first ones out.
_MOST_TASKS = 20_000
# Containers that were replaced have new names: the old ones go.
_FORGET_WORKERS_SECONDS = 3600
# Flower's own end at ten seconds, where most plans begin.
_RUNTIME_BUCKETS = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0]
_TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile"}
)
_NO_DETAILS = (
    "There is no more to tell of a worker: this fleet's workers take no remote control "
    "(docs/flower.md)."
)


class FleetFlower(Flower):  # type: ignore[misc]
    """Flower's application; ``credentials`` are ``USER:PASSWORD``, or None where all may look."""

    def __init__(self, celery_app: Celery, credentials: str | None) -> None:
        _set_options(credentials)
        # Flower closes its pages by itself, but neither /metrics nor /static nor what fails.
        self._authorization = None if credentials is None else _authorization(credentials)
        loop = IOLoop.current()
        super().__init__(
            options=options,
            capp=celery_app,
            events=FleetEvents(
                celery_app,
                io_loop=loop,
                enable_events=False,  # by remote control; ours are on (broker.events)
                max_tasks_in_memory=options.max_tasks,
                max_workers_in_memory=options.max_workers,
            ),
            io_loop=loop,
            **flower_settings,
        )

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if not self._admits(request):
            return self.get_handler_delegate(request, _Closed)
        if request.path.startswith("/worker/"):
            return self.get_handler_delegate(request, _NoWorkerPage)
        return super().find_handler(request, **kwargs)

    def _admits(self, request: HTTPServerRequest) -> bool:
        if self._authorization is None or request.path == OPEN_PATH:
            return True
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        return hmac.compare_digest(given, self._authorization)

    def update_workers(self, workername: str | None = None) -> asyncio.Future[None]:  # noqa: ARG002
        # It would ask by remote control, wait, and log that nobody answered.
        answered = asyncio.get_running_loop().create_future()
        answered.set_result(None)
        return answered


class FleetEvents(Events):  # type: ignore[misc]
    """Flower's listener, which comes back soon after Redis does, and says so."""

    def run(self) -> None:
        failures = 0
        while True:
            try:
                with self.capp.connection() as connection:
                    receiver = EventReceiver(
                        connection, handlers={"*": self.on_event}, app=self.capp
                    )
                    if failures:
                        log.info("broker_back", after_failures=failures)
                    failures = 0
                    # `wakeup` would ask the workers for a heartbeat by remote control.
                    receiver.capture(limit=None, timeout=None, wakeup=False)
            except Exception as error:  # whatever it is, Flower without events is blind
                failures += 1
                # Flower's own doubles for ever: after a night without Redis it slept for hours.
                wait = min(2**failures, _LONGEST_WAIT_SECONDS)
                log.error("broker_unavailable", reason=str(error), again_in_seconds=wait)
                time.sleep(wait)


class _Closed(RequestHandler):
    """The one answer to who has no password, whatever they ask for."""

    def check_xsrf_cookie(self) -> None:
        """Who may not come in needs no cookie to be told so."""

    def prepare(self) -> None:
        self.set_status(401)
        self.set_header("WWW-Authenticate", _REALM)
        self.finish("Access denied\n")


class _NoWorkerPage(BaseHandler):  # type: ignore[misc]
    @authenticated
    def get(self) -> None:
        raise HTTPError(404, _NO_DETAILS)


def tls_options(url: str) -> dict[str, str]:
    """What a ``rediss://`` URL itself says about TLS.

    Flower's client for the queues' lengths reads ``broker_use_ssl``, and nothing of the URL's.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return {}
    told = {name: value for name, value in parse_qsl(parts.query) if name in _TLS_OPTIONS}
    if "ssl_cert_reqs" in told:
        # Celery takes both spellings, redis-py one.
        told["ssl_cert_reqs"] = told["ssl_cert_reqs"].removeprefix("CERT_").lower()
    return told


def _authorization(credentials: str) -> bytes:
    return b"Basic " + b64encode(credentials.encode())


def _set_options(credentials: str | None) -> None:
    """Flower's options are Tornado's, which are global. Nothing else sets any."""
    options.read_only = True
    options.persistent = False
    options.auto_refresh = True
    options.basic_auth = [credentials] if credentials else []
    options.max_tasks = _MOST_TASKS
    options.purge_offline_workers = _FORGET_WORKERS_SECONDS
    options.task_runtime_metric_buckets = _RUNTIME_BUCKETS
    options.tasks_columns = "args,name,state,received,runtime,worker,uuid"
