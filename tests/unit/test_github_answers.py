"""What the client asks, how often, and what it makes of the answers."""

import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from driftfleet.errors import (
    DriftfleetError,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    RepositoryEmpty,
)
from driftfleet.github import transfer
from tests.scripted import TOKEN, Clock, Pieces, Script, chain, client, everything_logged, said

OK = httpx.Response(200, json={"fine": True})
HTML = {"content-type": "text/html; charset=utf-8"}


def library_errors() -> list[type[Exception]]:
    """Every exception class that httpx exports."""
    found = [getattr(httpx, name) for name in httpx.__all__]
    return [c for c in found if isinstance(c, type) and issubclass(c, Exception)]


def make(kind: type[Exception]) -> Exception:
    request = httpx.Request("GET", "https://x", headers={"Authorization": f"Bearer {TOKEN}"})
    if kind is httpx.HTTPStatusError:
        return kind(TOKEN, request=request, response=httpx.Response(500))  # type: ignore[call-arg]
    if issubclass(kind, httpx.StreamError) and kind is not httpx.StreamError:
        return kind()
    error = kind(TOKEN)
    if isinstance(error, httpx.HTTPError):
        error.request = request
    return error


def test_a_request_says_who_asks_for_what() -> None:
    script = Script(OK)
    with client(script) as github:
        assert github.get("/repos/o/r", params={"page": 2}).json() == {"fine": True}
        assert github.requests == 1
    (request,) = script.requests
    assert str(request.url) == "https://ghe.example.com/api/v3/repos/o/r?page=2"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert request.headers["user-agent"]


def test_httpx_exports_the_errors_that_the_next_test_goes_through() -> None:
    assert len(library_errors()) > 25


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("method", ["get", "post", "archive"])
def test_every_error_of_httpx_becomes_one_of_ours(kind: type[Exception], method: str) -> None:
    with client(Script(make(kind))) as github:
        calls = {
            "get": lambda: github.get("/repos/o/r"),
            "post": lambda: github.post("/repos/o/r"),
            "archive": lambda: github.archive("o/r", "abc").__enter__(),
        }
        with pytest.raises(DriftfleetError) as caught:
            calls[method]()
    assert isinstance(caught.value, GitHubUnavailable)
    assert "ghe.example.com" in caught.value.message
    for error in chain(caught.value):
        assert isinstance(error, DriftfleetError), "httpx's error carries the request"
        assert TOKEN not in repr(error)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_broken_connection_is_tried_again_and_after_five_times_no_more(
    kind: type[httpx.HTTPError],
) -> None:
    clock = Clock()
    with client(Script(kind("x"), OK), clock) as github:
        assert github.get("/meta").status == 200
    script = Script(kind("x"))
    clock = Clock()
    with client(script, clock) as github, pytest.raises(GitHubUnavailable, match="5 times"):
        github.get("/meta")
    assert len(script.requests) == 5
    assert len(clock.slept) == 4
    assert sum(clock.slept) < 8


def test_pauses_between_tries_double_and_are_not_the_same_for_all() -> None:
    def pauses(chance: float) -> list[float]:
        clock = Clock()
        with client(Script(httpx.ConnectError("x")), clock) as github:
            github._pace.chance = lambda: chance
            with pytest.raises(GitHubUnavailable):
                github.get("/meta")
        return clock.slept

    assert pauses(1.0) == [0.5, 1.0, 2.0, 4.0]
    assert pauses(0.0) == [0.25, 0.5, 1.0, 2.0]


