"""The Celery application of the producer: ``celery -A producer.app beat``, and ``... worker``.

Beat keeps its schedule in memory: it needs no writable disk. Times are UTC.
"""

import functools
import multiprocessing.process
import os
from typing import Any

from celery import Celery, signals
from celery.schedules import ParseException, crontab
from kombu.entity import Exchange, Queue

from driftfleet.celery_app import build_app
from driftfleet.configuration import load_settings, process_environment
from driftfleet.errors import ConfigurationError
from driftfleet.logs import Redactor, configure_logs, secrets_in
from driftfleet.settings import Settings
from producer.tasks import MIRROR_TASK, PRODUCER_QUEUE, register

# A Redis that is away at the due minute is waited for, by the hour: else that night would be lost.
_PATIENT = {"max_retries": 500, "interval_start": 1, "interval_step": 1, "interval_max": 30}


def create(settings: Settings) -> Celery:
    """Build the application: its queue, its schedule and its tasks.

    Raises
    ------
    ConfigurationError
        There is no broker, or a time is no crontab's.
    """
    app = build_app(settings)
    app.conf.update(
        task_queues=[Queue(PRODUCER_QUEUE, Exchange(PRODUCER_QUEUE), routing_key=PRODUCER_QUEUE)],
        task_default_queue=PRODUCER_QUEUE,
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule=schedule(settings),
    )
    register(app, settings, process_environment())
    return app


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """What beat sends, and when. Raises `ConfigurationError` where a time is no crontab's."""
    if settings.mirror.sync_at is None:
        return {}
    when = _crontab("mirror.sync_at", settings.mirror.sync_at)
    # One that nobody took within a day is not worth doing beside the next.
    options = {"expires": 86_400, "retry": True, "retry_policy": _PATIENT}
    return {"mirror-sync": {"task": MIRROR_TASK, "schedule": when, "options": options}}


def _crontab(key: str, text: str) -> crontab:
    try:
        return crontab.from_string(text)
    except (ParseException, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{key}: '{text}' is no crontab (minute hour day month weekday), such as '30 2 * * *': "
            f"{error}"
        ) from error


@functools.cache
def _app() -> Celery:
    os.umask(0o077)
    # As in worker/app.py: else a folder of the pool is left behind in the system's temporary one.
    multiprocessing.process.current_process()._config["tempdir"] = "/dev/shm"  # type: ignore[attr-defined]  # noqa: S108
    settings, environment = load_settings(), process_environment()

    def set_up_logs(**_: Any) -> None:
        configure_logs(settings.logs, Redactor(secrets_in(environment)))

    signals.setup_logging.connect(set_up_logs, weak=False)
    return create(settings)


def __getattr__(name: str) -> Celery:
    """Build ``app`` when Celery asks for it: importing this module reads no environment."""
    if name == "app":
        return _app()
    raise AttributeError(name)
