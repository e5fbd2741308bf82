"""Keeps this worker's unacknowledged jobs its own while it lives.

Kombu gives a message back after the visibility time-out, whether its worker lives or not. So either
that time-out is longer than the longest plan, and a dead worker's check waits for as long; or the
living say that they live. This does: it refreshes the time of each delivered message in Redis. It
reads ``channel.qos._delivered``, which is kombu's own: pyproject.toml pins kombu's minor version.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from driftfleet.timer_step import TimerStep

log = structlog.get_logger()


class UnackedHeartbeat(TimerStep):
    """A consumer bootstep in the worker's main process."""

    def repeated(self, consumer: Any) -> tuple[float, Callable[[], object]]:
        channel = consumer.task_consumer.channel
        # Four beats in a time-out: one may be lost, another late.
        return channel.visibility_timeout / 4, partial(refresh, channel)


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
