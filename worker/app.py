"""The Celery application of the workers: ``celery -A worker.app worker``."""

import dataclasses
import functools
import multiprocessing.process
from typing import Any

import structlog
from celery import Celery, signals
from celery.exceptions import SoftTimeLimitExceeded

from driftfleet import pulse
from driftfleet.broker_password import environment_with, with_broker_password
from driftfleet.celery_app import build_app
from driftfleet.configuration import load_settings, process_environment
from driftfleet.ledger import RedisLedger
from driftfleet.logs import configure_logs
from driftfleet.metrics import open_meter
from driftfleet.redis_client import connect
from driftfleet.settings import Settings
from driftfleet.store import open_store
from worker.desk import Desk
from worker.drain import Drain
from worker.github_connection import LazyConnection, connection_of
from worker.heartbeat import UnackedHeartbeat
from worker.installed_programs import InstalledPrograms
from worker.own_process import close_to_others
from worker.pump import Pump, pump_step
from worker.room import Room
from worker.tasks import register
from worker.toolbox import CurrentRedactor, build_tools
from worker.tools import Tools

log = structlog.get_logger()


def create() -> Celery:
    """Build the application from the settings and register its task and its signals."""
    settings = with_broker_password(load_settings(), process_environment())
    environment = environment_with(settings, process_environment())
    app = build_app(settings)
    app.steps["consumer"].add(UnackedHeartbeat)
    connection = connection_of(settings, environment)
    tools = build_tools(settings, environment, connection)
    tools = dataclasses.replace(tools, time_limits=(SoftTimeLimitExceeded,))
    assert settings.broker.url is not None
    redis = connect(settings.broker.url.get_secret_value(), settings.broker.ca_file)
    ledger = RedisLedger(redis)
    room = Room(settings.worker)
    # These before the pool forks: its children share them.
    meter = open_meter(settings.metrics, "worker")
    drain = Drain(settings.worker.drain_seconds)
    drain.connect()
    desk = Desk(
        tools=tools,
        store=open_store(settings.results),
        ledger=ledger,
        drain=drain,
        caps=settings.caps,
        attempts=settings.worker.attempts,
        room=room,
        meter=meter,
    )
    register(app, desk)
    app.steps["consumer"].add(pump_step(Pump(app, ledger, meter, settings.worker, room)))
    signals.worker_ready.connect(lambda **_: meter.start(), weak=False)
    signals.worker_shutdown.connect(lambda **_: meter.close(), weak=False)
    _connect_signals(settings, tools, connection)
    return app


def _connect_signals(settings: Settings, tools: Tools, connection: LazyConnection | None) -> None:
    def set_up_logs(**_: Any) -> None:
        configure_logs(settings.logs, CurrentRedactor(tools))

    def clear(**_: Any) -> None:
        sweep()
        if isinstance(tools.installs, InstalledPrograms):
            tools.installs.prune()
        if connection is not None:
            connection.trim()

    def sweep(**_: Any) -> None:
        # Also in each new pool child: it stands in for one that may have been killed.
        if removed := tools.workspaces.sweep():
            log.info("workspaces_of_the_dead_removed", count=removed)

    def close(**_: Any) -> None:
        tools.programs.close()
        if connection is not None:
            connection.close()

    signals.setup_logging.connect(set_up_logs, weak=False)
    # Celery warns of its user before it asks for logs.
    set_up_logs()
    signals.worker_init.connect(lambda **_: pulse.begin("worker"), weak=False)
    signals.worker_init.connect(clear, weak=False)
    signals.worker_process_init.connect(sweep, weak=False)
    signals.worker_process_shutdown.connect(close, weak=False)


@functools.cache
def _app() -> Celery:
    # A pool child inherits it.
    close_to_others()
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
