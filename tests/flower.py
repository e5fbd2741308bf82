"""`driftfleet flower` as a process, and what it says over HTTP."""

import contextlib
import json
import os
import signal
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from driftfleet import process
from driftfleet.configuration import environment_of
from driftfleet.settings import Settings
from tests.e2e.command import COMMAND
from tests.log_lines import whole_lines
from tests.workers import wait_until


@dataclass(frozen=True)
class FlowerProcess:
    """A running Flower; ``authorization`` is what opens its pages."""

    process: process.Process
    log: Path
    authorization: str = ""

    @property
    def url(self) -> str:
        """Where it says that it listens."""
        return str(self.told("flower_served")[0]["url"])

    def told(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = [json.loads(line) for line in whole_lines(self.log)]
        return [line for line in lines if line["event"] == event]

    def ask(
        self, path: str, method: str = "GET", authorization: str | None = None
    ) -> httpx.Response:
        """One request; by default with the right password."""
        given = self.authorization if authorization is None else authorization
        headers = {"Authorization": given.encode("utf-8")} if given else {}
        return httpx.request(method, self.url.rstrip("/") + path, headers=headers, timeout=60)


@contextlib.contextmanager
def running_flower(
    settings: Settings,
    folder: Path,
    secrets: Mapping[str, str],
    authorization: str = "",
    prefix: Sequence[str] = (),
) -> Iterator[FlowerProcess]:
    """Run it in ``folder`` on a free port; ``secrets`` are variables that it has besides."""
    log = folder / "flower.log"
    with log.open("wb") as output:
        started = process.start(
            [*prefix, str(COMMAND), "flower", "--port", "0"],
            {"PATH": os.environ["PATH"], **environment_of(settings), **secrets},
            death_signal=signal.SIGKILL,
            folder=folder,
            stdout=output,
            stderr=output,
        )
    try:
        flower = FlowerProcess(started, log, authorization)
        assert wait_until(lambda: b"flower_served" in log.read_bytes(), 60), log.read_text()
        yield flower
    finally:
        started.kill()
        started.wait()


def basic(user: str, password: str) -> str:
    """What a browser sends."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
