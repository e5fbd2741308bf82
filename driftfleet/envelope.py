"""What a message of this fleet looks like: looked at before any of it is believed.

Whoever can write to Redis can put anything into a queue. What Celery takes for granted in a message
ends the worker's main process where it isn't so (celery#4308), and what it obeys there, such as
callbacks, would have a worker send other messages. We send neither.
"""

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

# What names of our queues and tasks begin with.
QUEUES = TASKS = "driftfleet."
_NAME_CHARACTERS = 300
_DEEPEST = 32
_PRIORITIES = 10
_LONGEST_SECONDS = 30 * 86_400
# All of Celery's Context that our messages leave empty. What is none of Celery's is let through:
# whoever traces a fleet adds headers.
_UNUSED = (
    "eta", "group", "group_index", "taskset", "chain", "chord", "callbacks", "errbacks", "shadow",
    "stamps", "stamped_headers", "is_eager", "called_directly", "args", "kwargs", "compression",
    "logfile", "loglevel", "hostname", "delivery_info", "properties", "headers", "meth",
)  # fmt: skip
_TEXTS = ("lang", "argsrepr", "kwargsrepr", "origin", "root_id", "parent_id")
_EMPTY_EMBED: tuple[Any, ...] = (None, [], {}, "")


class NoMessage(ValueError):
    """It is none of ours; the message says in what, and quotes nothing of it."""


def open_envelope(message: Any, queue: str) -> None:
    """See that what was read from ``queue`` is a message of ours.

    Raises
    ------
    NoMessage
        It is none.
    """
    if not isinstance(message, dict):
        raise NoMessage("it is JSON, but no object")
    headers, properties = message.get("headers"), message.get("properties")
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise NoMessage("it has no headers or no properties")
    _check_properties(properties, queue)
    _check_headers(headers)
    form = (message.get("content-type"), message.get("content-encoding"))
    if form != ("application/json", "utf-8"):
        raise NoMessage("its content is no JSON")
    _check_body(message.get("body"), properties["body_encoding"])


def _check_properties(properties: Mapping[str, Any], queue: str) -> None:
    delivery = properties.get("delivery_info")
    if not isinstance(delivery, dict):
        raise NoMessage("it has no delivery_info")
    # Where it would go when it is given back.
    if (delivery.get("exchange"), delivery.get("routing_key")) != ("", queue):
        raise NoMessage("it is for another queue")
    if not _is_name(properties.get("delivery_tag")):
        raise NoMessage("it has no delivery_tag")
    if properties.get("body_encoding") not in ("utf-8", "base64"):
        raise NoMessage("its body_encoding is another")
    for name in ("correlation_id", "reply_to"):
        if not (properties.get(name) is None or _is_name(properties[name])):
            raise NoMessage(f"its {name} is no name")
    priority = properties.get("priority")
    if not (priority is None or (_is_whole(priority) and 0 <= priority < _PRIORITIES)):
        raise NoMessage("its priority is none")


def _check_headers(headers: Mapping[str, Any]) -> None:
    for name in ("task", "id"):
        if not _is_name(headers.get(name)):
            raise NoMessage(f"its {name} is no name")
    if not headers["task"].startswith(TASKS):
        # Celery has some of its own, which call others.
        raise NoMessage("it is for a task that is none of ours")
    for name in _UNUSED:
        if headers.get(name):
            raise NoMessage(f"it has {name}, which no message of ours has")
    for name in _TEXTS:
        if not isinstance(headers.get(name), str | None):
            raise NoMessage(f"its {name} is no text")
    if not _is_whole(headers.get("retries", 0)):
        raise NoMessage("its retries are no number")
    if not isinstance(headers.get("ignore_result"), bool | None):
        raise NoMessage("its ignore_result is neither true nor false")
    _check_times(headers)


def _check_times(headers: Mapping[str, Any]) -> None:
    sent_at, expires = headers.get("sent_at"), headers.get("expires")
    if not (sent_at is None or _is_time(sent_at)):
        raise NoMessage("its sent_at is no time")
    if expires is not None:
        try:
            datetime.fromisoformat(expires)
        except (TypeError, ValueError) as error:
            raise NoMessage("its expires is no time") from error
    limits = headers.get("timelimit") or (None, None)
    if not isinstance(limits, list | tuple) or len(limits) != 2:
        raise NoMessage("its timelimit is none")
    if not all(one is None or (_is_time(one) and one <= _LONGEST_SECONDS) for one in limits):
        raise NoMessage("its timelimit is none")


def _check_body(body: Any, encoding: str) -> None:
    if not isinstance(body, str):
        raise NoMessage("it has no body")
    try:
        content = json.loads(
            base64.b64decode(body, validate=True) if encoding == "base64" else body
        )
    except (ValueError, RecursionError) as error:
        raise NoMessage("its body is no JSON") from error
    if not isinstance(content, list) or len(content) != 3:
        raise NoMessage("its body is not [args, kwargs, embed]")
    arguments, keywords, embed = content
    if not isinstance(arguments, list) or not isinstance(embed, dict):
        raise NoMessage("its body is not [args, kwargs, embed]")
    if keywords != {}:
        raise NoMessage("it has keyword arguments, which no message of ours has")
    if any(one not in _EMPTY_EMBED for one in embed.values()):
        raise NoMessage("it has callbacks or a chord, which no message of ours has")
    if not _is_plain(arguments, _DEEPEST):
        raise NoMessage("its arguments are nested too deep, or of types that we don't send")


def _is_plain(value: Any, deepest: int) -> bool:
    """Whether nothing of it becomes an object of another type (kombu.utils.json)."""
    if isinstance(value, list):
        return deepest > 0 and all(_is_plain(one, deepest - 1) for one in value)
    if isinstance(value, dict):
        if value.keys() == {"__type__", "__value__"}:
            return False
        return deepest > 0 and all(_is_plain(one, deepest - 1) for one in value.values())
    return True


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _NAME_CHARACTERS


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _is_time(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and value >= 0 and math.isfinite(value)
