"""What an answer says about asking again: how long to wait, or that it is of no use."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# Statuses after which the same request may succeed; 408 is a server that gave up on a slow line.
PASSING = frozenset({408, 500, 502, 503, 504})
MOST_TRIES = 5
MOST_LIMITS = 10
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0
# "If neither is there, wait at least a minute, then exponentially longer" (docs.github.com/rest,
# "Rate limits for the REST API").
_UNSAID_SECONDS = 60.0
# Limits are by the hour. A proxy, or a clock that is wrong, mustn't stop us for days.
_LONGEST_SECONDS = 3600.0
_LIMIT_WORDS = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
_LOCKED_WORDS = re.compile(r"login attempts", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,12}")


def pause_seconds(tries: int, chance: float) -> float:
    """How long to wait after try number ``tries`` (from 1) failed: doubling, with full jitter.

    ``chance`` is between 0 and 1. At least half of the pause is kept, so that a server that
    stumbled gets some air.
    """
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1))
    return longest * (0.5 + chance / 2)


def limit_seconds(
    status: int, headers: Mapping[str, str], message: str, *, limits: int, now: float
) -> float | None:
    """How long a rate limit asks us to wait, an hour at most; None where it is no limit.

    ``limits`` counts those that this request met before. ``now`` is the time as seconds since
    1970; the server's own clock is preferred where it is sent.
    """
    if not is_limit(status, headers, message):
        return None
    asked = asked_seconds(headers, now=now)
    if asked is not None:
        return asked
    reset = headers.get("x-ratelimit-reset", "").strip()
    if headers.get("x-ratelimit-remaining", "").strip() == "0" and _WHOLE.fullmatch(reset):
        return _bounded(float(reset) - _server_time(headers, now) + 1)
    return _bounded(_UNSAID_SECONDS * 2.0**limits)


def asked_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """How long ``Retry-After`` asks us to wait, from a second to an hour; None where it doesn't."""
    after = headers.get("retry-after", "").strip()
    if _WHOLE.fullmatch(after):
        return _bounded(float(after))
    moment = _timestamp(after)
    return None if moment is None else _bounded(moment - _server_time(headers, now))


def is_limit(status: int, headers: Mapping[str, str], message: str) -> bool:
    """Whether an answer is a rate limit: GitHub says 403 or 429, with headers or without.

    A 503 with ``Retry-After`` is none: a proxy may say so of one path, and means that one.
    """
    if status == 429:
        return True
    if status != 403 or is_lockout(status, message):
        return False
    return (
        "retry-after" in headers
        or headers.get("x-ratelimit-remaining", "").strip() == "0"
        or bool(_LIMIT_WORDS.search(message))
    )


def is_lockout(status: int, message: str) -> bool:
    """Whether the account is locked for too many bad credentials: even good ones are refused."""
    return status == 403 and bool(_LOCKED_WORDS.search(message))


def _bounded(seconds: float) -> float:
    # Nought would let a loop spin.
    return min(max(1.0, seconds), _LONGEST_SECONDS)


def _server_time(headers: Mapping[str, str], now: float) -> float:
    return _timestamp(headers.get("date", "")) or now


def _timestamp(text: str) -> float | None:
    if not text or len(text) > 64:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError, IndexError, TypeError):
        return None
