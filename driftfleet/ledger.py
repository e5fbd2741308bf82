"""The sweep's ledger: what is still pending, what runs now, what was answered.

It lives in Redis beside the queue, so that who follows a sweep needs no result backend of Celery's.
Keys, each with an expiry of a day: ``driftfleet:sweep:ID:{pending,running,answered}`` and
``driftfleet:tries:TASK``.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import redis

from driftfleet.errors import BrokerUnavailable, ConfigurationError
from driftfleet.model import Record
from driftfleet.results import Verdict

EXPIRY_SECONDS = 86_400
_HOW_TO_WRITE = "it is written redis://:PASSWORD@HOST:6379/0"
T = TypeVar("T")


class Running(Record):
    """A check that a worker has begun. ``started_at`` is in seconds since the epoch."""

    title: str
    phase: str
    worker: str
    started_at: float


class Answer(Record):
    """A check that was answered; ``key`` names its result in the store."""

    check: str
    verdict: Verdict
    key: str


class Ledger(Protocol):
    """What a sweep's follower and its workers tell each other. Raises `BrokerUnavailable`."""

    def open(self, sweep_id: str, checks: Iterable[str]) -> None:
        """Note the identities of the checks that a sweep asks for."""

    def begin(self, sweep_id: str, check: str, running: Running) -> None:
        """Note that a check runs, or has come to another phase."""

    def answer(self, sweep_id: str, answer: Answer) -> bool:
        """Note an answer; False where the check had been answered before."""

    def pending(self, sweep_id: str) -> set[str]:
        """The identities of the checks that were not answered yet."""

    def running(self, sweep_id: str) -> dict[str, Running]:
        """The checks that run now, by identity."""

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        """The answers from the ``start``-th on, in the order in which they came."""

    def count_try(self, task_id: str) -> int:
        """Count one more delivery of a task and return how many there were."""


class RedisLedger:
    """A `Ledger` in Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        # One round trip, and atomic: a redelivered job's second answer must not count twice.
        self._answer = client.register_script(
            "local first = redis.call('SREM', KEYS[1], ARGV[1])\n"
            "redis.call('HDEL', KEYS[2], ARGV[1])\n"
            "if first == 1 then redis.call('RPUSH', KEYS[3], ARGV[2])\n"
            "redis.call('EXPIRE', KEYS[3], ARGV[3]) end\n"
            "return first"
        )

    def open(self, sweep_id: str, checks: Iterable[str]) -> None:
        names = list(checks)
        if not names:
            return

        def write() -> None:
            with self._redis.pipeline() as pipe:
                pipe.sadd(_key(sweep_id, "pending"), *names)
                pipe.expire(_key(sweep_id, "pending"), EXPIRY_SECONDS)
                pipe.execute()

        ask_redis(write)

    def begin(self, sweep_id: str, check: str, running: Running) -> None:
        def write() -> None:
            with self._redis.pipeline() as pipe:
                pipe.hset(_key(sweep_id, "running"), check, running.model_dump_json())
                pipe.expire(_key(sweep_id, "running"), EXPIRY_SECONDS)
                pipe.execute()

        ask_redis(write)

    def answer(self, sweep_id: str, answer: Answer) -> bool:
        keys = [_key(sweep_id, name) for name in ("pending", "running", "answered")]
        values: list[str | int] = [answer.check, answer.model_dump_json(), EXPIRY_SECONDS]
        return bool(ask_redis(lambda: self._answer(keys=keys, args=values)))

    def pending(self, sweep_id: str) -> set[str]:
        members: Any = ask_redis(lambda: self._redis.smembers(_key(sweep_id, "pending")))
        return {member.decode() for member in members}

    def running(self, sweep_id: str) -> dict[str, Running]:
        items: Any = ask_redis(lambda: self._redis.hgetall(_key(sweep_id, "running")))
        return {k.decode(): Running.model_validate(json.loads(v)) for k, v in items.items()}

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        items: Any = ask_redis(lambda: self._redis.lrange(_key(sweep_id, "answered"), start, -1))
        return [Answer.model_validate_json(item) for item in items]

    def count_try(self, task_id: str) -> int:
        def write() -> int:
            with self._redis.pipeline() as pipe:
                pipe.incr(f"driftfleet:tries:{task_id}")
                pipe.expire(f"driftfleet:tries:{task_id}", EXPIRY_SECONDS)
                return int(pipe.execute()[0])

        return ask_redis(write)


class MemoryLedger:
    """A `Ledger` that lasts as long as it is held."""

    def __init__(self) -> None:
        self._pending: dict[str, set[str]] = {}
        self._running: dict[str, dict[str, Running]] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._tries: Counter[str] = Counter()

    def open(self, sweep_id: str, checks: Iterable[str]) -> None:
        self._pending.setdefault(sweep_id, set()).update(checks)

    def begin(self, sweep_id: str, check: str, running: Running) -> None:
        self._running.setdefault(sweep_id, {})[check] = running

    def answer(self, sweep_id: str, answer: Answer) -> bool:
        self._running.get(sweep_id, {}).pop(answer.check, None)
        if answer.check not in self.pending(sweep_id):
            return False
        self._pending[sweep_id].remove(answer.check)
        self._answers.setdefault(sweep_id, []).append(answer)
        return True

    def pending(self, sweep_id: str) -> set[str]:
        return set(self._pending.get(sweep_id, ()))

    def running(self, sweep_id: str) -> dict[str, Running]:
        return dict(self._running.get(sweep_id, {}))

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        return self._answers.get(sweep_id, [])[start:]

    def count_try(self, task_id: str) -> int:
        self._tries[task_id] += 1
        return self._tries[task_id]


def connect(url: str) -> redis.Redis:
    """A client with time-outs: a hung Redis must end in an error, not in waiting.

    ``redis+socket://`` is Celery's spelling of redis-py's ``unix://``.

    Raises
    ------
    ConfigurationError
        It is no URL of Redis.
    """
    _refuse_odd_database(url)
    url = url.replace("redis+socket://", "unix://", 1)
    try:
        return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=5)
    except ValueError as error:
        # Its message may quote a part of the password.
        raise ConfigurationError(
            f"broker.url is no URL of Redis: {_HOW_TO_WRITE}, with special characters of the "
            "password percent-encoded"
        ) from error


def _refuse_odd_database(url: str) -> None:
    """redis-py takes database 0 then, while Celery ends in a traceback."""
    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0].rpartition("@")[2].partition("/")[2]
    if scheme in ("redis", "rediss") and not re.fullmatch(r"[0-9]*", path):
        raise ConfigurationError(
            "broker.url (DRIFTFLEET_BROKER__URL): what follows the port must be the number of a "
            f"database of Redis: {_HOW_TO_WRITE}"
        )


def _key(sweep_id: str, name: str) -> str:
    return f"driftfleet:sweep:{sweep_id}:{name}"


def ask_redis(call: Callable[[], T]) -> T:
    """What ``call`` asks a client of Redis for. Raises `BrokerUnavailable`."""
    try:
        return call()
    except redis.RedisError as error:
        raise BrokerUnavailable(f"Redis did not answer: {error}") from error
