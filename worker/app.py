"""The Celery application of the workers: ``celery -A worker.app worker``."""

import ctypes
import functools
import multiprocessing.process
import os
import socket
from typing import Any

import structlog
from celery import Celery, signals

from driftfleet.celery_app import build_app
from driftfleet.ledger import RedisLedger, connect
from driftfleet.logs import Redactor, configure_logs, secrets_in
from driftfleet.settings import Settings, load_settings, process_environment
from driftfleet.store import open_store
from worker.check import Tools
from worker.heartbeat import UnackedHeartbeat
from worker.process import Programs
from worker.source import LocalSource
from worker.tasks import register
from worker.workspace import Workspaces

log = structlog.get_logger()
_PR_SET_DUMPABLE = 4


def create() -> Celery:
    """Build the application from the settings and register its task and its signals."""
    settings = load_settings()
    app = build_app(settings)
    app.steps["consumer"].add(UnackedHeartbeat)
    tools = _tools(settings)
    assert settings.broker.url is not None
    ledger = RedisLedger(connect(settings.broker.url.get_secret_value()))
    register(app, tools, open_store(settings.results.store), ledger)
    _connect_signals(settings, tools)
    return app


def _tools(settings: Settings) -> Tools:
    return Tools(
        settings=settings.worker,
        environment=process_environment(),
        workspaces=Workspaces(settings.worker.writable_root),
        programs=Programs(settings.worker.stop_grace_seconds),
        source=LocalSource(settings.worker.local_roots),
        name=socket.gethostname(),
    )


def _connect_signals(settings: Settings, tools: Tools) -> None:
    def set_up_logs(**_: Any) -> None:
        configure_logs(settings.logs, Redactor(secrets_in(tools.environment)))

    def sweep(**_: Any) -> None:
        # Also in each new pool child: it stands in for one that may have been killed.
        if removed := tools.workspaces.sweep():
            log.info("workspaces_of_the_dead_removed", count=removed)

    def close(**_: Any) -> None:
        tools.programs.close()

    signals.setup_logging.connect(set_up_logs, weak=False)
    signals.worker_init.connect(sweep, weak=False)
    signals.worker_process_init.connect(sweep, weak=False)
    signals.worker_process_shutdown.connect(close, weak=False)


@functools.cache
def _app() -> Celery:
    # A pool child inherits this: nothing that a check creates may be open to others.
    os.umask(0o077)
    # Nor may what runs as the same user read the broker's URL in this process's environment, which
    # a fork inherits and an exec resets (PR_SET_DUMPABLE, prctl(2)).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The pool keeps its counters in unlinked files, by default in a folder of their own in the
    # system's temporary directory, which a killed worker leaves behind and a read-only one can't
    # make. The pool's semaphores are in this file system anyway.
    multiprocessing.process.current_process()._config["tempdir"] = "/dev/shm"  # type: ignore[attr-defined]  # noqa: S108
    return create()


def __getattr__(name: str) -> Celery:
    """Build ``app`` when Celery asks for it: importing this module reads no environment."""
    if name == "app":
        return _app()
    raise AttributeError(name)
