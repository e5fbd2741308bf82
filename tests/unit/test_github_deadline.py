"""A client asks no longer than who asks with it has time."""

import threading
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from driftfleet.errors import GitHubUnavailable
from tests.scripted import Clock, Script, client, said

OK = httpx.Response(200, json={"fine": True})
START = Clock().time


class Dribble(httpx.SyncByteStream):
    """A body of which a piece comes every second, for an hour."""

    def __init__(self, clock: Clock, start: bytes = b"") -> None:
        self._clock = clock
        self._start = start

    def __iter__(self) -> Iterator[bytes]:
        yield self._start
        for _ in range(3600):
            self._clock.time += 1
            yield b"x"


def timeouts(request: httpx.Request) -> set[float]:
    found: dict[str, float] = request.extensions["timeout"]
    return set(found.values())


def test_a_body_that_dribbles_ends_with_the_deadline() -> None:
    clock = Clock()
    script = Script(httpx.Response(200, stream=Dribble(clock)))
    with client(script, clock) as github:
        with github.until(START + 5), pytest.raises(GitHubUnavailable, match="in time"):
            github.get("/meta")
        assert clock.time <= START + 7
        assert len(script.requests) == 1


def test_an_archive_that_dribbles_ends_with_the_deadline() -> None:
    clock = Clock()
    found = httpx.Response(302, headers={"location": "https://ghe.example.com/_codeload/x"})
    script = Script(found, httpx.Response(200, stream=Dribble(clock, b"\x1f\x8b")))
    with (
        client(script, clock) as github,
        github.until(START + 5),
        pytest.raises(GitHubUnavailable, match="in time"),
        github.archive("o/r", "abc") as chunks,
    ):
        list(chunks)
    assert clock.time <= START + 7
    assert all(max(timeouts(request)) == 5 for request in script.requests)


def test_no_time_out_is_longer_than_what_is_left() -> None:
    clock, script = Clock(), Script(OK)
    with client(script, clock) as github:
        github.get("/meta")
        usual = timeouts(script.requests[0])
        with github.until(START + 5):
            clock.time += 2
            github.get("/meta")
            clock.time += 2.999
            github.get("/meta")
        github.get("/meta")
    assert [timeouts(r) for r in script.requests] == [usual, {3.0}, {0.01}, usual]


def test_past_it_nothing_is_sent_and_afterwards_all_is_as_before() -> None:
    clock, script = Clock(), Script(OK)
    with client(script, clock) as github:
        with github.until(START):
            for call in (partial(github.get, "/meta"), github.archive("o/r", "a").__enter__):
                with pytest.raises(GitHubUnavailable, match="no time left"):
                    call()
        assert script.requests == []
        assert github.get("/meta").status == 200


def test_a_pause_that_ends_after_it_is_not_made() -> None:
    clock, script = Clock(), Script(said(502))
    with client(script, clock, patience_seconds=900) as github, github.until(START + 2):
        github._pace.chance = lambda: 1.0
        with pytest.raises(GitHubUnavailable, match="502"):
            github.get("/meta")
    # The third would follow a pause of 2 s.
    assert clock.slept == [0.5, 1.0]
    assert len(script.requests) == 3


def test_a_limit_that_ends_after_it_is_told_at_once() -> None:
    clock, script = Clock(), Script(said(429, retry_after="60"))
    with client(script, clock) as github, github.until(START + 10):
        with pytest.raises(GitHubUnavailable) as caught:
            github.get("/meta")
        assert caught.value.retry_after_seconds == pytest.approx(60)
    assert clock.slept == []


def test_the_earlier_of_two_counts() -> None:
    with client(Script(OK)) as github:
        with github.until(START + 5):
            with github.until(START + 9):
                assert github.deadline == START + 5
            with github.until(START + 1):
                assert github.deadline == START + 1
            assert github.deadline == START + 5
        assert github.deadline == float("inf")


def test_threads_that_ask_for_us_share_it_and_others_do_not() -> None:
    seen: list[float] = []
    with client(Script(OK)) as github:

        def look() -> None:
            seen.append(github.deadline)

        with github.until(START + 5):
            list(github.many([look] * 20))
            other = threading.Thread(target=look)
            other.start()
            other.join()
        list(github.many([look]))
    assert seen == [START + 5] * 20 + [float("inf")] * 2
