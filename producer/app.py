"""The Celery application of the producer: ``celery -A producer.app beat``, and ``... worker``.

Beat keeps its schedule in memory: it needs no writable disk.
"""

import functools
import multiprocessing.process
import os
import time
from typing import Any

from celery import Celery, signals

from driftfleet import pulse
from driftfleet.broker_password import environment_with, with_broker_password
from driftfleet.celery_app import build_app, queues_named
from driftfleet.configuration import load_settings, process_environment
from driftfleet.errors import ConfigurationError
from driftfleet.heartbeat import HEARTBEAT_TASK
from driftfleet.jobs import CHECK_QUEUES
from driftfleet.logs import configure_logs
from driftfleet.metrics import open_meter
from driftfleet.redaction.names import secrets_in
from driftfleet.redaction.redactor import Redactor
from driftfleet.settings import Settings
from producer.ending import Ending
from producer.headquarters import PRODUCER_QUEUE, TICK_QUEUE, TICK_TASK
from producer.tasks import register

_EVERY_SECONDS = 60.0
# By the clocks of two machines, so not for what has to be done (`Headquarters.tick_if_due`).
_EXPIRES_SECONDS = 900


def create(settings: Settings) -> Celery:
    """Build the application: its queues, its schedule and its tasks.

    Raises
    ------
    ConfigurationError
        There is no broker, or what is to be scheduled can't be asked for.
    """
    if settings.repositories and not settings.github.is_named:
        raise ConfigurationError(
            "repositories names what to check, and github.url (DRIFTFLEET_GITHUB__URL) doesn't say "
            "where they are"
        )
    app = build_app(settings)
    app.conf.update(
        task_queues=queues_named([TICK_QUEUE, PRODUCER_QUEUE]),
        task_default_queue=PRODUCER_QUEUE,
        beat_scheduler="producer.beat:TickScheduler",
        beat_schedule=_schedule(),
    )
    Ending(settings.worker.drain_seconds).connect()
    meter = open_meter(settings.metrics, "producer")
    signals.worker_init.connect(lambda **_: pulse.begin("producer"), weak=False)
    signals.beat_init.connect(lambda **_: pulse.begin("beat"), weak=False)
    signals.worker_ready.connect(lambda **_: meter.start(), weak=False)
    signals.worker_shutdown.connect(lambda **_: meter.close(), weak=False)
    register(app, settings, process_environment(), meter)
    signals.before_task_publish.connect(_stamp, weak=False)
    return app


def _schedule() -> dict[str, dict[str, Any]]:
    """What beat sends, each minute, from memory: what is due, the tick works out."""
    tick = {"queue": TICK_QUEUE}
    # Through the checks' own queue, to a worker, to the store.
    heartbeat = {"queue": CHECK_QUEUES[0], "priority": 0, "expires": _EXPIRES_SECONDS}
    return {
        "tick": {"task": TICK_TASK, "schedule": _EVERY_SECONDS, "options": tick},
        "heartbeat": {"task": HEARTBEAT_TASK, "schedule": _EVERY_SECONDS, "options": heartbeat},
    }


def _stamp(headers: dict[str, Any], **_: Any) -> None:
    headers.setdefault("sent_at", round(time.time(), 3))


@functools.cache
def _app() -> Celery:
    os.umask(0o077)
    # As in worker/app.py: else a folder of the pool is left behind in the system's temporary one.
    multiprocessing.process.current_process()._config["tempdir"] = "/dev/shm"  # type: ignore[attr-defined]  # noqa: S108
    settings = with_broker_password(load_settings(), process_environment())
    environment = environment_with(settings, process_environment())

    def set_up_logs(**_: Any) -> None:
        configure_logs(settings.logs, Redactor(secrets_in(environment)))

    signals.setup_logging.connect(set_up_logs, weak=False)
    # Celery warns of its user before it asks for logs.
    set_up_logs()
    return create(settings)


def __getattr__(name: str) -> Celery:
    """Build ``app`` when Celery asks for it: importing this module reads no environment."""
    if name == "app":
        return _app()
    raise AttributeError(name)
