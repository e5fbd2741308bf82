"""Rate limits: who waits, how long, and when it is told at once."""

import threading
from functools import partial

import httpx
import pytest

from driftfleet.errors import (
    GitHubRefused,
    GitHubUnavailable,
)
from tests.scripted import Clock, Script, client, said

OK = httpx.Response(200, json={"fine": True})


def test_a_limit_is_waited_for_and_then_asked_again() -> None:
    clock = Clock()
    script = Script(said(429, "slow down", retry_after="7"), OK)
    with client(script, clock) as github:
        assert github.get("/meta").status == 200
    assert 7 <= sum(clock.slept) <= 8


def test_a_limit_longer_than_we_wait_is_told_at_once() -> None:
    clock = Clock()
    script = Script(said(403, "API rate limit exceeded", retry_after="901"))
    with client(script, clock) as github, pytest.raises(GitHubUnavailable) as caught:
        github.get("/meta")
    assert caught.value.retry_after_seconds == pytest.approx(901)
    assert clock.slept == []
    assert len(script.requests) == 1


def test_during_a_limit_no_other_request_is_sent() -> None:
    clock = Clock()
    script = Script(said(403, "secondary rate limit", retry_after="60"))
    with client(script, clock, patience_seconds=15) as github:
        for _ in range(3):
            with pytest.raises(GitHubUnavailable) as caught:
                github.get("/meta")
            assert caught.value.retry_after_seconds == pytest.approx(60)
    assert len(script.requests) == 1


def test_limits_without_a_word_are_waited_for_twice_as_long_each_time() -> None:
    clock = Clock()
    script = Script(said(429), said(429), said(429), OK)
    with client(script, clock) as github:
        github._pace.chance = lambda: 0.0
        assert github.get("/meta").status == 200
    assert clock.slept == pytest.approx([60, 120, 240])


def test_a_server_that_always_says_wait_a_second_does_not_keep_us_for_ever() -> None:
    script = Script(said(429, retry_after="0"))
    with client(script, patience_seconds=1e6) as github, pytest.raises(GitHubUnavailable):
        github.get("/meta")
    assert len(script.requests) < 15


def test_a_403_that_is_no_limit_is_not_waited_for() -> None:
    clock = Clock()
    script = Script(said(403, "Must have admin rights", x_ratelimit_remaining="4999"))
    with client(script, clock) as github, pytest.raises(GitHubRefused):
        github.get("/meta")
    assert clock.slept == []


def test_one_limit_holds_all_threads() -> None:
    clock = Clock()
    first, all_in = threading.Event(), threading.Barrier(4, timeout=30)
    times: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if not first.is_set():
            first.set()
            return OK
        times.append(clock.time)
        if clock.time < 1060:
            all_in.wait()
            return said(403, "You have exceeded a secondary rate limit", retry_after="60")
        return httpx.Response(200, json={})

    with client(answer, clock, connections=4) as github:
        github.get("/meta")
        answers = list(github.many([partial(github.get, "/meta")] * 12))
    assert len(answers) == 12
    # The four that were under way met it; none of the others was sent before its end.
    assert sorted(times)[4] >= 1060


def test_a_server_that_is_busy_for_one_path_holds_that_call_only() -> None:
    clock = Clock()

    def answer(request: httpx.Request) -> httpx.Response:
        return said(503, retry_after="600") if "/slow" in request.url.path else OK

    with client(answer, clock, patience_seconds=15) as github:
        with pytest.raises(GitHubUnavailable) as caught:
            github.get("/slow")
        assert caught.value.retry_after_seconds == 600
        assert github.get("/meta").status == 200
    assert clock.slept == []


def test_a_busy_server_is_asked_again_when_it_said_and_not_for_ever() -> None:
    clock = Clock()
    with client(Script(said(503, retry_after="30"), OK), clock) as github:
        assert github.get("/meta").status == 200
    assert 30 <= sum(clock.slept) <= 31

    script = Script(said(503, retry_after="2"))
    with client(script, Clock()) as github, pytest.raises(GitHubUnavailable) as caught:
        github.get("/meta")
    assert len(script.requests) == 5
    assert caught.value.retry_after_seconds == 2


@pytest.mark.parametrize("status", [403, 429, 503])
def test_nobody_is_held_for_longer_than_an_hour(status: int) -> None:
    clock = Clock()
    script = Script(said(status, "rate limit", retry_after="10000000"), OK)
    with client(script, clock, patience_seconds=4000) as github:
        assert github.get("/meta").status == 200
    assert 3600 <= sum(clock.slept) <= 3602


def test_a_busy_server_of_archives_is_waited_for() -> None:
    clock = Clock()
    archive = httpx.Response(200, content=b"\x1f\x8b rest")
    found = httpx.Response(302, headers={"location": "https://ghe.example.com/_codeload/x"})
    script = Script(found, said(503, retry_after="30"), found, archive)
    with client(script, clock) as github, github.archive("o/r", "abc") as chunks:
        assert b"".join(chunks) == b"\x1f\x8b rest"
    assert 30 <= sum(clock.slept) <= 31
