"""Kombu's Redis transport for our messages: shorter, and what is none is told of and dropped.

By itself it ends the worker's main process, once for each such item (celery#4308). It overrides
kombu's internals: pyproject.toml pins kombu's minor version, and a test puts garbage into a queue.
"""

import contextlib
from collections.abc import Callable
from queue import Empty
from typing import Any

import structlog
from kombu import transport
from kombu.transport import redis
from redis.exceptions import ResponseError

from driftfleet import pulse
from driftfleet.envelope import QUEUES, NoMessage, open_envelope
from driftfleet.refusals import heeding

log = structlog.get_logger()

# What a worker takes to be so where a message doesn't say it; so it does where it is empty. A
# hundred thousand messages may wait.
_NEEDLESS = frozenset({"origin", "lang", "timelimit"})
# In the headers as well, or asked by nobody.
_TWICE = ("argsrepr", "kwargsrepr", "reply_to")
_SCHEMES = ("redis", "rediss", "redis+socket")


class QoS(redis.QoS):
    """What was taken and isn't acknowledged; what is no message of another's is forgotten."""

    def append(self, message: Any, delivery_tag: Any) -> None:
        self.channel.healed(super().append, message, delivery_tag)

    def ack(self, delivery_tag: Any) -> None:
        self._settled(self.channel.healed, super().ack, delivery_tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        self._settled(super().reject, delivery_tag, requeue=requeue)

    def _settled(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            call(*arguments, **options)
        except self.channel.connection_errors:
            # Celery only tells of it. The message would hold a slot for as long as this channel is
            # there, and the next command, on a new connection, would not notice that.
            self.channel.connection.lose("a message could not be acknowledged")
            raise

    def restore_visible(self, *arguments: Any, **options: Any) -> None:
        self.channel.healed(super().restore_visible, *arguments, **options)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        try:
            super().restore_by_tag(tag, client, leftmost)  # type: ignore[no-untyped-call]
        except self.channel.connection_errors:
            raise
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            _refuse(self.channel.unacked_key, type(error).__name__)
            with self.channel.conn_or_acquire(client) as connection:
                pipe = connection.pipeline()
                self._remove_from_indices(tag, pipe)  # type: ignore[no-untyped-call]
                pipe.execute()


class Channel(redis.Channel):
    """Takes from the queue what is a message, and drops the rest."""

    QoS = QoS
    # JSON is text: base64 would make it longer by a third.
    body_encoding = "utf-8"

    def prepare_message(self, body: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        prepared = super().prepare_message(body, *arguments, **options)  # type: ignore[no-untyped-call]
        message: dict[str, Any] = prepared
        headers: dict[str, Any] = message["headers"]
        message["headers"] = {k: v for k, v in headers.items() if v and k not in _NEEDLESS}
        for name in _TWICE:
            message["properties"].pop(name, None)
        return message

    def _connparams(self, asynchronous: bool = False) -> Any:
        parameters = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        kind = parameters.get("connection_class") or self.connection_class
        parameters["connection_class"] = heeding(kind, self.connection.lose)
        return parameters

    def healed(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What ``call`` gives, once what stands where a key of kombu's should be is removed."""
        try:
            return call(*arguments, **options)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            self._remove_strangers()
        return call(*arguments, **options)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (Empty, *self.connection_errors):
            raise
        except ResponseError as error:
            if self.connection.delivering or "WRONGTYPE" not in str(error):
                raise
            # It would come again, and nothing from any queue.
            self._remove_strangers()
            raise Empty from error
        except Exception as error:
            if self.connection.delivering:
                raise
            # Taken from the list already.
            _refuse("", f"it is no JSON: {type(error).__name__}")
            raise Empty from error

    def give_back_what_comes(self) -> None:
        """Read what Redis was asked for, once nothing is consumed any more: what it gives goes back
        into its queue. It takes a second at most; by itself kombu does so when it closes.
        """
        if self._in_poll:
            with contextlib.suppress(Empty, *self.connection_errors):
                self._brpop_read()

    def _remove_strangers(self) -> None:
        types = {self.unacked_key: b"hash", self.unacked_index_key: b"zset"}
        for queue in self.active_queues:
            for step in self.priority_steps:
                types[self._q_for_pri(queue, step)] = b"list"  # type: ignore[no-untyped-call]
        with self.conn_or_acquire() as client:
            for key, kind in types.items():
                if client.type(key) not in (kind, b"none"):
                    client.delete(key)
                    log.error("key_removed", key=key, reason="not ours")


class Transport(redis.Transport):
    """Redis through our channel."""

    Channel = Channel
    delivering = False
    lost = ""

    def lose(self, reason: str = "Redis takes no writes") -> None:
        """Have the event loop take the connection as lost, whichever of it noticed that."""
        self.lost = reason

    def establish_connection(self) -> Any:
        # Each try of a service whose Redis is away: meanwhile no other loop of it turns.
        pulse.turn()
        return super().establish_connection()  # type: ignore[no-untyped-call]

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]
        loop.on_tick.add(self._end_if_lost)

    def _end_if_lost(self) -> None:
        if self.lost:
            reason, self.lost = self.lost, ""
            raise ConnectionError(reason)

    def _deliver(self, message: Any, queue: str) -> None:
        if queue.startswith(QUEUES):
            try:
                open_envelope(message, queue)
            except NoMessage as error:
                _refuse(queue, str(error))
                return
        self.delivering = True
        try:
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        finally:
            self.delivering = False


def _refuse(queue: str, reason: str) -> None:
    # Its text is not told: anybody may have written it.
    log.error("message_refused", reason=reason, **({"queue": queue} if queue else {}))


def install() -> None:
    """Have kombu take this transport for the URLs of Redis."""
    for scheme in _SCHEMES:
        transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
