"""The worker process of a scan: a real one, started, watched and ended."""

import contextlib
import os
import signal
from pathlib import Path

from driftfleet import process
from driftfleet.configuration import (
    CONFIG_VARIABLE,
    PREFIX,
    config_file,
    environment_of,
    process_environment,
)
from driftfleet.installs.tfenv import VARIABLE as TFENV_VARIABLE
from driftfleet.secrets import secrets_of, variable_of
from driftfleet.settings import DiscoverySettings, Settings
from driftfleet.worker_command import worker_arguments

_LAST_LINES = 5
_LAST_BYTES = 8192
_LONG = (f"{PREFIX}VARIANTS", f"{PREFIX}DISCOVERY__", f"{PREFIX}REPOSITORIES")


class Crew:
    """One worker process with a pool of ``worker.concurrency`` children.

    ``log`` is where its messages go; None lets them through to our stderr.
    """

    def __init__(self, settings: Settings, folder: Path, log: Path | None) -> None:
        self._settings = settings
        self._folder = folder
        self._log = log
        self._worker: process.Process | None = None

    @property
    def alive(self) -> bool:
        """Whether the worker runs."""
        return self._worker is not None and self._worker.poll() is None

    def start(self) -> None:
        """Start the worker, or another one after the first died. Main thread only."""
        self.end()
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self._log.open("ab")) if self._log else None
            self._worker = process.start(
                worker_arguments(self._settings),
                worker_environment(self._settings),
                # Without its scan nobody wants its answers, and its queue is gone.
                death_signal=signal.SIGKILL,
                # Celery puts the current folder on the module path: it must be nobody's code.
                folder=self._folder,
                stdout=output or 2,
                stderr=output or 2,
                # A Ctrl-C on the terminal is for the scan, which ends its worker in order.
                new_session=True,
            )

    def end(self) -> None:
        """End the worker and its pool. Their runners end terraform and remove the workspaces.

        SIGKILL, because SIGTERM would wait for the running checks, and an ended scan needs nothing
        that a dying worker could still say.
        """
        if self._worker is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._worker.pid, signal.SIGKILL)
            self._worker.wait()
            self._worker = None

    def last_words(self) -> str:
        """The end of the worker's log, for the person who has to find out why it died."""
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-_LAST_LINES:])


def worker_environment(settings: Settings) -> dict[str, str]:
    """The environment of a worker process: ours, with exactly these settings in it."""
    # These are the producer's business, and may be more than fits into one variable.
    settings = settings.model_copy(
        update={"variants": (), "discovery": DiscoverySettings(), "repositories": ()}
    )
    secrets = _secret_variables(settings)
    foreign = {
        name: value
        for name, value in process_environment().items()
        if not name.startswith(PREFIX) or name in secrets or name == TFENV_VARIABLE
    }
    return {**foreign, **environment_of(settings)}


def producer_environment(settings: Settings, config: Path | None) -> dict[str, str]:
    """The environment of a producer process: ours, with these settings, and the file's place.

    What may be more than fits into one variable is read from the file again, which ``config`` names
    as it does for `load_settings`.
    """
    environment = process_environment()
    path = config_file(config, environment)
    named = {} if path is None else {CONFIG_VARIABLE: str(path)}
    shorter = {k: v for k, v in environment_of(settings).items() if not k.startswith(_LONG)}
    return {**environment, **shorter, **named}


def _secret_variables(settings: Settings) -> set[str]:
    """The variables that hold secrets: one may well be called ``DRIFTFLEET_TOKEN``."""
    return {name for url in secrets_of(settings).values() if (name := variable_of(url))}
