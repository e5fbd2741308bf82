"""The Celery application of the workers: ``celery -A worker.app worker``."""

import ctypes
import functools
import multiprocessing.process
import os
import socket
from collections.abc import Mapping
from typing import Any

import structlog
from celery import Celery, signals

from driftfleet.celery_app import build_app
from driftfleet.configuration import load_settings, process_environment
from driftfleet.installs.choice import open_installs
from driftfleet.ledger import RedisLedger, connect
from driftfleet.logs import Redactor, configure_logs
from driftfleet.settings import Settings
from driftfleet.store import open_store
from worker.github_connection import LazyConnection, connection_of, withheld_variables
from worker.github_source import GitHubSource
from worker.heartbeat import UnackedHeartbeat
from worker.installed_programs import InstalledPrograms
from worker.local_source import LocalSource
from worker.module_access import ModuleAccess
from worker.process import Programs
from worker.source import RootSource, Sources
from worker.tasks import register
from worker.tools import Tools
from worker.versions import ProgramsOnPath
from worker.workspace import Workspaces

log = structlog.get_logger()
_PR_SET_DUMPABLE = 4


def create() -> Celery:
    """Build the application from the settings and register its task and its signals."""
    settings = load_settings()
    app = build_app(settings)
    app.steps["consumer"].add(UnackedHeartbeat)
    environment = process_environment()
    connection = connection_of(settings, environment)
    tools = build_tools(settings, environment, connection)
    assert settings.broker.url is not None
    ledger = RedisLedger(connect(settings.broker.url.get_secret_value()))
    register(app, tools, open_store(settings.results.store), ledger)
    _connect_signals(settings, tools, connection)
    return app


def build_tools(
    settings: Settings, environment: Mapping[str, str], connection: LazyConnection | None
) -> Tools:
    """What checks work with. Nothing is asked of GitHub or of a secret's keeper yet."""
    programs = Programs(settings.worker.stop_grace_seconds)
    sources: dict[str, RootSource] = {"local": LocalSource(settings.worker.local_roots)}
    modules = None
    if connection is not None:
        sources["github"] = GitHubSource(connection)
        host, mirrors = connection.host, connection.module_repositories
        modules = ModuleAccess(host, connection, mirrors, programs)
    return Tools(
        settings=settings.worker,
        environment=environment,
        workspaces=Workspaces(settings.worker.writable_root),
        programs=programs,
        source=Sources(sources),
        name=socket.gethostname(),
        withheld=withheld_variables(settings.github),
        modules=modules,
        terraform=settings.terraform,
        installs=InstalledPrograms(
            ProgramsOnPath(programs, settings.worker.terraform, environment),
            open_installs(settings, environment),
            settings.installs,
        ),
    )


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
    signals.worker_init.connect(clear, weak=False)
    signals.worker_process_init.connect(sweep, weak=False)
    signals.worker_process_shutdown.connect(close, weak=False)


class CurrentRedactor(Redactor):
    """Masks the tokens in use as well, which come and go while the worker runs."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools.secrets)
        self._tools = tools
        self._tokens: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        tokens = tuple(self._tools.source.secrets())
        if tokens != self._tokens:
            self._tokens = tokens
            super().__init__((*self._tools.secrets, *tokens))
        return super().__call__(text)


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
