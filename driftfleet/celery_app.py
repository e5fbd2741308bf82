"""Builds the Celery application from settings.

Every value that is not Celery's default has its reason here; docs/queue.md tells what each fault
does.
"""

import time
from collections.abc import Iterable

from celery import Celery
from kombu.entity import Exchange, Queue

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import CHECK_QUEUE, CHECK_TASK, Job
from driftfleet.settings import Settings

# Between the check's own limit and Celery's: by then the check has ended terraform and answered.
_SOFT_MARGIN_SECONDS = 60
_HARD_MARGIN_SECONDS = 120


def build_app(settings: Settings) -> Celery:
    """The Celery application of both sides.

    Raises
    ------
    ConfigurationError
        There is no broker URL.
    """
    if settings.broker.url is None:
        raise ConfigurationError(
            "broker.url is not set: give the URL of Redis, such as redis://:PASSWORD@HOST:6379/0, "
            "in DRIFTFLEET_BROKER__URL"
        )
    app = Celery("driftfleet", broker=settings.broker.url.get_secret_value(), set_as_current=False)
    app.conf.update(
        # JSON only: a pickle in a message would run whatever its sender likes.
        task_serializer="json",
        accept_content=["json"],
        # A result backend on Redis loses tasks when Redis is away (celery#8588): the store has
        # the answers.
        result_backend=None,
        task_ignore_result=True,
        # At least once: a message is acknowledged after its answer is stored, and given back when
        # its worker dies. worker/tasks.py bounds how often.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        # One message per slot: what a busy worker holds back, a free one can't take.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_max_tasks_per_child=100,
        task_soft_time_limit=settings.limits.timeout_seconds + _SOFT_MARGIN_SECONDS,
        task_time_limit=settings.limits.timeout_seconds + _HARD_MARGIN_SECONDS,
        worker_soft_shutdown_timeout=10,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Whoever can write to Redis could stop workers by the control channel.
        worker_enable_remote_control=False,
        worker_send_task_events=settings.broker.events,
        task_send_sent_event=False,
        task_queues=[Queue(CHECK_QUEUE, Exchange(CHECK_QUEUE), routing_key=CHECK_QUEUE)],
        task_default_queue=CHECK_QUEUE,
        worker_hijack_root_logger=False,
        broker_transport_options={
            "visibility_timeout": settings.broker.visibility_timeout_seconds,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "queue_order_strategy": "round_robin",
            "priority_steps": [0, 3, 6, 9],
        },
    )
    return app


def send(app: Celery, jobs: Iterable[Job]) -> None:
    """Put jobs into the queue over one connection.

    A job's task id is its sweep and identity, so that sending it again is known to be the same.
    """
    with app.producer_or_acquire() as producer:
        for job in jobs:
            app.send_task(
                CHECK_TASK,
                args=[job.model_dump(mode="json")],
                task_id=f"{job.sweep_id}-{job.identity}",
                queue=CHECK_QUEUE,
                argsrepr=job.title,
                kwargsrepr="",
                headers={"sent_at": time.time()},
                producer=producer,
            )
