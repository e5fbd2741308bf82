"""Checks of what `driftfleet doctor` finds of Redis, through which jobs travel."""

import os
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from driftfleet.errors import BrokerUnavailable, ConfigurationError
from driftfleet.redis_client import ask_redis, connect
from driftfleet.settings import BrokerSettings, Settings
from producer.doctor.broker_access import encryption_finding, password_finding, place_of
from producer.doctor.broker_state import (
    Told,
    clock_finding,
    eviction_finding,
    latency_finding,
    memory_finding,
    persistence_finding,
    version_finding,
)
from producer.doctor.broker_trouble import (
    mend_of_refusal,
    mend_of_silence,
    reason_of,
    why_no_connection,
)
from producer.doctor.findings import Finding, fail, ok, skip

_ANSWER_SECONDS = 3.0
# A doctor who waits for a Redis that hangs says so while people still look.
_PATIENCE_SECONDS = 6.0
_PINGS = 20
_PINGS_SECONDS = 2.0
_CONFIGURATION = ("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy")
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
T = TypeVar("T")

# What else is to be found in a Redis that answers.
Look = Callable[[redis.Redis], Iterable[Finding]]


@dataclass(frozen=True)
class Clocks:
    """This machine's: the time of day, and what measures durations."""

    day: Callable[[], float] = time.time
    timer: Callable[[], float] = time.monotonic


def check_broker(
    settings: Settings, more: Sequence[Look] = (), clocks: Clocks | None = None
) -> Iterator[Finding]:
    """Everything about Redis; where it doesn't answer, that alone. ``more`` is asked at the end."""
    if settings.broker.url is None:
        yield skip("broker", "none is configured: `scan` starts its own, workers need broker.url")
        return
    try:
        line = _Line(_client(settings.broker), clocks or Clocks())
    except ConfigurationError as error:
        yield fail("broker", error.message, "correct it (DRIFTFLEET_BROKER__URL, ..._CA_FILE)")
        return
    try:
        yield from _findings(settings, line, more)
    except BrokerUnavailable as error:
        where = place_of(line.client)
        yield fail("broker", f"{where}: {reason_of(error)}", mend_of_silence(error))
    finally:
        line.client.close()


def _findings(settings: Settings, line: "_Line", more: Sequence[Look]) -> Iterator[Finding]:
    # Where its disk is full it refuses even that, and so it answers.
    line.ask_or_refusal(line.client.ping)
    told = _told(line)
    yield version_finding(told, place_of(line.client))
    yield encryption_finding(settings, line.client)
    yield password_finding(line.client, _client(settings.broker))
    yield persistence_finding(told)
    yield eviction_finding(told)
    yield memory_finding(told)
    yield _writes(line)
    yield latency_finding(_median_seconds(line))
    yield _clock(line)
    for look in more:
        yield from line.ask(partial(_looked, look, line.client))


def _looked(look: Look, client: redis.Redis) -> list[Finding]:
    return list(look(client))


def _client(broker: BrokerSettings) -> redis.Redis:
    """A client that waits for nothing long, and tries nothing twice.

    Raises
    ------
    ConfigurationError
        As `connect` does; or one of the URL's options is wrong.
    """
    assert broker.url is not None
    client = connect(broker.url.get_secret_value(), broker.ca_file)
    client.connection_pool.connection_kwargs.update(
        socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
    )
    client.set_retry(Retry(NoBackoff(), 0))
    try:
        client.connection_pool.make_connection()
    except (TypeError, ValueError, redis.RedisError) as error:
        raise ConfigurationError(f"broker.url: {why_no_connection(error)}") from error
    for name in _FILES:
        path = client.connection_pool.connection_kwargs.get(name)
        if path is not None and not os.access(path, os.R_OK):
            setting = "broker.ca_file" if path == str(broker.ca_file) else f"broker.url: {name}"
            raise ConfigurationError(f"{setting}: {path} can't be read, or isn't there")
    return client


class _Line:
    """A Redis that is asked one thing after the other, for as long as there is patience."""

    def __init__(self, client: redis.Redis, clocks: Clocks) -> None:
        self.client = client
        self.clocks = clocks
        self._end = clocks.timer() + _PATIENCE_SECONDS

    def ask(self, call: Callable[[], T]) -> T:
        """Raises `BrokerUnavailable`."""
        if self.clocks.timer() > self._end:
            raise BrokerUnavailable(
                f"Redis takes so long for each answer that {_PATIENCE_SECONDS:.0f} s were not "
                "enough for a few"
            )
        return ask_redis(call)

    def ask_or_refusal(self, call: Callable[[], T]) -> T | redis.ResponseError:
        """As `ask`, but that Redis refuses to answer this is an answer."""
        try:
            return self.ask(call)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, redis.ResponseError):
                return error.__cause__
            raise


def _told(line: _Line) -> Told:
    """What Redis tells of itself; users that may not ask, and managed servers, get less."""
    info: Any = line.ask_or_refusal(line.client.info)
    with line.client.pipeline(transaction=False) as pipe:
        for name in _CONFIGURATION:
            pipe.config_get(name)
        answers = line.ask(lambda: pipe.execute(raise_on_error=False))
    config: dict[str, str] = {}
    for answer in answers:
        config |= answer if isinstance(answer, dict) else {}
    return Told(info if isinstance(info, dict) else None, config or None)


def _writes(line: _Line) -> Finding:
    """Whether it takes a job: a full one doesn't, nor one whose disk is, nor a replica."""
    key = f"driftfleet:doctor:{secrets.token_hex(8)}"
    for write in (lambda: line.client.set(key, "", ex=10), lambda: line.client.delete(key)):
        refusal = line.ask_or_refusal(write)
        if isinstance(refusal, redis.ResponseError):
            return fail("writes", f"Redis refuses them: {refusal}", mend_of_refusal(refusal))
    return ok("writes", "a key could be written and removed")


def _median_seconds(line: _Line) -> float:
    timer = line.clocks.timer
    taken: list[float] = []
    end = timer() + _PINGS_SECONDS
    while len(taken) < _PINGS and (not taken or timer() < end):
        begun = timer()
        line.ask_or_refusal(line.client.ping)
        taken.append(timer() - begun)
    return statistics.median(taken)


def _clock(line: _Line) -> Finding:
    before = line.clocks.day()
    told: Any = line.ask_or_refusal(line.client.time)
    after = line.clocks.day()
    if isinstance(told, redis.ResponseError):
        return skip("clock", f"Redis doesn't tell its own (TIME): {told}")
    seconds, microseconds = told
    return clock_finding((before + after) / 2 - (seconds + microseconds / 1e6), after - before)
