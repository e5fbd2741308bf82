"""Paths that are asked for, and URLs that a server sends."""

from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driftfleet.errors import ConfigurationError
from driftfleet.github.host import host_of
from driftfleet.github.urls import (
    api_target,
    archive_url,
    named_host,
    next_link,
    organisation_path,
    quote_ref,
    repository_path,
)
from driftfleet.settings import GitHubSettings

HOST = host_of(GitHubSettings(url="https://ghe.example.com"))
CLOUD = host_of(GitHubSettings(url="https://github.com"))
# What URLs are made of, and what tells two parsers apart.
PARTS = st.sampled_from(
    [
        "https:", "http:", "//", "/", "ghe.example.com", "GHE.example.com", "codeload.",
        "evil.example.net", "@", ":", ":443", ":8443", "api/v3", "/_codeload/", "..", ".", "%2e",
        "%2f", "%5c", "\\", "?", "#", "&", "a", " ", "\t", "\n", "\x00", "é", "[", "]", ";",
    ]
)  # fmt: skip
URLS = st.lists(PARTS, max_size=12).map("".join)


@given(URLS)
@example("https://ghe.example.com/api/v3/x")
def test_a_link_leads_inside_the_api_or_nowhere(url: str) -> None:
    target = api_target(HOST, url)
    if target is None:
        return
    sent = httpx.URL(HOST.api_origin + target)
    assert (sent.scheme, sent.host, sent.port) == ("https", "ghe.example.com", None)
    assert sent.raw_path.startswith(b"/api/v3/")
    assert ".." not in unquote(sent.path).split("/")
    if "://" in url:
        assert (urlsplit(url).hostname or "").lower() == "ghe.example.com"


@given(URLS)
@example("https://codeload.ghe.example.com/x?token=y")
def test_an_archive_comes_from_an_allowed_host_or_from_nowhere(url: str) -> None:
    allowed = archive_url(HOST, url)
    if allowed is None:
        return
    sent = httpx.URL(allowed)
    assert sent.scheme == "https"
    assert sent.netloc.decode() in HOST.archive_hosts
    assert not sent.userinfo


def test_links_of_both_kinds_of_servers() -> None:
    assert api_target(HOST, "https://ghe.example.com/api/v3/orgs/o/repos?page=2") == (
        "/api/v3/orgs/o/repos?page=2"
    )
    assert api_target(CLOUD, "https://api.github.com/organizations/1/repos?page=2") == (
        "/organizations/1/repos?page=2"
    )
    assert api_target(CLOUD, "https://github.com/organizations/1/repos") is None


def test_the_host_of_a_refused_url_can_be_shown() -> None:
    assert named_host("https://user:pw@evil.example.net/x?token=y") == "evil.example.net"
    assert named_host("nonsense") == "a place that is no URL"
    assert named_host("https://evil\x1b[31m/").isprintable()


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<https://h/2>; rel="next", <https://h/9>; rel="last"', "https://h/2"),
        ('<https://h/1>; rel="prev", <https://h/3>; rel="next"', "https://h/3"),
        ("<https://h/2>; rel=next", "https://h/2"),
        ('<https://h/2>; title="a, b"; REL = "last NEXT"', "https://h/2"),
        ('<https://h/2?a=1,2;b>; rel="next"', "https://h/2?a=1,2;b"),
        ('<https://h/1>; rel="first"', None),
        ('<https://h/1>; rel="nextish"', None),
        ('<https://h/1>; title="rel=next"', None),
        ("<https://h/1>", None),
        ("", None),
        ("rel=next", None),
        ("<https://h/" + "x" * 10_000 + '>; rel="next"', None),
    ],
)
def test_the_next_page_in_a_link_header(header: str, link: str | None) -> None:
    assert next_link(header) == link


@given(st.text(alphabet='<>;,="rel nxt/:', max_size=200))
def test_any_header_has_a_next_page_or_none(header: str) -> None:
    link = next_link(header)
    assert link is None or f"<{link}" in header.replace("< ", "<").replace("\x1f", "")


@given(
    st.lists(st.sampled_from(["first", "prev", "next", "last"]), unique=True, min_size=1),
    st.booleans(),
)
def test_headers_as_github_writes_them(relations: list[str], quoted: bool) -> None:
    mark = '"' if quoted else ""
    links = [f"<https://h/x?page={i}&r={r}>; rel={mark}{r}{mark}" for i, r in enumerate(relations)]
    link = next_link(", ".join(links))
    assert (link is not None) == ("next" in relations)
    assert link is None or link.endswith("r=next")


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("main", "main"),
        ("heads/feature/x", "heads/feature/x"),
        ("a#b?c%d&e", "a%23b%3Fc%25d%26e"),
        ("v1.2.3", "v1.2.3"),
        ("ä", "%C3%A4"),
        ("a@b+c", "a%40b%2Bc"),
    ],
)
def test_a_refs_slashes_stay_and_all_else_is_quoted(ref: str, path: str) -> None:
    assert quote_ref(ref) == path


@pytest.mark.parametrize(
    "ref",
    ["", "/", "a/", "/a", "a//b", "..", "a/../b", "a..b", ".", "./a", "a/.b", "a b", "a\\b", "a\n",
     "a\x00", "\x7f", "x" * 2000, "\udc80"],
)  # fmt: skip
def test_what_can_be_no_ref_is_refused(ref: str) -> None:
    with pytest.raises(ConfigurationError, match="no branch"):
        quote_ref(ref)


@given(st.text(max_size=40))
def test_a_quoted_ref_stays_below_its_path(ref: str) -> None:
    try:
        quoted = quote_ref(ref)
    except ConfigurationError:
        return
    sent = httpx.URL(f"https://h/repos/o/r/commits/{quoted}")
    assert sent.path == f"/repos/o/r/commits/{ref}"
    assert not sent.query
    assert not sent.fragment


@pytest.mark.parametrize("name", ["o/r", "my-org/.github", "a_b/c.d", "O/R-1_2.tf", "o/..."])
def test_names_of_repositories(name: str) -> None:
    assert repository_path(name) == f"/repos/{name}"


@pytest.mark.parametrize(
    "name",
    ["", "o", "o/", "/r", "o/r/s", "o/..", "o/.", "../r", "..a/b", "o/r?x", "o/r#x", "o/r\n",
     "o/ r", "-o/r", "o/r%2e", "ö/r", "o/" + "r" * 101],
)  # fmt: skip
def test_what_is_no_repositorys_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="owner/name"):
        repository_path(name)


def test_names_of_organisations() -> None:
    assert organisation_path("payments") == "/orgs/payments"
    for name in ("", "a/b", "..", "a b", "a?"):
        with pytest.raises(ConfigurationError):
            organisation_path(name)
