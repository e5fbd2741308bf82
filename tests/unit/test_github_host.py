"""The server that the settings name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import ConfigurationError
from driftfleet.github.host import host_of, is_loopback
from driftfleet.settings import GitHubSettings


@pytest.mark.parametrize(
    ("url", "name", "api"),
    [
        ("https://ghe.example.com", "ghe.example.com", "https://ghe.example.com/api/v3"),
        ("https://GHE.Example.com:443/", "ghe.example.com", "https://ghe.example.com/api/v3"),
        ("https://ghe:8443", "ghe:8443", "https://ghe:8443/api/v3"),
        ("https://github.com", "github.com", "https://api.github.com"),
        ("https://octo.ghe.com", "octo.ghe.com", "https://api.octo.ghe.com"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080/api/v3"),
        ("http://localhost", "localhost", "http://localhost/api/v3"),
        ("http://[::1]:80", "[::1]", "http://[::1]/api/v3"),
    ],
)
def test_the_api_of_a_server(url: str, name: str, api: str) -> None:
    host = host_of(GitHubSettings(url=url))
    assert (host.name, host.api_url) == (name, api)
    assert host.web_url.endswith(name)
    assert host.api_url == host.api_origin + host.api_path


def test_another_api_may_be_named() -> None:
    api_url = "https://gateway.example.com:8443/github/api/v3/"
    host = host_of(GitHubSettings(url="https://ghe.example.com", api_url=api_url))
    assert host.name == "ghe.example.com"
    assert host.api_origin == "https://gateway.example.com:8443"
    assert host.api_path == "/github/api/v3"


@pytest.mark.parametrize(
    ("url", "api_url", "asked"),
    [
        ("https://ghe.example.com", None, "ghe.example.com"),
        ("https://github.com", None, "github.com"),
        (
            "https://ghe.example.com",
            "https://gate.example.com:8443/api/v3",
            "gate.example.com:8443",
        ),
        ("https://ghe.example.com", "https://ghe.example.com:8443/api/v3", "ghe.example.com:8443"),
    ],
)
def test_errors_name_the_host_that_is_asked(url: str, api_url: str | None, asked: str) -> None:
    assert host_of(GitHubSettings(url=url, api_url=api_url)).asked == asked


@pytest.mark.parametrize(
    ("api", "web"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://ghe.example.com/api/v3", "https://ghe.example.com"),
        ("https://api.example.com/v3", "https://api.example.com"),
    ],
)
def test_the_api_alone_tells_the_server(api: str, web: str) -> None:
    host = host_of(GitHubSettings(api_url=api))
    assert (host.api_url, host.web_url) == (api, web)


def test_archives_come_from_the_server_and_its_codeload() -> None:
    assert host_of(GitHubSettings(url="https://github.com")).archive_hosts == {
        "github.com",
        "codeload.github.com",
        "api.github.com",
    }


def test_without_a_server_the_error_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="DRIFTFLEET_GITHUB__URL"):
        host_of(GitHubSettings())


@pytest.mark.parametrize(
    "url",
    [
        "ghe.example.com",
        "http://ghe.example.com",
        "http://127.0.0.1.example.com",
        "https://user:s3cr3t@ghe.example.com",
        "https://ghe.example.com/org",
        "https://ghe.example.com?x=s3cr3t",
        "https://ghe.example.com#s3cr3t",
        "https://ghe.example.com:0",
        "https://ghe.example.com:65536",
        "https://ghe..example.com",
        "https://ghe.example.com/../x",
        "https://ghe example.com",
        "https://ghe.example.com\n",
        "https://-ghe.example.com",
        "https://",
        "ftp://ghe.example.com",
        "https://gh\u0435.example.com",
    ],
)
def test_a_url_that_is_not_plain_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"github\.url") as caught:
        host_of(GitHubSettings(url=url))
    assert "s3cr3t" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"https?://[ -~]{0,40}", fullmatch=True))
def test_any_text_is_a_server_or_a_configuration_error(text: str) -> None:
    try:
        host = host_of(GitHubSettings(url=text))
    except ConfigurationError:
        return
    assert host.web_url.startswith(("https://", "http://"))
    assert "@" not in host.api_url
    if host.web_url.startswith("http://"):
        assert is_loopback(host.name.rsplit(":", 1)[0] if "]" not in host.name else "[::1]")
