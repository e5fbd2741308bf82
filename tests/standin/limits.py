"""The hourly limit: off, as an Enterprise Server is delivered, until a test turns it on."""

import threading
from collections.abc import Callable, Mapping

from tests.standin import shapes
from tests.standin.answers import Answer, error_answer, json_answer


class RateLimits:
    """Counts requests down; a 304 and ``/rate_limit`` cost nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limit: int | None = None
        self._remaining = 0
        self._reset = 0.0

    def set(self, limit: int | None, remaining: int = 0, reset: float = 0) -> None:
        """Turn it on (``reset`` in seconds since the epoch), or off with None."""
        with self._lock:
            self._limit, self._remaining, self._reset = limit, remaining, reset

    def state(self) -> tuple[int, int, int] | None:
        """Limit, remaining and reset; None where it is off."""
        with self._lock:
            if self._limit is None:
                return None
            if self._clock() >= self._reset:
                self._remaining, self._reset = self._limit, self._clock() + 3600
            return self._limit, self._remaining, int(self._reset)

    def refuse(self) -> Answer | None:
        """The refusal, where nothing remains."""
        state = self.state()
        if state is None or state[1] > 0:
            return None
        answer = error_answer(403, "API rate limit exceeded for user ID 1.")
        return Answer(403, {**answer.headers, **_headers(state)}, answer.payload)

    def count(self, answer: Answer, path: str) -> Mapping[str, str]:
        """Take an answer off the account and return the headers that tell of it."""
        if answer.status != 304 and path != "/rate_limit":
            with self._lock:
                self._remaining -= 1
        state = self.state()
        return _headers(state) if state else {}

    def overview(self) -> Answer:
        """The answer of ``GET /rate_limit``: 404 where it is off."""
        state = self.state()
        if state is None:
            return error_answer(404, "Rate limiting is not enabled.")
        return json_answer(shapes.rate_limit(*state))


def _headers(state: tuple[int, int, int]) -> dict[str, str]:
    limit, remaining, reset = state
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Used": str(limit - remaining),
        "X-RateLimit-Reset": str(reset),
        "X-RateLimit-Resource": "core",
    }
