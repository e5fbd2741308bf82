"""A GitHub client whose server answers what a test says, and whose time passes in no time."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from driftfleet.github.client import GitHub
from driftfleet.github.connect import open_github
from driftfleet.settings import GitHubSettings

TOKEN = "ghp_" + "s3cr3t" * 6
Answering = Callable[[httpx.Request], httpx.Response]


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.time += seconds


class Script:
    """Answers in their order, the last one for ever; an exception is raised, a function called."""

    def __init__(self, *answers: httpx.Response | Exception | Answering) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
            answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # Made anew: one that was read can't be read again.
            return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)
        return answer(request)

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    @property
    def tokens(self) -> list[str | None]:
        return [request.headers.get("authorization") for request in self.requests]


class Pieces(httpx.SyncByteStream):
    """A body that comes in pieces; an exception among them breaks it off there."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def __iter__(self) -> Any:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def said(status: int, message: str = "", **headers: str) -> httpx.Response:
    """An error as GitHub words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, json={"message": message} if message else {})


def client(
    answering: Answering,
    clock: Clock | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    patience_seconds: float = 900,
    connections: int = 12,
    **options: Any,
) -> GitHub:
    """A client of https://ghe.example.com, as `TOKEN` unless ``environment`` says otherwise."""
    clock = clock or Clock()
    options.setdefault("token", "env://GH")
    settings = GitHubSettings(
        url=options.pop("url", "https://ghe.example.com"),
        token=options.pop("token"),
        app=options.pop("app", None),
        connections=connections,
    )
    return open_github(
        settings,
        {"GH": TOKEN} if environment is None else environment,
        patience_seconds=patience_seconds,
        transport=httpx.MockTransport(answering),
        clock=clock,
        sleep=clock.sleep,
        **options,
    )


def chain(error: BaseException) -> list[BaseException]:
    """An error and all that it was raised from or while."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__]
    return found


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()} {record.__dict__}")


@contextmanager
def everything_logged(*libraries: str) -> Iterator[list[str]]:
    """What reaches the root logger, whose level and those of ``libraries`` are debug.

    Not `caplog`: it listens at loggers that hand nothing on, too, which no program of ours does.
    """
    handler, root = _Kept(), logging.getLogger()
    known = [n for n in logging.Logger.manager.loggerDict if n.partition(".")[0] in libraries]
    before = {name: logging.getLogger(name).level for name in known}
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in known:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for name, old in before.items():
            logging.getLogger(name).setLevel(old)
