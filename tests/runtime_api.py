"""A Runtime API of AWS Lambda on loopback, as a function's runtime client finds it.

docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, version 2018-06-01.
"""

import json
import queue
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.standin.answers import Answer, Request, json_answer
from tests.standin.transport import Listener

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:driftfleet"
_VERSION = "/2018-06-01/runtime"
_ENDS = re.compile(rf"{_VERSION}/invocation/([^/]+)/(response|error)")


@dataclass
class Invocation:
    """An event, and how its function answered: ``outcome`` is ``response`` or ``error``."""

    event: Any
    seconds: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    taken: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    deadline: float = 0.0
    outcome: str = ""
    payload: Any = None

    def wait(self, seconds: float) -> Self:
        """The same, once it was answered."""
        assert self.ended.wait(seconds), "the function did not answer"
        return self

    @property
    def result(self) -> dict[str, Any]:
        """What was answered in order."""
        assert self.outcome == "response", self.payload
        assert isinstance(self.payload, dict)
        return self.payload


class RuntimeApi:
    """Serves one sandbox; from ``with`` to its end."""

    def __init__(self) -> None:
        self.init_error: Any = None
        self.init_failed = threading.Event()
        # How often the function has asked for its next event: what it does after an answer is over.
        self.asked = 0
        self._waiting: queue.Queue[Invocation] = queue.Queue()
        self._running: dict[str, Invocation] = {}
        self._listener = Listener("127.0.0.1", self._handle)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.stop()

    @property
    def address(self) -> str:
        """``AWS_LAMBDA_RUNTIME_API``."""
        return self._listener.url.removeprefix("http://")

    def send(self, event: Any, seconds: float = 60, request_id: str = "") -> Invocation:
        """Let the function have an event as soon as it asks for one."""
        invocation = Invocation(event, seconds)
        invocation.request_id = request_id or invocation.request_id
        self._waiting.put(invocation)
        return invocation

    def _handle(self, request: Request) -> Answer:
        if (request.method, request.path) == ("GET", f"{_VERSION}/invocation/next"):
            return self._next()
        if (request.method, request.path) == ("POST", f"{_VERSION}/init/error"):
            self.init_error = json.loads(request.body)
            self.init_failed.set()
            return json_answer({"status": "OK"}, 202)
        match = _ENDS.fullmatch(request.path)
        if request.method == "POST" and match and match[1] in self._running:
            invocation = self._running.pop(match[1])
            invocation.outcome, invocation.payload = match[2], json.loads(request.body)
            invocation.ended.set()
            return json_answer({"status": "OK"}, 202)
        return json_answer({"errorMessage": "no such path", "errorType": "InvalidPath"}, 404)

    def _next(self) -> Answer:
        self.asked += 1
        while not self._listener.stopping.is_set():
            try:
                invocation = self._waiting.get(timeout=0.1)
            except queue.Empty:
                continue
            self._running[invocation.request_id] = invocation
            invocation.deadline = time.time() + invocation.seconds
            invocation.taken.set()
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": ARN,
                "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0",
            }
            return Answer(200, headers, content=json.dumps(invocation.event).encode())
        return Answer(dropped=True)
