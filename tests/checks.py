"""What whole checks of local folders are run with in tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from driftfleet.configuration import process_environment
from driftfleet.settings import WorkerSettings
from tests import providers
from tests.workers import short_folder
from worker.local_source import LocalSource
from worker.process import Programs
from worker.tools import Tools
from worker.workspace import Workspaces


@contextlib.contextmanager
def local_tools(repository: Path, name: str, **settings_of: Any) -> Iterator[Tools]:
    """Those of a worker, without a mirror unless ``settings_of`` it name one.

    At the end nothing may be left of its checks, no file and no process.
    """
    providers.require_terraform()
    # Short, as a deployment's is: unix sockets lie below it.
    with short_folder(name) as writable:
        settings = WorkerSettings(
            writable_root=writable,
            local_roots=(repository,),
            stop_grace_seconds=1,
            **settings_of,
        )
        programs = Programs(settings.stop_grace_seconds)
        before = {process.pid for process in psutil.Process().children(recursive=True)}
        yield Tools(
            settings=settings,
            environment=process_environment(),
            workspaces=Workspaces(writable),
            programs=programs,
            source=LocalSource(settings.local_roots),
            name="test",
        )
        programs.close()
        after = {process.pid for process in psutil.Process().children(recursive=True)}
        assert after <= before
        assert list(writable.rglob("*")) == []
