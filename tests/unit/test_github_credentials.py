"""Bad credentials: once sent, never again."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from driftfleet.errors import (
    CredentialsRefused,
    DriftfleetError,
    GitHubUnavailable,
)
from driftfleet.github.lockout import Lockout
from tests.scripted import TOKEN, Script, client, said

OK = httpx.Response(200, json={"fine": True})


class Rotating(dict[str, str]):
    """An environment whose token was rotated: the first look finds the old one."""

    def __init__(self, *tokens: str) -> None:
        super().__init__(GH=tokens[0])
        self._left = list(tokens)
        self.looks = 0

    def __getitem__(self, key: str) -> str:
        self.looks += 1
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


BAD = said(401, "Bad credentials")


def together(count: int, call: Callable[[], object]) -> list[BaseException]:
    """Call it in so many threads; what was raised."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def by_token(*good: str) -> Script:
    def answer(request: httpx.Request) -> httpx.Response:
        given = request.headers["authorization"].partition(" ")[2]
        return httpx.Response(200, json={}) if given in good else said(401, "Bad credentials")

    return Script(answer)


def test_a_refused_token_is_not_sent_again_by_this_client() -> None:
    script = Script(BAD)
    with client(script) as github:
        for _ in range(3):
            with pytest.raises(CredentialsRefused, match="Bad credentials"):
                github.get("/meta")
    assert len(script.requests) == 1


def test_after_a_401_the_secret_is_read_again_and_the_new_token_tried() -> None:
    script = by_token("new-token")
    with client(script, environment=Rotating("old-token", "new-token")) as github:
        assert github.get("/meta").status == 200
        assert github.get("/meta").status == 200
    assert script.tokens == ["Bearer old-token", "Bearer new-token", "Bearer new-token"]


def test_a_new_token_that_is_refused_as_well_is_the_last_one() -> None:
    script = by_token()
    with client(script, environment=Rotating("one", "two", "three")) as github:
        for _ in range(2):
            with pytest.raises(CredentialsRefused):
                github.get("/meta")
    assert script.tokens == ["Bearer one", "Bearer two"]


def test_a_token_may_be_rotated_again_and_again_as_long_as_each_is_good() -> None:
    environment = Rotating("one", "two", "three")
    good = ["one"]
    script = by_token()
    script._answers = [
        lambda request: httpx.Response(
            200 if request.headers["authorization"].endswith(good[0]) else 401, json={}
        )
    ]
    with client(script, environment=environment) as github:
        for token in ("one", "two", "three"):
            good[0] = token
            assert github.get("/meta").status == 200
    assert len(script.requests) == 5


def test_many_threads_send_a_bad_token_once() -> None:
    script = Script(BAD)
    with client(script, connections=16) as github:
        errors = together(16, lambda: github.get("/meta"))
    assert [type(error) for error in errors] == [CredentialsRefused] * 16
    assert len(script.requests) == 1


def test_a_token_that_is_revoked_in_full_flight_costs_what_was_under_way() -> None:
    barrier = threading.Barrier(4, timeout=30)
    revoked = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if not revoked.is_set():
            revoked.set()
            return httpx.Response(200, json={})
        barrier.wait()
        return said(401, "Bad credentials")

    script = Script(answer)
    with client(script, connections=4) as github:
        github.get("/meta")
        with pytest.raises(CredentialsRefused):
            list(github.many([partial(github.get, "/meta")] * 40))
    assert len(script.requests) == 5


def test_a_limit_that_answers_before_the_token_was_looked_at_is_asked_once() -> None:
    arrivals = Arrivals(12 + 1)

    def answer(request: httpx.Request) -> httpx.Response:
        assert arrivals.all_here.wait(30)
        return said(429, "Too many", retry_after="100")

    script = Script(answer)
    with client(script, connections=12, patience_seconds=50, lockout=arrivals) as github:
        errors = together(12, lambda: github.get("/meta"))
    assert [type(error) for error in errors] == [GitHubUnavailable] * 12
    assert len(script.requests) <= 3


