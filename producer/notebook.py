"""What ticks remember between them in Redis; all of it can be found again where it is gone."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import redis
from pydantic import ValidationError

from driftfleet.github.repositories import Repository
from driftfleet.ledger import keys
from driftfleet.redis_client import ask_redis
from driftfleet.repository_rule import RepositoryRule
from driftfleet.swept import Swept
from producer.repositories import Wanted

_ROSTER = "driftfleet:roster"
_SWEPT = "driftfleet:swept"
_ONCE = "driftfleet:once:"
_DAY_SECONDS = 86_400
_MONTH_SECONDS = 30 * _DAY_SECONDS
_NO_EXPIRY = -1


class Notebook:
    """Everything raises `BrokerUnavailable`."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def once(self, name: str, seconds: int) -> bool:
        """True for the first who asks within that time; `again` ends it sooner."""
        key = f"{_ONCE}{name}"
        expiry = max(1, seconds)
        first = bool(ask_redis(lambda: self._redis.set(key, 1, nx=True, ex=expiry)))
        if not first and ask_redis(lambda: self._redis.ttl(key)) == _NO_EXPIRY:
            # Somebody else's: nobody would be the first ever again.
            ask_redis(lambda: self._redis.expire(key, expiry))
        return first

    def hold(self, name: str, seconds: float) -> None:
        """Let nobody be the first again for that time from now on."""
        ask_redis(lambda: self._redis.set(f"{_ONCE}{name}", 1, ex=max(1, int(seconds))))

    def again(self, name: str) -> None:
        """Let the next who asks `once` be the first again."""
        ask_redis(lambda: self._redis.delete(f"{_ONCE}{name}"))

    def report_wanted(self) -> str | None:
        """The mark that something is to be shown, until `report_made` takes it away."""
        mark: Any = ask_redis(lambda: self._redis.get(keys.REPORT))
        return None if mark is None else mark.decode(errors="replace")

    def report_made(self, mark: str) -> None:
        """What was wanted when this mark was read is shown; what came since is still wanted."""

        def forget() -> None:
            with self._redis.pipeline() as pipe:
                pipe.watch(keys.REPORT)  # type: ignore[no-untyped-call]
                if pipe.get(keys.REPORT) == mark.encode():
                    pipe.multi()
                    pipe.delete(keys.REPORT)
                    with contextlib.suppress(redis.WatchError):
                        pipe.execute()

        ask_redis(forget)

    def roster(self, rules: tuple[RepositoryRule, ...]) -> list[Wanted] | None:
        """The fleet's repositories as they were listed; None where the rules are others by now."""
        text: Any = ask_redis(lambda: self._redis.get(_ROSTER))
        try:
            told = json.loads(text or b"null")
            if told is None or told["rules"] != _rules(rules):
                return None
            return [_wanted(rules, *entry) for entry in told["repositories"]]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None

    def note_roster(self, rules: tuple[RepositoryRule, ...], wanted: Iterable[Wanted]) -> None:
        """Keep what was listed."""
        numbers = {rule: number for number, rule in enumerate(rules)}
        entries = [
            (numbers[one.rule], one.name, one.listed and one.listed.model_dump(mode="json"))
            for one in wanted
        ]
        text = json.dumps({"rules": _rules(rules), "repositories": entries})
        ask_redis(lambda: self._redis.set(_ROSTER, text, ex=_DAY_SECONDS))

    def swept(self) -> dict[str, Swept]:
        """By their keys in the store, what is known of repositories."""
        items: Any = ask_redis(lambda: self._redis.hgetall(_SWEPT))
        known = ((key, one) for key, text in items.items() if (one := _swept(text)))
        return {one.key: one for key, one in known if key == one.key.encode()}

    def swept_of(self, key: str) -> Swept | None:
        """What is known of the repository whose key in the store this is."""
        text: Any = ask_redis(lambda: self._redis.hget(_SWEPT, key))
        found = _swept(text) if text else None
        return found if found and found.key == key else None

    def note_swept(self, records: Mapping[str, Swept]) -> None:
        """Keep what is known of repositories."""
        if not records:
            return
        texts: dict[Any, Any] = {k: record.model_dump_json() for k, record in records.items()}

        def write() -> None:
            with self._redis.pipeline() as pipe:
                pipe.hset(_SWEPT, mapping=texts)
                pipe.expire(_SWEPT, _MONTH_SECONDS)
                pipe.execute()

        ask_redis(write)


def _swept(text: bytes) -> Swept | None:
    try:
        return Swept.model_validate_json(text)
    except ValidationError:
        return None


def _rules(rules: tuple[RepositoryRule, ...]) -> list[Any]:
    return [rule.model_dump(mode="json") for rule in rules]


def _wanted(rules: tuple[RepositoryRule, ...], number: int, name: Any, listed: Any) -> Wanted:
    rule = rules[number]
    if not isinstance(name, str):
        raise TypeError(f"{name!r} names no repository")
    return Wanted(
        name=name,
        rule=rule,
        ref=rule.ref,
        archived=rule.archived,
        listed=Repository.model_validate(listed) if listed else None,
    )
