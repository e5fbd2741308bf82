"""Builds the Celery application from settings.

Every value that is not Celery's default has its reason here; docs/queue.md tells what each fault
does.
"""

import itertools
import ssl
import time
from collections.abc import Iterable
from typing import Any

from billiard import pool
from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from driftfleet import transport
from driftfleet.errors import BrokerUnavailable, ConfigurationError
from driftfleet.jobs import CHECK_QUEUES, CHECK_TASK, Job
from driftfleet.pulse_step import PulseStep
from driftfleet.redis_client import CONNECT_SECONDS, SOCKET_SECONDS
from driftfleet.settings import Settings

# Between the check's own limit and Celery's: by then the check has ended terraform and answered.
_SOFT_MARGIN_SECONDS = 60
_HARD_MARGIN_SECONDS = 120
PRIORITY_STEPS = (0, 3, 6, 9)
_PRIORITIES = ((0, 10), (3, 100), (6, 500))
_BATCH = 500
# Each a tenth of a second.
_LAST_WORD_TRIES = 50


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
    transport.install()
    # A pool child waits so long for its parent to have read its last answer. Celery, when it ends,
    # forgets a task that no child had accepted yet, and never reads how it ended: that was 30 s.
    # What a child has written isn't lost with it, the parent finds it in the pipe.
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = _LAST_WORD_TRIES
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
        # A plan goes on while Redis is away; the message that comes back meanwhile finds its lease,
        # or its answer (docs/adr/0018).
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # One message per slot: what a busy worker holds back, a free one can't take.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_max_tasks_per_child=100,
        task_soft_time_limit=settings.limits.timeout_seconds + _SOFT_MARGIN_SECONDS,
        task_time_limit=settings.limits.timeout_seconds + _HARD_MARGIN_SECONDS,
        # Ours is worker/drain.py: Celery's sleeps in a signal handler, and acknowledges nothing
        # meanwhile. QUIT ends plans at once.
        worker_soft_shutdown_timeout=0,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Whoever can write to Redis could stop workers by the control channel.
        worker_enable_remote_control=False,
        worker_send_task_events=settings.broker.events,
        task_send_sent_event=False,
        task_queues=queues_named(CHECK_QUEUES),
        task_default_queue=CHECK_QUEUES[0],
        # What isn't sent at once is an error of whoever sends.
        task_publish_retry=False,
        worker_hijack_root_logger=False,
        # Celery's own tells of what it can't take with the whole of it.
        worker_consumer="driftfleet.consumer:Consumer",
        broker_transport_options={
            "visibility_timeout": settings.broker.visibility_timeout_seconds,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_timeout": SOCKET_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_keepalive": True,
            "queue_order_strategy": "round_robin",
            "priority_steps": list(PRIORITY_STEPS),
        },
        broker_connection_timeout=CONNECT_SECONDS,
        broker_use_ssl=_tls(settings),
    )
    app.steps["consumer"].add(PulseStep)
    return app


def queues_named(names: Iterable[str]) -> list[Queue]:
    """Celery's form of queues."""
    return [Queue(name, Exchange(name), routing_key=name) for name in names]


def _tls(settings: Settings) -> dict[str, Any] | None:
    """For ``rediss://``: kombu by itself would verify no certificate."""
    assert settings.broker.url is not None
    if not settings.broker.url.get_secret_value().startswith("rediss://"):
        return None
    named = {"ssl_ca_certs": str(settings.broker.ca_file)} if settings.broker.ca_file else {}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **named}


def send(
    app: Celery, jobs: Iterable[Job], *, positions: Iterable[int] = itertools.repeat(0)
) -> None:
    """Put jobs into the queues of their repositories, many in each request.

    ``positions`` are their places in their sweeps: the first of a sweep go before the later ones
    of all others, so that a small sweep isn't behind a large one's end.

    Raises `BrokerUnavailable`: some of them may have been taken then.
    """
    try:
        with app.producer_or_acquire() as producer, producer.batch(_BATCH):
            for job, position in zip(jobs, positions, strict=False):
                _send_one(app, producer, job, _priority(position))
    except (KombuError, RedisError, OSError) as error:
        # What a batch raises says no more than that; its cause does.
        raise BrokerUnavailable(
            f"Redis did not take the jobs: {error.__cause__ or error}"
        ) from error


def _send_one(app: Celery, producer: Any, job: Job, priority: int) -> None:
    app.send_task(
        CHECK_TASK,
        args=[job.wire()],
        task_id=f"{job.sweep_id}-{job.attempt}-{job.identity}",
        queue=job.queue,
        # It is a list's name; nothing has to be made for it.
        declare=(),
        # Without these Celery would take its time to make some.
        argsrepr="-",
        kwargsrepr="-",
        headers={"sent_at": round(time.time(), 3), "argsrepr": job.title, "kwargsrepr": ""},
        producer=producer,
        priority=priority,
        retry=False,
    )


def _priority(position: int) -> int:
    """Kombu's lowest number goes first."""
    return next((p for p, most in _PRIORITIES if position < most), PRIORITY_STEPS[-1])