@pytest.mark.parametrize(
    ("answer", "proof"),
    [
        (said(404), True),
        (said(403, "Must have admin rights"), True),
        (said(409, "Git Repository is empty."), True),
        (said(429), False),
        (said(403, "secondary rate limit"), False),
        (said(502), False),
        (said(407), False),
        (httpx.Response(200, headers={"content-type": "text/html"}, text="<html>"), False),
    ],
)
def test_only_githubs_own_answer_proves_a_token(answer: httpx.Response, proof: bool) -> None:
    with client(Script(answer), patience_seconds=0) as github:
        with pytest.raises(DriftfleetError):
            github.get("/repos/o/r")
        assert github._exchange._admission.is_proven(SecretStr(TOKEN)) is proof


class Arrivals(Lockout):
    """Holds nothing, and lets a test wait until so many looked."""

    def __init__(self, count: int) -> None:
        super().__init__(Path("nowhere"))
        self._left = count
        self.all_here = threading.Event()

    def holds(self, token: SecretStr) -> float:
        self._left -= 1
        if self._left <= 0:
            self.all_here.set()
        return 0.0


def test_a_server_that_is_down_costs_all_threads_one_timeout_and_not_each_its_own() -> None:
    # The one that is let through looks twice.
    arrivals = Arrivals(12 + 1)

    def answer(request: httpx.Request) -> httpx.Response:
        assert arrivals.all_here.wait(30)
        raise httpx.ConnectTimeout("x")

    script = Script(answer)
    with client(script, connections=12, patience_seconds=0, lockout=arrivals) as github:
        errors = together(12, lambda: github.get("/meta"))
    assert [type(error) for error in errors] == [GitHubUnavailable] * 12
    # All but those that looked and were not yet waiting when it was over.
    assert len(script.requests) <= 3


def test_a_locked_account_is_left_alone() -> None:
    script = Script(said(403, "Maximum number of login attempts exceeded. Please try again later."))
    with client(script) as github:
        for _ in range(2):
            with pytest.raises(CredentialsRefused, match="locked"):
                github.get("/meta")
    assert len(script.requests) == 1


def test_other_processes_with_the_same_token_do_not_try_it(tmp_path: Path) -> None:
    first, second, third = Script(BAD), Script(OK), Script(OK)
    with client(first, lockout=Lockout(tmp_path)) as github, pytest.raises(CredentialsRefused):
        github.get("/meta")
    with (
        client(second, lockout=Lockout(tmp_path)) as github,
        pytest.raises(CredentialsRefused, match="15 more minutes"),
    ):
        github.get("/meta")
    assert second.requests == []
    with client(third, lockout=Lockout(tmp_path), environment={"GH": "another"}) as github:
        assert github.get("/meta").status == 200


def test_a_process_that_was_held_goes_on_with_a_rotated_token(tmp_path: Path) -> None:
    with (
        client(Script(BAD), lockout=Lockout(tmp_path), environment={"GH": "old"}) as github,
        pytest.raises(CredentialsRefused),
    ):
        github.get("/meta")
    script = by_token("new")
    with client(script, lockout=Lockout(tmp_path), environment=Rotating("old", "new")) as github:
        assert github.get("/meta").status == 200
    assert script.tokens == ["Bearer new"]


def test_without_a_token_none_is_sent_and_a_401_says_what_to_set() -> None:
    script = Script(said(401, "Requires authentication"))
    with (
        client(script, token=None) as github,
        pytest.raises(CredentialsRefused, match=r"github\.token"),
    ):
        github.get("/meta")
    assert script.tokens == [None]


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "naïve", "x" * 5000])
def test_what_can_not_be_a_token_is_never_sent(token: str) -> None:
    script = Script(OK)
    with (
        client(script, environment={"GH": token}) as github,
        pytest.raises(DriftfleetError, match="can't be one") as caught,
    ):
        github.get("/meta")
    assert script.requests == []
    assert token not in str(caught.value)


def test_nobody_is_told_of_the_setting_and_not_of_an_account() -> None:
    script = Script(said(401, "Requires authentication"))
    with client(script, token=None) as github, pytest.raises(CredentialsRefused) as caught:
        github.get("/meta")
    assert "github.token (DRIFTFLEET_GITHUB__TOKEN) is not set" in caught.value.message
    assert "locked" not in caught.value.message
