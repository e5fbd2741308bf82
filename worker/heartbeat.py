"""Keeps this worker's unacknowledged jobs its own while it lives.

Kombu gives a message back after the visibility time-out, whether its worker lives or not. So either
that time-out is longer than the longest plan, and a dead worker's check waits for as long; or the
living say that they live. This does: it refreshes the time of each delivered message in Redis. It
reads ``channel.qos._delivered``, which is kombu's own: pyproject.toml pins kombu's minor version.
"""

import time
from typing import Any

import structlog
from celery import bootsteps

log = structlog.get_logger()


class UnackedHeartbeat(bootsteps.StartStopStep):  # type: ignore[misc]
    """A consumer bootstep in the worker's main process."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        channel = consumer.task_consumer.channel
        # Four beats in a time-out: one may be lost, another late.
        interval = channel.visibility_timeout / 4
        self._timer = consumer.timer.call_repeatedly(interval, refresh, (channel,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - bootsteps' signature
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def refresh(channel: Any) -> None:
    """Say that every message this channel has delivered is still being worked on."""
    tags = [str(tag) for tag in channel.qos._delivered]
    if not tags:
        return
    try:
        with channel.conn_or_acquire() as client:
            # Only what is still listed: a message that was acknowledged meanwhile stays gone.
            client.zadd(channel.unacked_index_key, dict.fromkeys(tags, time.time()), xx=True)
    except Exception as error:  # the connection's own recovery deals with it
        log.warning("unacked_heartbeat_failed", error=str(error))