def test_a_request_that_can_not_be_made_is_not_made_again() -> None:
    script = Script(httpx.LocalProtocolError(f"Illegal header value {TOKEN}"))
    with client(script) as github, pytest.raises(GitHubUnavailable):
        github.get("/meta")
    assert len(script.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_told_with_its_mend() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        try:
            error = ssl.SSLCertVerificationError(1, "x")
            error.verify_message = "self-signed certificate"
            raise error
        except ssl.SSLError as cause:
            raise httpx.ConnectError("x") from cause

    script = Script(refuse)
    with client(script) as github, pytest.raises(GitHubUnavailable, match="SSL_CERT_FILE") as e:
        github.get("/meta")
    assert "self-signed" in e.value.message
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_stumbles_is_asked_again(status: int) -> None:
    script = Script(httpx.Response(status, headers=HTML, text="<html>unicorn"), OK)
    with client(script) as github:
        assert github.get("/meta").status == 200
    assert len(script.requests) == 2


def test_a_server_that_stays_down_is_unavailable_and_its_words_are_told() -> None:
    with (
        client(Script(said(502, "Server Error"))) as github,
        pytest.raises(GitHubUnavailable, match="502: Server Error"),
    ):
        github.get("/meta")


def test_another_failure_of_the_server_is_not_worth_a_second_try() -> None:
    script = Script(said(501))
    with client(script) as github, pytest.raises(GitHubUnavailable):
        github.get("/meta")
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("answer", "tries"),
    [
        (httpx.ConnectError("x"), 5),
        (httpx.ConnectTimeout("x"), 5),
        (httpx.ReadTimeout("x"), 1),
        (httpx.RemoteProtocolError("x"), 1),
        (said(502), 1),
    ],
)
def test_what_is_sent_goes_again_only_where_it_can_not_have_arrived(
    answer: httpx.Response | Exception, tries: int
) -> None:
    script = Script(answer)
    with client(script) as github, pytest.raises(GitHubUnavailable):
        github.post("/app/installations/1/access_tokens")
    assert len(script.requests) == tries


def body(*pieces: bytes | Exception, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers=named, stream=Pieces(*pieces))


def test_a_body_that_breaks_off_is_asked_for_again() -> None:
    script = Script(body(b'{"a":', httpx.RemoteProtocolError("cut")), OK)
    with client(script) as github:
        assert github.get("/meta").json() == {"fine": True}
    assert len(script.requests) == 2


def test_a_gzip_stream_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    whole = gzip.compress(json.dumps({"fine": True}).encode())
    cut, good = (body(part, content_encoding="gzip") for part in (whole[:-9], whole))
    script = Script(cut, good)
    with client(script) as github:
        assert github.get("/meta").json() == {"fine": True}
    assert len(script.requests) == 2


def test_an_answer_may_be_as_large_as_its_limit_and_no_larger() -> None:
    with client(Script(body(b"12345", b"67890"))) as github:
        assert github.get("/meta", limit_bytes=10).content == b"1234567890"
        with pytest.raises(GitHubRefused, match="exceeds 9 bytes"):
            github.get("/meta", limit_bytes=9)


def test_a_gzip_bomb_is_never_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    pieces: list[bytes] = []

    def watched() -> Iterator[bytes]:
        for chunk in transfer.decoded(iter([bomb]), {"content-encoding": "gzip"}, 1 << 20):
            pieces.append(chunk)
            yield chunk

    with pytest.raises(transfer.TooLarge):
        list(watched())
    assert sum(map(len, pieces)) <= 1 << 20
    exact = gzip.compress(bytes(1 << 20))
    unpacked = transfer.decoded(iter([exact]), {"content-encoding": "gzip"}, 1 << 20)
    assert sum(map(len, unpacked)) == 1 << 20


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd"])
def test_an_encoding_that_was_not_asked_for_is_an_error(encoding: str) -> None:
    with (
        client(Script(body(b"x", content_encoding=encoding))) as github,
        pytest.raises(GitHubUnavailable),
    ):
        github.get("/meta")


