"""Moto's server, with the conditions of S3: a write is one step, also for writers at one moment.

Moto looks whether `If-Match` and `If-None-Match` hold and writes afterwards, in as many threads as
there are connections, so two writers may both be told that they were first. Here one waits for the
other, as in S3.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import server

Environment = dict[str, Any]


class OneWriteAtATime(server.DomainDispatcherApplication):
    """Moto's application; it has done what it does when it returns."""

    _lock = threading.Lock()

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return super().__call__(environ, start_response)
        with self._lock:
            return super().__call__(environ, start_response)


if __name__ == "__main__":
    server.DomainDispatcherApplication = OneWriteAtATime
    server.main(sys.argv[1:])
