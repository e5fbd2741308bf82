"""Kombu's Redis transport, where a message that is none is told of and dropped.

By itself it ends the worker's main process, once for each such item (celery#4308). It overrides
kombu's internals: pyproject.toml pins kombu's minor version, and a test puts garbage into a queue.
"""

from queue import Empty
from typing import Any

import structlog
from kombu import transport
from kombu.transport import redis

log = structlog.get_logger()

_SCHEMES = ("redis", "rediss", "redis+socket")


class Channel(redis.Channel):
    """Takes from the queue what is a message, and drops the rest."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except ValueError as error:
            if self.connection.delivering:
                raise
            # No JSON, and taken from the list already.
            _refuse(type(error).__name__)
            raise Empty from error


class Transport(redis.Transport):
    """Redis through our channel."""

    Channel = Channel
    delivering = False

    def _deliver(self, message: Any, queue: str) -> None:
        if not _is_message(message):
            _refuse("JSON, but no message")
            return
        self.delivering = True
        try:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        finally:
            self.delivering = False


def _is_message(message: Any) -> bool:
    """Whether it has what kombu takes for granted in what it reads."""
    if not isinstance(message, dict) or not isinstance(message.get("body"), str):
        return False
    properties = message.get("properties")
    if not isinstance(properties, dict) or not isinstance(message.get("headers"), dict):
        return False
    delivery = properties.get("delivery_info")
    return (
        isinstance(properties.get("delivery_tag"), str)
        and isinstance(delivery, dict)
        and ({"exchange", "routing_key"} <= delivery.keys())
    )


def _refuse(what: str) -> None:
    # Its text is not told: anybody may have written it.
    log.error("message_refused", reason=f"it is no message of Celery's: {what}")


def install() -> None:
    """Have kombu take this transport for the URLs of Redis."""
    for scheme in _SCHEMES:
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
