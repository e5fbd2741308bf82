"""A service that measures in a real Celery pool: ``celery -A tests.metrics_service worker``.

``count`` measures a check. ``die`` measures one and leaves a byte, then its child is killed.
"""

import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery, signals

from driftfleet.celery_app import build_app
from driftfleet.configuration import load_settings
from driftfleet.logs import configure_logs
from driftfleet.metrics import open_meter
from driftfleet.results import ErrorKind, Verdict

# What is none of ours is refused.
COUNT, DIE = "driftfleet.test.count", "driftfleet.test.die"
TASKS_PER_CHILD = 10


def build() -> Celery:
    settings = load_settings()
    app = build_app(settings)
    app.conf.update(
        # Children are replaced all the time, while the main process's threads run.
        worker_max_tasks_per_child=TASKS_PER_CHILD,
        # One that dies is not run again: its sum would be another.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
    )
    meter = open_meter(settings.metrics, "worker")

    @app.task(name=COUNT)  # type: ignore[untyped-decorator]
    def count(seconds: float) -> None:
        meter.check_answered(Verdict.CLEAN, plan_seconds=seconds)

    @app.task(name=DIE)  # type: ignore[untyped-decorator]
    def die(runs: str) -> None:
        with Path(runs).open("ab") as file:
            file.write(b".")
        meter.check_answered(Verdict.ERROR, ErrorKind.KILLED)
        os.kill(os.getpid(), signal.SIGKILL)

    def start(**_: Any) -> None:
        meter.start()

    def close(**_: Any) -> None:
        meter.close()

    def set_up_logs(**_: Any) -> None:
        configure_logs(settings.logs)

    signals.setup_logging.connect(set_up_logs, weak=False)
    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutdown.connect(close, weak=False)
    return app


def __getattr__(name: str) -> Celery:
    if name == "app":
        globals()[name] = found = build()
        return found
    raise AttributeError(name)
