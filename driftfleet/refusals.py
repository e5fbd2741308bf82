"""A Redis that takes no writes is as one that is away: it is asked again, and nothing ends.

It is full, has become a replica, misses its own replicas, or can't write to its disk. To kombu that
is an error like any other: it would end the main process of each worker, with all plans that run.
"""

import time
from collections.abc import Callable
from typing import Any

import redis
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

_KINDS = ("MISCONF", "NOREPLICAS", "MASTERDOWN")
# Each time the connection is made anew, and told of: not in a circle.
_PAUSE_SECONDS = 5.0


def is_refusal(error: ResponseError) -> bool:
    """Whether Redis may take the same another time."""
    # A pipeline puts words of its own before it.
    told = str(error)
    kinds = (OutOfMemoryError, ReadOnlyError)
    return isinstance(error, kinds) or any(f"{kind} " in told for kind in _KINDS)


def heeding(kind: Any, refused: Callable[[], None]) -> type:
    """A kind of connection of redis-py for which a refusal is a lost connection.

    ``refused`` is called then.
    """

    class Heeding(kind):  # type: ignore[misc]
        def read_response(self, *arguments: Any, **options: Any) -> Any:
            try:
                return super().read_response(*arguments, **options)
            except ResponseError as error:
                if not is_refusal(error):
                    raise
                self.disconnect()
                refused()
                time.sleep(_PAUSE_SECONDS)
                raise redis.ConnectionError(f"Redis takes no writes: {error}") from error

    return Heeding
