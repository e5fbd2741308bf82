"""What whole checks of local folders are run with in tests."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from driftfleet.configuration import process_environment
from driftfleet.settings import WorkerSettings
from tests import providers
from tests.workers import short_folder
from worker.local_source import LocalSource
from worker.process import Programs
from worker.tools import Tools
from worker.workspace import Workspaces


@contextlib.contextmanager
def local_tools(repository: Path, name: str) -> Iterator[Tools]:
    """Those of a worker without a mirror; at the end nothing may be left of its checks."""
    providers.require_terraform()
    with short_folder(name) as writable:
        settings = WorkerSettings(writable_root=writable, local_roots=(repository,))
        programs = Programs(1)
        yield Tools(
            settings=settings,
            environment=process_environment(),
            workspaces=Workspaces(writable),
            programs=programs,
            source=LocalSource(settings.local_roots),
            name="test",
        )
        programs.close()
        assert list(writable.rglob("*")) == []
