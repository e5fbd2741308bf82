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
    """How long a rate limit asks us to wait; None where the answer tells of no limit.

    ``limits`` counts those that this request met before. ``now`` is the time as seconds since
    1970; the server's own clock is preferred where it is sent.
    """
    if not is_limit(status, headers, message):
        return None
    now = _timestamp(headers.get("date", "")) or now
    after = headers.get("retry-after", "").strip()
    if _WHOLE.fullmatch(after):
        # Nought would let a loop spin.
        return max(1.0, float(after))
    if (moment := _timestamp(after)) is not None:
        return max(1.0, moment - now)
    reset = headers.get("x-ratelimit-reset", "").strip()
    if headers.get("x-ratelimit-remaining", "").strip() == "0" and _WHOLE.fullmatch(reset):
        return max(1.0, float(reset) - now + 1)
    return _UNSAID_SECONDS * 2.0**limits


def is_limit(status: int, headers: Mapping[str, str], message: str) -> bool:
    """Whether an answer is a rate limit: GitHub says 403 or 429, with headers or without."""
    if status == 429:
        return True
    if status == 503:
        return "retry-after" in headers
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


def _timestamp(text: str) -> float | None:
    if not text or len(text) > 64:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError, IndexError, TypeError):
        return None