def test_a_server_that_dribbles_is_given_up() -> None:
    clock = Clock()

    class Dribble(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(1_000_000):
                clock.time += 29
                yield b"."

    script = Script(lambda request: httpx.Response(200, stream=Dribble()))
    with client(script, clock) as github, pytest.raises(GitHubUnavailable, match="in time"):
        github.get("/meta")


@pytest.mark.parametrize("headers", [HTML, {}])
def test_a_login_page_is_no_answer(headers: dict[str, str]) -> None:
    page = httpx.Response(200, headers=headers, content=b"\n<!DOCTYPE html><title>Log in</title>")
    script = Script(page)
    with client(script) as github, pytest.raises(GitHubRefused, match="login page or a proxy") as e:
        github.get("/meta").json()
    assert e.value.status == 200
    assert len(script.requests) == 1


def test_what_is_no_json_may_be_json_next_time() -> None:
    with (
        client(Script(httpx.Response(200, content=b'{"a": '))) as github,
        pytest.raises(GitHubUnavailable, match="no JSON"),
    ):
        github.get("/meta").json()


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "Not Found", GitHubNotFound),
        (409, "Git Repository is empty.", RepositoryEmpty),
        (409, "Something else", GitHubRefused),
        (403, "Resource not accessible by personal access token", GitHubRefused),
        (410, "Issues are disabled for this repo", GitHubRefused),
        (422, "Validation Failed", GitHubRefused),
        (451, "Repository access blocked", GitHubRefused),
        (407, "", GitHubRefused),
        (304, "", GitHubRefused),
        (300, "", GitHubRefused),
    ],
)
def test_a_no_is_told_with_githubs_words(status: int, message: str, kind: type) -> None:
    script = Script(said(status, message))
    with client(script) as github, pytest.raises(kind) as caught:
        github.get("/repos/o/r")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert message in caught.value.message
    assert "GET /repos/o/r at ghe.example.com" in caught.value.message
    assert len(script.requests) == 1


def test_what_github_says_can_not_forge_lines_or_fill_a_log() -> None:
    hostile = "no\r\nERROR forged\x1b[31m\u202e" + "x" * 10_000
    with client(Script(said(403, hostile))) as github, pytest.raises(GitHubRefused) as caught:
        github.get("/meta")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_a_server_that_echoes_our_token_does_not_bring_it_into_an_error() -> None:
    with (
        client(Script(said(403, f"bad header Bearer {TOKEN}"))) as github,
        pytest.raises(GitHubRefused, match=r"Bearer \*\*\*") as caught,
    ):
        github.get("/meta")
    assert TOKEN not in str(caught.value)


def test_the_etag_is_sent_and_304_is_an_answer() -> None:
    script = Script(httpx.Response(304))
    with client(script) as github:
        assert github.get("/meta", etag="abc").status == 304
    assert script.requests[0].headers["if-none-match"] == '"abc"'


def test_a_name_may_have_dots() -> None:
    script = Script(OK)
    with client(script) as github:
        github.get("/repos/o/a..b")
        github.get("/repos/o/...")
    assert script.paths == ["/api/v3/repos/o/a..b", "/api/v3/repos/o/..."]


@pytest.mark.parametrize(
    "path",
    [
        "meta",
        "/a/../b",
        "/a b",
        "/a?b",
        "/a#b",
        "//a",
        "/a/./b",
        "/a\\b",
        "/a\nb",
        "/a/",
        "/a/%2E%2e/b",
        "/..",
    ],
)
def test_a_path_that_is_not_quoted_is_a_bug_of_ours(path: str) -> None:
    with client(Script(OK)) as github, pytest.raises(ValueError, match="quoted"):
        github.get(path)


def test_pages_are_asked_for_one_by_one_and_by_hundreds() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("page", "1"))
        url = f"https://ghe.example.com/api/v3/orgs/o/repos?page={page + 1}&per_page=100"
        link = f'<{url}>; rel="next", <x>; rel="last"' if page < 3 else '<x>; rel="first"'
        return httpx.Response(200, json=[page], headers={"link": link})

    script = Script(answer)
    with client(script) as github:
        pages = github.pages("/orgs/o/repos", {"type": "all"})
        assert next(pages) == [1]
        assert len(script.requests) == 1
        assert list(pages) == [[2], [3]]
    assert script.requests[0].url.params["per_page"] == "100"
    assert script.requests[0].url.params["type"] == "all"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.net/api/v3/x",
        "https://ghe.example.com/login",
        "http://ghe.example.com/api/v3/x",
    ],
)
def test_a_next_page_elsewhere_is_refused(link: str) -> None:
    script = Script(httpx.Response(200, json=[], headers={"link": f'<{link}>; rel="next"'}))
    with client(script) as github, pytest.raises(GitHubRefused, match="next page"):
        list(github.pages("/orgs/o/repos"))
    assert len(script.requests) == 1


