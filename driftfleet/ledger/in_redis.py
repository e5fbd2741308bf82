"""The ledger in Redis, beside the queue."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import redis
import structlog
from pydantic import ValidationError

from driftfleet.errors import BrokerUnavailable, ContractError
from driftfleet.jobs import Job, decode_job, is_cap
from driftfleet.ledger import keys, scripts
from driftfleet.ledger.records import (
    COST_SECONDS,
    LEASE_SECONDS,
    OPEN_SECONDS,
    SEEN_SECONDS,
    Answer,
    Ask,
    Begun,
    Counts,
    Judged,
    Opened,
    OpenSweep,
    Recent,
    Running,
    Settled,
    WorkerSeen,
)
from driftfleet.ledger.strangers import met_stranger, remove_strangers
from driftfleet.model import Record
from driftfleet.redis_client import ask_redis

log = structlog.get_logger()
RecordT = TypeVar("RecordT", bound=Record)

# A script holds up everybody: none takes longer than some milliseconds.
_CHUNK = 500
# By then a report was made that nobody had to ask for.
_WANTED_SECONDS = 86_400


class RedisLedger:
    """A `driftfleet.ledger.Ledger` in Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._open = client.register_script(scripts.OPEN_SWEEP)
        self._seal = client.register_script(scripts.SEAL_SWEEP)
        self._close = client.register_script(scripts.CLOSE_SWEEP)
        self._begin = client.register_script(scripts.BEGIN_CHECK)
        self._renew = client.register_script(scripts.RENEW_LEASE)
        self._release = client.register_script(scripts.RELEASE_LEASE)
        self._put_off = client.register_script(scripts.PUT_OFF)
        self._due = client.register_script(scripts.TAKE_DUE)
        self._answer = client.register_script(scripts.ANSWER_CHECK)
        self._unpark = client.register_script(scripts.UNPARK)
        self._put_back = client.register_script(scripts.PUT_BACK)
        self._say = client.register_script(scripts.SAY)

    def open(self, sweep_id: str, asks: Sequence[Ask], *, urgent: bool = False) -> Opened:
        send: list[bool] = []
        done: list[str] = []
        for number, some in enumerate(_chunks(asks) if asks else [()]):
            flat = [word for ask in some for word in ask]
            sent, closed = self._run(self._open, sweep_id, int(urgent), int(number == 0), *flat)
            send += map(bool, sent)
            done += map(_text, closed)
        return Opened(tuple(send), tuple(dict.fromkeys(done)))

    def seal(self, sweep: OpenSweep) -> bool:
        return bool(self._run(self._seal, sweep.sweep_id, sweep.deadline, sweep.model_dump_json()))

    def open_sweeps(self) -> list[OpenSweep]:
        ids: Any = ask_redis(lambda: self._redis.zrange(keys.OPEN, 0, -1, withscores=True))
        abouts: Any = ask_redis(lambda: self._redis.hgetall(keys.ABOUT)) if ids else {}
        sweeps = [_open_sweep(_text(name), abouts.get(name), at) for name, at in ids]
        return [sweep for sweep in sweeps if sweep is not None]

    def close(self, sweep_id: str, identities: Iterable[str] = ()) -> None:
        names = list(identities)
        for some in _chunks(names) if names else [()]:
            self._run(self._close, sweep_id, *some)

    def forget(self, sweep_id: str) -> None:
        def write() -> None:
            with self._redis.pipeline() as pipe:
                pipe.zrem(keys.OPEN, sweep_id)
                pipe.hdel(keys.ABOUT, sweep_id)
                pipe.delete(*(f"{keys.SWEEP}{sweep_id}:{part}" for part in ("pending", "opening")))
                pipe.execute()

        ask_redis(write)

    def begin(self, job: Job, token: str, caps: Mapping[str, int], over: str = "") -> Begun:
        limits = [word for cap in job.caps if cap in caps for word in (cap, caps[cap])]
        answer = self._run(
            self._begin, job.target, job.identity, job.sweep_id, token, LEASE_SECONDS * 1000,
            over, _wire(job), *limits,
        )  # fmt: skip
        outcome, *more = map(_text, answer)
        if outcome == "start":
            peak = int(more[2]) if more[2].isdecimal() else None
            return Begun("start", int(more[0]), float(more[1]) / 1000, peak)
        if outcome == "held":
            return Begun("held", holder=more[0], seconds=max(0.0, float(more[1]) / 1000))
        if outcome == "full":
            return Begun("full", cap=more[0])
        return Begun("unwanted", done=tuple(more))

    def note(self, sweep_id: str, check: str, running: Running) -> None:
        key = f"{keys.SWEEP}{sweep_id}:running"

        def write() -> None:
            with self._redis.pipeline() as pipe:
                pipe.hset(key, check, running.model_dump_json())
                pipe.expire(key, OPEN_SECONDS)
                pipe.execute()

        ask_redis(write)

    def renew(self, job: Job, token: str) -> bool:
        return bool(self._run(self._renew, job.identity, token, LEASE_SECONDS * 1000, *job.caps))

    def release(self, job: Job, token: str, *, innocent: bool = True) -> None:
        self._run(self._release, job.identity, token, job.sweep_id, int(innocent), *job.caps)

    def put_off(self, job: Job, seconds: float) -> None:
        self._run(self._put_off, _wire(job), int(seconds * 1000))

    def due(self, most: int) -> list[Job]:
        found: list[Job] = []
        for text in self._run(self._due, most):
            try:
                found.append(decode_job(json.loads(text)))
            except (ContractError, ValueError, RecursionError) as error:
                # Another version's, or nobody's: the others are not to be lost with it.
                reason = error.message if isinstance(error, ContractError) else "it is no JSON"
                log.error("job_dropped", reason=reason)
        return found

    def answer(
        self,
        job: Job,
        answer: Answer,
        token: str = "",
        recent: Recent | None = None,
        peak_memory_bytes: int = 0,
    ) -> Settled:
        first, *done = self._run(
            self._answer, job.target, job.identity, job.sweep_id, token,
            answer.model_dump_json(exclude_defaults=True),
            recent.model_dump_json() if recent else "", peak_memory_bytes,
            f"{keys.ROOTS}{job.source.slug.lower()}", Judged.name(job),
            Judged(answer.verdict, recent.finished_at).encode() if recent else "", *job.caps,
        )  # fmt: skip
        return Settled(bool(first), tuple(map(_text, done)))

    def pending(self, sweep_id: str) -> set[str]:
        key = f"{keys.SWEEP}{sweep_id}:pending"
        members: Any = ask_redis(lambda: self._redis.smembers(key))
        return {_text(member) for member in members}

    def running(self, sweep_id: str) -> dict[str, Running]:
        key = f"{keys.SWEEP}{sweep_id}:running"
        items: Any = ask_redis(lambda: self._redis.hgetall(key))
        return {_text(k): one for k, v in items.items() if (one := _read(Running, v))}

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        key = f"{keys.SWEEP}{sweep_id}:answered"
        items: Any = ask_redis(lambda: self._redis.lrange(key, start, -1))
        return _read_all(Answer, items)

    def counts(self, sweep_ids: Sequence[str]) -> list[Counts]:
        def read(some: Sequence[str]) -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                for sweep_id in some:
                    pipe.scard(f"{keys.SWEEP}{sweep_id}:pending")
                    pipe.hlen(f"{keys.SWEEP}{sweep_id}:running")
                    pipe.llen(f"{keys.SWEEP}{sweep_id}:answered")
                return pipe.execute()

        found = [n for some in _chunks(sweep_ids) for n in ask_redis(partial(read, some))]
        return [Counts(*map(int, found[n : n + 3])) for n in range(0, len(found), 3)]

    def leased(self, identities: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for some in _chunks(identities):
            names = [f"{keys.RUN}{identity}" for identity in some]
            tokens: Any = ask_redis(lambda names=names: self._redis.mget(names))  # type: ignore[misc]
            found |= {one for one, token in zip(some, tokens, strict=True) if token}
        return found

    def put_back(self, sweep_id: str, ask: Ask) -> int:
        return int(self._run(self._put_back, sweep_id, *ask))

    def parked(self) -> list[str]:
        names: Any = ask_redis(lambda: list(self._redis.scan_iter(f"{keys.PARKED}*", count=1000)))
        return [cap for name in names if is_cap(cap := _text(name).removeprefix(keys.PARKED))]

    def unpark(self, cap: str, limit: int) -> None:
        self._run(self._unpark, cap, limit)

    def recent(self) -> list[Recent]:
        items: Any = ask_redis(lambda: self._redis.lrange(keys.RECENT, 0, -1))
        return _read_all(Recent, items)

    def note_roots(self, slug: str, judged: Mapping[str, Judged]) -> None:
        key = f"{keys.ROOTS}{slug.lower()}"
        known: Any = ask_redis(lambda: self._redis.hgetall(key))
        values: dict[Any, Any] = {
            name: one.encode() if one.verdict else known.get(name.encode(), one.encode())
            for name, one in judged.items()
        }

        def write() -> None:
            with self._redis.pipeline() as pipe:
                pipe.delete(key)
                if values:
                    pipe.hset(key, mapping=values)
                    pipe.expire(key, COST_SECONDS)
                pipe.execute()

        ask_redis(write)

    def roots(self, slugs: Iterable[str]) -> list[Judged]:
        names = [f"{keys.ROOTS}{slug.lower()}" for slug in slugs]

        def read(some: Sequence[str]) -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.hvals(name)
                return pipe.execute()

        found = [text for some in _chunks(names) for text in ask_redis(partial(read, some))]
        return [one for texts in found for text in texts if (one := _judged(_text(text)))]

    def want_report(self) -> None:
        # Another one each time: who makes the pages sees whether it was wanted again meanwhile.
        mark = secrets.token_hex(8)
        ask_redis(lambda: self._redis.set(keys.REPORT, mark, ex=_WANTED_SECONDS))

    def say(self, worker: WorkerSeen) -> None:
        text = worker.model_dump_json()
        self._run(self._say, worker.name, text, worker.seen_at, SEEN_SECONDS)

    def workers(self) -> list[WorkerSeen]:
        items: Any = ask_redis(lambda: self._redis.hgetall(keys.WORKERS))
        seen = _read_all(WorkerSeen, items.values())
        now = self.now()
        return sorted((w for w in seen if now - w.seen_at < SEEN_SECONDS), key=lambda w: w.name)

    def now(self) -> float:
        seconds, micros = ask_redis(self._redis.time)
        return float(seconds) + float(micros) / 1e6

    def heal(self, *, everywhere: bool) -> int:
        return remove_strangers(self._redis, everywhere=everywhere)

    def _run(self, script: Any, *arguments: str | float) -> Any:
        try:
            return ask_redis(lambda: script(args=arguments))
        except BrokerUnavailable as error:
            if not met_stranger(error) or not self.heal(everywhere=True):
                raise
        return ask_redis(lambda: script(args=arguments))


def _chunks(names: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]


def _wire(job: Job) -> str:
    return json.dumps(job.wire(), separators=(",", ":"))


def _read(model: type[RecordT], text: Any) -> RecordT | None:
    """A record; None for one that another version wrote, or whoever else can write to Redis."""
    try:
        return model.model_validate_json(text) if text else None
    except ValidationError:
        return None


def _read_all(model: type[RecordT], texts: Iterable[Any]) -> list[RecordT]:
    return [one for text in texts if (one := _read(model, text))]


def _open_sweep(sweep_id: str, about: Any, deadline: float) -> OpenSweep | None:
    """None for what is no sweep's name: it would become one of a file."""
    known = _read(OpenSweep, about)
    if known is not None and known.sweep_id == sweep_id:
        return known
    try:
        return OpenSweep(sweep_id=sweep_id, deadline=deadline)
    except ValidationError:
        return None


def _judged(text: str) -> Judged | None:
    try:
        return Judged.decode(text)
    except ValueError:
        return None


def _text(value: bytes | str | int) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
