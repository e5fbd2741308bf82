"""Archives: from the right host, without our token, and telling nobody their URL."""

import gzip

import httpx
import pytest

from driftfleet.errors import (
    CredentialsRefused,
    DriftfleetError,
    GitHubRefused,
    GitHubUnavailable,
)
from driftfleet.github.client import GitHub
from tests.scripted import TOKEN, Pieces, Script, chain, client, said

OK = httpx.Response(200, json={"fine": True})
HTML = {"content-type": "text/html; charset=utf-8"}
BAD = said(401, "Bad credentials")


def moved(location: str, status: int = 301) -> httpx.Response:
    return httpx.Response(status, headers={"location": location}, json={"message": "Moved"})


ARCHIVE = gzip.compress(b"a tar")
CODELOAD = "https://codeload.ghe.example.com/o/r/legacy.tar.gz/abc?token=ARCHIVETOKEN"


def taken(github: GitHub, sha: str = "abc") -> bytes:
    with github.archive("o/r", sha) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize(
    "location",
    [
        CODELOAD,
        "https://ghe.example.com/_codeload/o/r/tar.gz/abc?token=ARCHIVETOKEN",
        "/_codeload/o/r/tar.gz/abc?token=ARCHIVETOKEN",
    ],
)
def test_an_archive_is_fetched_where_the_api_says_without_our_token(location: str) -> None:
    script = Script(
        moved(location, 302), httpx.Response(200, stream=Pieces(ARCHIVE[:1], ARCHIVE[1:]))
    )
    with client(script) as github:
        assert taken(github) == ARCHIVE
        assert github.requests == 2
    assert script.paths[0] == "/api/v3/repos/o/r/tarball/abc"
    assert script.tokens == [f"Bearer {TOKEN}", None]
    assert script.requests[1].url.params["token"] == "ARCHIVETOKEN"


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example.net/x",
        "http://codeload.ghe.example.com/x",
        "https://codeload.ghe.example.com:444/x",
        "https://codeload.ghe.example.com.evil.net/x",
        "https://ghe.example.com@evil.example.net/_codeload/x",
        "https://codeload.ghe.example.com\\@evil.example.net/",
        "ftp://codeload.ghe.example.com/x",
        "",
    ],
)
def test_an_archive_is_taken_from_no_other_host(location: str) -> None:
    script = Script(moved(location, 302))
    with client(script) as github, pytest.raises(GitHubRefused, match="archive"):
        taken(github)
    assert len(script.requests) == 1


def test_an_archives_own_redirect_is_held_to_the_same_hosts() -> None:
    script = Script(moved(CODELOAD, 302), moved("https://evil.example.net/x", 302))
    with client(script) as github, pytest.raises(GitHubRefused, match=r"evil\.example\.net"):
        taken(github)
    assert len(script.requests) == 2


def test_the_archive_of_a_renamed_repository_is_found() -> None:
    location = "https://ghe.example.com/api/v3/repositories/7/tarball/abc"
    script = Script(moved(location), moved(CODELOAD, 302), httpx.Response(200, content=ARCHIVE))
    with client(script) as github:
        assert taken(github) == ARCHIVE
    assert script.tokens == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", None]


def test_a_page_for_an_archive_is_refused() -> None:
    page = httpx.Response(200, headers=HTML, text="<html>Log in")
    for script in (Script(page), Script(moved(CODELOAD, 302), page)):
        with client(script) as github, pytest.raises(GitHubRefused, match="login page"):
            taken(github)
    other = Script(moved(CODELOAD, 302), httpx.Response(200, content=b"PK zip"))
    with client(other) as github, pytest.raises(GitHubRefused, match="no gzip"):
        taken(github)


def test_an_archive_whose_url_expired_is_asked_for_again() -> None:
    script = Script(
        moved(CODELOAD, 302), said(404), moved(CODELOAD, 302), httpx.Response(200, content=ARCHIVE)
    )
    with client(script) as github:
        assert taken(github) == ARCHIVE
    assert len(script.requests) == 4


def test_an_archive_that_breaks_off_says_so_and_tells_no_url() -> None:
    cut = httpx.Response(200, stream=Pieces(ARCHIVE[:4], httpx.ReadError("cut")))
    with (
        client(Script(moved(CODELOAD, 302), cut)) as github,
        pytest.raises(GitHubUnavailable, match="broke off") as caught,
    ):
        taken(github)
    assert all("ARCHIVETOKEN" not in repr(error) for error in chain(caught.value))
    assert all(isinstance(error, DriftfleetError) for error in chain(caught.value))


def test_what_goes_wrong_with_the_reader_of_an_archive_is_not_ours() -> None:
    script = Script(moved(CODELOAD, 302), httpx.Response(200, content=ARCHIVE))
    with client(script) as github:
        archive = github.archive("o/r", "abc")
        next(archive.__enter__())
        error = KeyError("theirs")
        assert not archive.__exit__(KeyError, error, None)
        assert len(script.requests) == 2


def test_a_token_that_archives_know_by_the_older_scheme_only() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "codeload" in request.url.host:
            return httpx.Response(200, content=ARCHIVE)
        if "tarball" in request.url.path and request.headers["authorization"].startswith("Bearer"):
            return said(401, "Bad credentials")
        return moved(CODELOAD, 302)

    script = Script(answer)
    with client(script) as github:
        for _ in range(2):
            assert taken(github) == ARCHIVE
    asked = [token for token in script.tokens if token]
    assert asked == [f"Bearer {TOKEN}", f"token {TOKEN}", f"token {TOKEN}"]


def test_a_token_that_is_bad_for_archives_by_either_scheme_is_refused() -> None:
    script = Script(BAD)
    with client(script) as github:
        for _ in range(2):
            with pytest.raises(CredentialsRefused):
                taken(github)
    assert len(script.requests) == 2


def test_the_api_answers_while_an_archive_is_read() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "codeload" in request.url.host:
            return httpx.Response(200, content=ARCHIVE)
        return moved(CODELOAD, 302) if "tarball" in request.url.path else OK

    with client(answer, connections=1) as github, github.archive("o/r", "abc") as chunks:
        assert github.get("/meta").status == 200
        assert b"".join(chunks) == ARCHIVE