def test_pages_that_never_end_do() -> None:
    link = '<https://ghe.example.com/api/v3/orgs/o/repos?page=2>; rel="next"'
    script = Script(httpx.Response(200, json=[], headers={"link": link}))
    with client(script) as github, pytest.raises(GitHubRefused, match="more than 1000 pages"):
        list(github.pages("/orgs/o/repos"))


def test_many_gives_results_in_the_order_of_the_calls_and_never_too_many_at_once() -> None:
    lock = threading.Lock()
    running, most = 0, 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.001)
        with lock:
            running -= 1
        return httpx.Response(200, content=request.url.path.rpartition("/")[2].encode())

    with client(answer, connections=5) as github:
        contents = github.many(
            partial(lambda n: github.get(f"/n/{n}").content, n) for n in range(100)
        )
        assert list(contents) == [str(n).encode() for n in range(100)]
    assert 1 < most <= 5


def test_the_first_error_ends_many_and_what_has_not_begun_is_dropped() -> None:
    script = Script(OK, said(404, "Not Found"))
    with client(script, connections=2) as github, pytest.raises(GitHubNotFound):
        list(github.many([partial(github.get, "/meta")] * 1000))
    assert len(script.requests) < 20


def test_a_thread_that_waits_for_a_limit_is_woken_when_another_fails() -> None:
    begun = threading.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/limit"):
            begun.set()
            return said(429, retry_after="600")
        if request.url.path.endswith("/bad"):
            assert begun.wait(30)
            return said(404)
        return OK

    settings_clock = Clock()
    with client(answer, settings_clock, connections=2) as github:
        github._pace._sleep = None  # waits as in earnest
        github.get("/meta")
        calls = [partial(github.get, "/limit"), partial(github.get, "/bad")]
        results = github.many(reversed(calls))
        with pytest.raises(GitHubNotFound):
            list(results)


def test_closing_wakes_who_waits() -> None:
    github = client(Script(said(429, retry_after="600")))
    github._pace._sleep = None
    errors: list[Exception] = []

    def ask() -> None:
        try:
            github.get("/meta")
        except GitHubUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    github.close()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert len(errors) == 1


def test_nothing_that_is_shown_or_logged_has_the_token() -> None:
    script = Script(httpx.ReadTimeout(TOKEN), said(429, TOKEN, retry_after="1"), OK)
    with everything_logged("httpx", "httpcore", "driftfleet") as lines, client(script) as github:
        answer = github.get("/meta")
        shown = [repr(x) for x in (github, answer, github.host, github._exchange._admission)]
    assert not [text for text in [*lines, *shown] if TOKEN in text]


def cause_of(cause: Exception) -> httpx.ConnectError:
    error = httpx.ConnectError("x")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"])
def test_a_port_that_speaks_no_tls_is_said_to_and_asked_once(reason: str) -> None:
    cause = ssl.SSLError(1, "x")
    cause.reason = reason
    script = Script(cause_of(cause))
    with client(script) as github, pytest.raises(GitHubUnavailable, match="no TLS is spoken"):
        github.get("/meta")
    assert len(script.requests) == 1


def test_a_handshake_that_breaks_off_is_tried_again_and_told_as_one() -> None:
    cause = ssl.SSLEOFError(8, "x")
    script = Script(cause_of(cause))
    with (
        client(script) as github,
        pytest.raises(GitHubUnavailable, match="TLS could not be agreed"),
    ):
        github.get("/meta")
    assert len(script.requests) > 1


def test_the_status_of_a_proxys_refusal_is_told_and_nothing_else_of_it() -> None:
    script = Script(httpx.ProxyError("407 s3cr3t"))
    with client(script) as github, pytest.raises(GitHubUnavailable) as caught:
        github.get("/meta")
    assert "the proxy refused (407)" in caught.value.message
    assert "s3cr3t" not in caught.value.message
