"""Kombu's Redis transport for our messages: shorter, and where one is none it is told and dropped.

By itself it, or Celery behind it, ends the worker's main process: once for an item that is no JSON
(celery#4308), and for a message whose parts are not what they should be each time it comes back. It
overrides kombu's internals: pyproject.toml pins kombu's minor version, and a test puts garbage into
a queue.
"""

import base64
import json
from queue import Empty
from typing import Any

import structlog
from kombu import transport
from kombu.transport import redis

log = structlog.get_logger()

_SCHEMES = ("redis", "rediss", "redis+socket")
# Of the queues that are ours; events, which Flower listens to, are other messages.
_OURS = "driftfleet."
# Said in the headers as well, or asked by nobody: a hundred thousand messages may wait.
_NEEDLESS = ("argsrepr", "kwargsrepr", "reply_to")


class Channel(redis.Channel):
    """Takes from the queue what is a message, and drops the rest."""

    # JSON is text: base64 would make it longer by a third.
    body_encoding = "utf-8"

    def prepare_message(self, body: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        prepared = super().prepare_message(body, *arguments, **options)  # type: ignore[no-untyped-call]
        message: dict[str, Any] = prepared
        message["headers"] = {k: v for k, v in message["headers"].items() if v is not None}
        for name in _NEEDLESS:
            message["properties"].pop(name, None)
        return message

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError) as error:
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
        if queue.startswith(_OURS) and not _is_task(message):
            _refuse("a message, but not one of a task")
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
        and all(isinstance(delivery.get(name), str) for name in ("exchange", "routing_key"))
    )


def _is_task(message: Any) -> bool:
    """Whether it has what Celery's main process takes for granted in a task's message."""
    headers, properties = message["headers"], message["properties"]
    return (
        all(isinstance(headers.get(name), str) for name in ("task", "id"))
        and all(isinstance(headers.get(name), str | None) for name in ("eta", "expires", "shadow"))
        and "compression" not in headers
        and _are_limits(headers.get("timelimit"))
        and properties.get("body_encoding") in ("utf-8", "base64", None)
        and (message.get("content-type") != "application/json" or _is_call(message))
    )


def _are_limits(limits: Any) -> bool:
    return limits is None or (
        isinstance(limits, list)
        and len(limits) == 2
        and all(isinstance(limit, int | float | None) for limit in limits)
    )


def _is_call(message: Any) -> bool:
    """Whether the body is positional and named arguments, and what else Celery has to say."""
    body = message["body"]
    try:
        if message["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        call = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return (
        message.get("content-encoding") == "utf-8"
        and isinstance(call, list)
        and list(map(type, call)) == [list, dict, dict]
    )


def _refuse(what: str) -> None:
    # Its text is not told: anybody may have written it.
    log.error("message_refused", reason=f"it is no message of Celery's: {what}")


def install() -> None:
    """Have kombu take this transport for the URLs of Redis."""
    for scheme in _SCHEMES:
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
