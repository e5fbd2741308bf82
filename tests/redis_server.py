"""A Redis that tests kill, freeze, empty and start again."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from driftfleet import process
from producer.embedded import find_server

_PASSWORD = "correct-horse"


class RedisServer:
    """On a unix socket in ``folder``; ``append_only`` is whether it has a memory."""

    def __init__(self, folder: Path, *, append_only: bool = True) -> None:
        self._folder = folder
        self._append_only = append_only
        self._server: process.Process | None = None
        self.url = f"redis+socket://:{_PASSWORD}@{folder}/s"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self._folder / "s"), password=_PASSWORD, socket_timeout=5
        )

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._server = process.start(
                [
                    str(find_server()), "--port", "0", "--unixsocket", str(self._folder / "s"),
                    "--requirepass", _PASSWORD, "--save", "", "--dir", str(self._folder),
                    "--appendonly", "yes" if self._append_only else "no",
                ],
                {},
                death_signal=signal.SIGKILL,
                stdout=log,
                stderr=log,
                new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 60
        while True:
            try:
                if self.client.ping():
                    return
            except redis.RedisError:
                assert time.monotonic() < end, (self._folder / "log").read_text()
                time.sleep(0.05)

    def kill(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        self._server.send_signal(number)

    def stop(self) -> None:
        if self._server is not None and self._server.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()


@contextmanager
def redis_server(folder: Path, *, append_only: bool = True) -> Iterator[RedisServer]:
    """A running one for the time of the block."""
    server = RedisServer(folder, append_only=append_only)
    server.start()
    try:
        yield server
    finally:
        server.stop()
