"""Faults on demand: what a server does on a bad day, one constructor each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.standin.answers import Answer, Request, error_answer, html_answer, json_answer

_ARCHIVE = {"Content-Type": "application/x-gzip"}


@dataclass(frozen=True)
class Fault:
    """What replaces or spoils an answer; ``alter`` is given the means to ask for the genuine one.

    A fault that doesn't ask never reaches authentication, rate limit or repository. A ``foreign``
    answer is not meant to be GitHub's: it isn't held against its description.
    """

    name: str
    alter: Callable[[Callable[[], Answer]], Answer]
    foreign: bool = False

    @classmethod
    def answer(
        cls, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> "Fault":
        """This answer instead."""
        return cls(
            f"answer {status}", lambda _: Answer(status, headers or {}, content=content), True
        )

    @classmethod
    def json(cls, payload: Any, status: int = 200, **headers: str) -> "Fault":
        """This JSON instead."""
        return cls(f"json {status}", lambda _: json_answer(payload, status, **headers), True)

    @classmethod
    def primary_limit(cls, reset: float, *, status: int = 403, limit: int = 5000) -> "Fault":
        """The hourly limit is used up until ``reset``, seconds since the epoch."""
        headers = {
            "X_RateLimit_Limit": str(limit),
            "X_RateLimit_Remaining": "0",
            "X_RateLimit_Used": str(limit),
            "X_RateLimit_Reset": str(int(reset)),
            "X_RateLimit_Resource": "core",
        }
        message = "API rate limit exceeded for user ID 1."
        return cls("primary limit", lambda _: error_answer(status, message, **headers))

    @classmethod
    def secondary_limit(
        cls, retry_after_seconds: int | None = None, *, status: int = 403
    ) -> "Fault":
        """Too much at once; without ``retry_after_seconds`` no header says for how long."""
        headers = {"Retry_After": str(retry_after_seconds)} if retry_after_seconds else {}
        message = "You have exceeded a secondary rate limit. Please wait a few minutes."
        return cls("secondary limit", lambda _: error_answer(status, message, **headers))

    @classmethod
    def server_error(cls, status: int = 502, retry_after_seconds: int | None = None) -> "Fault":
        """A page of the load balancer."""
        after = {"Retry-After": str(retry_after_seconds)} if retry_after_seconds else {}
        page = html_answer(status, "The server is on holiday")
        spoiled = replace(page, headers={**page.headers, **after})
        return cls(f"server error {status}", lambda _: spoiled, True)

    @classmethod
    def login_page(cls) -> "Fault":
        """The single sign-on's page, with 200."""
        return cls("login page", lambda _: html_answer(200, "Sign in to your account"), True)

    @classmethod
    def bad_credentials(cls) -> "Fault":
        """401, whatever the token; with ``after`` a token that is revoked on the way."""
        return cls("bad credentials", lambda _: error_answer(401, "Bad credentials"))

    @classmethod
    def unprocessable(cls, message: str = "Validation Failed") -> "Fault":
        """422, as was reported of recursion into trees with submodules."""
        return cls("unprocessable", lambda _: error_answer(422, message))

    @classmethod
    def drop(cls) -> "Fault":
        """The connection ends before the answer's first byte."""
        return cls("drop", lambda _: Answer(dropped=True))

    @classmethod
    def cut(cls, after_bytes: int = 100) -> "Fault":
        """The connection ends in the body, after so many bytes but before the last one."""
        return cls("cut", lambda genuine: replace(genuine(), cut_after=after_bytes))

    @classmethod
    def slow_body(cls, pause_seconds: float, piece_bytes: int = 100) -> "Fault":
        """The body dribbles."""

        def alter(genuine: Callable[[], Answer]) -> Answer:
            return replace(genuine(), pause_seconds=pause_seconds, piece_bytes=piece_bytes)

        return cls("slow body", alter)

    @classmethod
    def slow_headers(cls, pause_seconds: float) -> "Fault":
        """A pause before the status line and before every header."""
        return cls(
            "slow headers", lambda genuine: replace(genuine(), head_pause_seconds=pause_seconds)
        )

    @classmethod
    def delay(cls, seconds: float) -> "Fault":
        """Nothing for a while, then the genuine answer."""
        return cls("delay", lambda genuine: replace(genuine(), delay_seconds=seconds))

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> "Fault":
        """To anywhere, with the body that GitHub sends along."""
        message = {"message": "Moved", "url": location}
        return cls("redirect", lambda _: json_answer(message, status, Location=location), True)

    @classmethod
    def archive(cls, content: bytes) -> "Fault":
        """These bytes as the archive: for ``/_codeload``."""
        return cls("archive", lambda _: Answer(200, _ARCHIVE, content=content), True)

    @classmethod
    def rewrite(cls, change: Callable[[Any], Any]) -> "Fault":
        """The genuine JSON, as ``change`` returns it; it mustn't change the one it is given."""

        def alter(genuine: Callable[[], Answer]) -> Answer:
            answer = genuine()
            return replace(answer, payload=change(answer.payload))

        return cls("rewrite", alter, True)

    @classmethod
    def without_entry(cls, path: str) -> "Fault":
        """A tree in which one entry is missing."""

        def change(tree: Any) -> Any:
            kept = [item for item in tree["tree"] if item["path"] != path]
            assert len(kept) < len(tree["tree"]), f"no entry '{path}' to leave out"
            return {**tree, "tree": kept}

        return cls.rewrite(change)

    @classmethod
    def wrong_bytes(cls) -> "Fault":
        """A raw blob of the right length in which the last byte is another."""

        def alter(genuine: Callable[[], Answer]) -> Answer:
            answer = genuine()
            assert isinstance(answer.content, bytes)
            assert answer.content, "raw bytes only, and not none"
            last = bytes([answer.content[-1] ^ 1])
            return replace(answer, content=answer.content[:-1] + last)

        return cls("wrong bytes", alter)


@dataclass
class Rule:
    """A fault for the requests whose target (path and query) a pattern is found in.

    It lets ``after`` of them pass, then spoils ``times``; None: all.
    """

    pattern: re.Pattern[str]
    fault: Fault
    times: int | None = 1
    after: int = 0
    seen: int = field(default=0, init=False)

    def take(self, request: Request) -> Fault | None:
        """The fault, where it is this request's turn."""
        if not self.pattern.search(request.target):
            return None
        self.seen += 1
        turn = self.seen - self.after
        return self.fault if turn > 0 and (self.times is None or turn <= self.times) else None
