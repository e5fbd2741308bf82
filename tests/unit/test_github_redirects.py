"""Where the client goes when it is sent on, and where not."""

import httpx
import pytest

from driftfleet.errors import (
    GitHubRefused,
)
from tests.scripted import TOKEN, Script, client

OK = httpx.Response(200, json={"fine": True})


def moved(location: str, status: int = 301) -> httpx.Response:
    return httpx.Response(status, headers={"location": location}, json={"message": "Moved"})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "https://ghe.example.com/api/v3/repositories/7",
        "https://GHE.example.com:443/api/v3/repositories/7",
        "/api/v3/repositories/7",
    ],
)
def test_a_renamed_repository_is_followed_on_the_same_server(status: int, location: str) -> None:
    script = Script(moved(location, status), OK)
    with client(script) as github:
        assert github.get("/repos/o/old").status == 200
        assert github.requests == 2
    assert script.paths[1] == "/api/v3/repositories/7"
    assert script.requests[1].url.host == "ghe.example.com"
    assert script.tokens[1] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example.net/api/v3/repositories/7",
        "http://ghe.example.com/api/v3/repositories/7",
        "https://ghe.example.com:8443/api/v3/repositories/7",
        "https://ghe.example.com@evil.example.net/api/v3/x",
        "https://user:pw@ghe.example.com/api/v3/x",
        "//evil.example.net/api/v3/x",
        "https://ghe.example.com/login?return_to=x",
        "https://ghe.example.com/api/v3/../../login",
        "https://ghe.example.com/api/v3/%2e%2e/%2e%2e/login",
        "https://ghe.example.com/api/v3\\@evil.example.net/",
        "https://ghe.example.com\\.evil.example.net/api/v3/x",
        "https:///api/v3/x",
        "javascript:alert(1)",
        "https://[::1/api/v3/x",
        "",
    ],
)
def test_a_redirect_elsewhere_is_refused_and_not_followed(location: str) -> None:
    script = Script(moved(location), OK)
    with client(script) as github, pytest.raises(GitHubRefused, match="sends us on"):
        github.get("/repos/o/r")
    assert len(script.requests) == 1


def test_a_refused_redirect_names_the_other_host() -> None:
    with (
        client(Script(moved("https://evil.example.net/x"))) as github,
        pytest.raises(GitHubRefused, match=r"evil\.example\.net"),
    ):
        github.get("/repos/o/r")


def test_redirects_end() -> None:
    script = Script(moved("/api/v3/repositories/7"))
    with client(script) as github, pytest.raises(GitHubRefused):
        github.get("/repos/o/r")
    assert len(script.requests) == 6


def test_what_is_sent_follows_no_redirect() -> None:
    script = Script(moved("/api/v3/repositories/7", 307))
    with client(script) as github, pytest.raises(GitHubRefused):
        github.post("/repos/o/r/issues")
    assert len(script.requests) == 1
