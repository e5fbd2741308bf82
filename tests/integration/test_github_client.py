"""The client over real connections: the stand-in, proxies, certificates, and what is logged."""

import datetime
import ipaddress
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from driftfleet.errors import (
    ConfigurationError,
    CredentialsRefused,
    DriftfleetError,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    RepositoryEmpty,
)
from driftfleet.github.client import GitHub
from driftfleet.github.connect import open_github
from driftfleet.github.lockout import Lockout
from driftfleet.github.pace import Pace
from driftfleet.github.repositories import head, organisation, repository, selects
from driftfleet.repository_rule import RepositoryRule
from driftfleet.settings import GitHubApp, GitHubSettings
from tests.scripted import Clock, everything_logged
from tests.standin import App, Fault, StandIn

FILES: dict[str, Any] = {"main.tf": 'resource "null_resource" "x" {}\n'}


def connect(ghe: StandIn, *, connections: int = 12, **options: Any) -> GitHub:
    """A client as the stand-in's user, whose waiting takes no time."""
    clock = Clock()
    settings = GitHubSettings(
        url=options.pop("url", ghe.url),
        token=options.pop("token", "env://GH"),
        app=options.pop("app", None),
        connections=connections,
    )
    environment = options.pop("environment", {"GH": ghe.token})
    options = {"patience_seconds": 900, "clock": clock, "sleep": clock.sleep, **options}
    return open_github(settings, environment, **options)


def content(github: GitHub, repo: str, sha: str) -> bytes:
    with github.archive(repo, sha) as chunks:
        return b"".join(chunks)


def test_a_repository_and_its_newest_commit(ghe: StandIn) -> None:
    ghe.add_repository("payments/infra", FILES, topics=("terraform",))
    with connect(ghe) as github:
        found = repository(github, "Payments/Infra")
        assert found.full_name == "payments/infra"
        assert found.topics == ("terraform",)
        sha = head(github, "payments/infra")
        assert sha == ghe.head("payments/infra")
        assert head(github, "payments/infra", known_sha=sha) is None
        ghe.commit("payments/infra", {"more.tf": ""})
        assert head(github, "payments/infra", found.default_branch, sha) == (
            ghe.head("payments/infra")
        )
        assert github.requests == 4
    assert [r.status for r in ghe.requests] == [200, 200, 304, 200]


def test_refs_that_are_not_there_and_repositories_that_are_empty(ghe: StandIn) -> None:
    ghe.add_repository("payments/infra", FILES)
    ghe.add_repository("payments/empty", {})
    with connect(ghe) as github:
        for repo, ref in (("payments/infra", "no/such"), ("payments/none", "")):
            with pytest.raises(GitHubNotFound):
                head(github, repo, ref)
        with pytest.raises(RepositoryEmpty):
            head(github, "payments/empty")


def test_a_renamed_repository_is_followed(ghe: StandIn) -> None:
    ghe.add_repository("payments/old", FILES)
    ghe.rename("payments/old", "payments/new")
    with connect(ghe) as github:
        assert repository(github, "payments/old").full_name == "payments/new"
        assert head(github, "payments/old") == ghe.head("payments/new")
        assert content(github, "payments/old", ghe.head("payments/new"))[:2] == b"\x1f\x8b"


def test_an_organisation_of_several_pages(ghe: StandIn) -> None:
    for number in range(203):
        ghe.add_repository(f"payments/r{number:03}", {}, fork=number % 2 == 1)
    rule = RepositoryRule(org="payments", include=("r*2",))
    with connect(ghe) as github:
        names = [one.full_name for one in organisation(github, "payments") if selects(rule, one)]
        assert github.requests == 3
    assert names == [f"payments/r{number:03}" for number in range(2, 203, 10)]


def test_an_archive_comes_over_two_requests_and_the_second_has_no_token(ghe: StandIn) -> None:
    ghe.add_repository("payments/infra", FILES)
    with connect(ghe) as github:
        assert content(github, "payments/infra", ghe.head("payments/infra"))[:2] == b"\x1f\x8b"
    first, second = ghe.requests
    assert first.token == ghe.token
    assert second.path.startswith("/_codeload/")
    assert second.token is None


def test_an_archive_of_another_host_is_not_fetched(ghe: StandIn, elsewhere: StandIn) -> None:
    ghe.add_repository("payments/infra", FILES)
    ghe.archives_on = elsewhere
    with connect(ghe) as github, pytest.raises(GitHubRefused, match=r"127\.0\.0\.2"):
        content(github, "payments/infra", ghe.head("payments/infra"))
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "fault", [Fault.drop(), Fault.cut(20), Fault.server_error(502), Fault.server_error(503, 1)]
)
def test_a_bad_moment_passes(ghe: StandIn, fault: Fault) -> None:
    ghe.add_repository("payments/infra", FILES)
    ghe.fault("/repos/payments/infra", fault, times=2)
    with connect(ghe) as github:
        assert repository(github, "payments/infra").full_name == "payments/infra"
        assert github.requests == 3


@pytest.mark.parametrize("fault", [Fault.drop(), Fault.server_error(500)])
def test_a_bad_moment_of_the_archive_passes(ghe: StandIn, fault: Fault) -> None:
    ghe.add_repository("payments/infra", FILES)
    ghe.fault("/_codeload", fault, times=2)
    with connect(ghe) as github:
        assert content(github, "payments/infra", ghe.head("payments/infra"))


def test_an_archive_that_is_cut_says_so(ghe: StandIn) -> None:
    ghe.add_repository("payments/infra", FILES)
    ghe.fault("/_codeload", Fault.cut(50))
    with connect(ghe) as github, pytest.raises(GitHubUnavailable, match="broke off"):
        content(github, "payments/infra", ghe.head("payments/infra"))


@pytest.mark.parametrize(
    "fault", [Fault.secondary_limit(), Fault.secondary_limit(5), Fault.secondary_limit(status=429)]
)
def test_limits_are_waited_for(ghe: StandIn, fault: Fault) -> None:
    ghe.add_repository("payments/infra", FILES)
    ghe.fault("/repos", fault)
    with connect(ghe) as github:
        assert head(github, "payments/infra") == ghe.head("payments/infra")
    ghe.fault("/repos", fault)
    with connect(ghe, patience_seconds=1) as github:
        with pytest.raises(GitHubUnavailable) as caught:
            head(github, "payments/infra")
        assert caught.value.retry_after_seconds in (5, 60)


def test_a_limit_is_told_once_however_late_a_thread_learns_of_it() -> None:
    clock = Clock()
    pace = Pace(1, "ghe", clock, clock.sleep, lambda: 0.0)
    with structlog.testing.capture_logs() as lines:
        pace.hold(3000)
        clock.sleep(5)
        pace.hold(3000)
        assert (len(lines), pace.held_seconds()) == (1, 3000)
        clock.sleep(3000)
        pace.hold(5)
    assert [line["event"] for line in lines] == ["github_rate_limit"] * 2


def test_a_login_page_is_refused(ghe: StandIn) -> None:
    ghe.fault("/", Fault.login_page(), times=None)
    with connect(ghe) as github:
        for ask in (
            lambda: repository(github, "o/r"),
            lambda: head(github, "o/r"),
            lambda: content(github, "o/r", "a" * 40),
        ):
            with pytest.raises(GitHubRefused, match="login page"):
                ask()


def test_bad_credentials_are_sent_once_by_all_threads_and_processes(
    ghe: StandIn, tmp_path: Path
) -> None:
    ghe.lock_out_after = 2
    for _ in range(3):
        lockout = Lockout(tmp_path)
        with (
            connect(ghe, environment={"GH": "wrong"}, connections=16, lockout=lockout) as github,
            pytest.raises(CredentialsRefused),
        ):
            list(github.many([partial(repository, github, "o/r")] * 50))
    assert ghe.refused_credentials == 1


def test_a_token_that_is_rotated_meanwhile_is_read_again(ghe: StandIn, tmp_path: Path) -> None:
    ghe.add_repository("payments/infra", FILES)
    secret = tmp_path / "token"
    secret.write_text(ghe.token)
    with connect(ghe, token=f"file://{secret}") as github:
        asking = partial(repository, github, "payments/infra")
        assert len(list(github.many([asking] * 20))) == 20
        ghe.rotate("ghp_rotated")
        secret.write_text("ghp_rotated\n")
        assert len(list(github.many([asking] * 40))) == 40


def test_an_app_asks_with_tokens_of_its_installation(ghe: StandIn) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    ghe.app = App(id=12, installation=34, public_key=public.decode())
    ghe.add_repository("payments/infra", FILES)
    app = GitHubApp(id=12, installation=34, private_key="env://KEY")
    with connect(ghe, token=None, app=app, environment={"KEY": private.decode()}) as github:
        assert head(github, "payments/infra") == ghe.head("payments/infra")
        ghe.installation_tokens.clear()
        assert head(github, "payments/infra") == ghe.head("payments/infra")
    assert [r.status for r in ghe.requests] == [201, 200, 401, 201, 200]


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that is logged at debug level, by whatever library."""
    with everything_logged("httpx", "httpcore", "driftfleet") as lines:
        yield lines


def test_no_log_has_the_token_or_an_archives_url(
    ghe: StandIn, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    ghe.add_repository("payments/infra", FILES)
    sha = ghe.head("payments/infra")
    with connect(ghe) as github:
        content(github, "payments/infra", sha)
        ghe.fault("/_codeload", Fault.cut(20))
        with pytest.raises(GitHubUnavailable) as caught:
            content(github, "payments/infra", sha)
    shown = "\n".join([*logged, *capfd.readouterr(), repr(caught.value)])
    urls = [r.target for r in ghe.requests if r.path.startswith("/_codeload")]
    assert len(urls) == 2
    assert ghe.token not in shown
    for url in urls:
        assert url.partition("token=")[2] not in shown


def test_this_would_have_told_the_archives_url(ghe: StandIn, logged: list[str]) -> None:
    """What the test above looks for is really there when nobody keeps it out."""
    ghe.add_repository("payments/infra", FILES)
    logger = logging.getLogger("httpcore")
    kept, logger.propagate = logger.propagate, True
    logger.setLevel(logging.DEBUG)
    try:
        with httpx.Client(trust_env=False) as plain:
            plain.get(
                f"{ghe.api_url}/repos/payments/infra/tarball/{ghe.head('payments/infra')}",
                headers={"Authorization": f"Bearer {ghe.token}"},
            )
    finally:
        logger.propagate = kept
        logger.setLevel(logging.WARNING)
    assert any("_codeload" in line for line in logged)


def test_netrc_is_not_read(ghe: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ghe.add_repository("payments/infra", FILES, private=False)
    ghe.private_mode = False
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password s3cr3t\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with connect(ghe, token=None) as github:
        repository(github, "payments/infra")
    assert all("authorization" not in request.headers for request in ghe.requests)


class Recorder(BaseHTTPRequestHandler):
    """Answers everything with an empty object, and remembers who connected and what was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[str]
    clients: set[Any]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.clients.add(self.client_address)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def recording(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, type[Recorder]]]:
    handler = type("Recording", (Recorder,), {"asked": [], "clients": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def plain(url: str, **options: Any) -> GitHub:
    settings = GitHubSettings(url=url, token="env://GH", **options)
    clock = Clock()
    return open_github(
        settings, {"GH": "ghp_x"}, patience_seconds=900, clock=clock, sleep=clock.sleep
    )


def test_connections_are_few_and_are_used_again() -> None:
    with recording() as (host, server), plain(f"http://{host}", connections=5) as github:
        for _ in range(3):
            answers = github.many([partial(github.get, "/meta")] * 200)
            assert all(answer.json() == {} for answer in answers)
        assert len(server.asked) == 600
        assert len(server.clients) <= 5


@pytest.fixture
def no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_a_proxy_of_the_environment_is_used_but_for_what_no_proxy_names(
    no_proxy_variables: pytest.MonkeyPatch,
) -> None:
    with recording() as (proxy, through), recording() as (host, direct):
        no_proxy_variables.setenv("HTTP_PROXY", f"http://{proxy}")
        no_proxy_variables.setenv("http_proxy", f"http://{proxy}")
        with plain(f"http://{host}") as github:
            github.get("/meta")
        assert through.asked == [f"http://{host}/api/v3/meta"]
        assert direct.asked == []
        no_proxy_variables.setenv("NO_PROXY", "127.0.0.1")
        no_proxy_variables.setenv("no_proxy", "127.0.0.1")
        with plain(f"http://{host}") as github:
            github.get("/meta")
        assert direct.asked == ["/api/v3/meta"]


@pytest.mark.parametrize("proxy", ["http://user:s3cr3t@127.0.0.1:1", "socks9://user:s3cr3t@x"])
def test_a_proxys_password_is_in_no_error(
    no_proxy_variables: pytest.MonkeyPatch, proxy: str
) -> None:
    no_proxy_variables.setenv("all_proxy", proxy)
    with plain("https://ghe.example.com") as github, pytest.raises(DriftfleetError) as caught:
        github.get("/meta")
    assert "s3cr3t" not in repr(caught.value)


def test_a_proxy_that_refuses_is_named_and_not_its_password(
    no_proxy_variables: pytest.MonkeyPatch,
) -> None:
    with recording() as (proxy, _):
        no_proxy_variables.setenv("https_proxy", f"http://user:s3cr3t@{proxy}")
        with plain("https://ghe.example.com") as github, pytest.raises(GitHubUnavailable) as caught:
            github.get("/meta")
    assert "the proxy refused (501)" in caught.value.message
    assert f"through the proxy {proxy} (HTTPS_PROXY)" in caught.value.message
    assert "s3cr3t" not in caught.value.message


def test_a_proxy_that_is_not_there_is_named(no_proxy_variables: pytest.MonkeyPatch) -> None:
    no_proxy_variables.setenv("all_proxy", "http://127.0.0.1:1")
    with plain("https://ghe.example.com") as github, pytest.raises(GitHubUnavailable) as caught:
        github.get("/meta")
    assert "through the proxy 127.0.0.1:1 (ALL_PROXY)" in caught.value.message


def test_https_to_a_port_that_speaks_http_is_said_to_be_that(
    no_proxy_variables: pytest.MonkeyPatch,
) -> None:
    no_proxy_variables.setenv("no_proxy", "*")
    refused = pytest.raises(GitHubUnavailable, match="no TLS is spoken at its port")
    with recording() as (host, _), plain(f"https://{host}") as github, refused:
        github.get("/meta")


def test_errors_name_the_host_of_an_api_that_is_elsewhere(
    no_proxy_variables: pytest.MonkeyPatch,
) -> None:
    no_proxy_variables.setenv("no_proxy", "*")
    api_url = "http://127.0.0.1:1/api/v3"
    with (
        plain("https://ghe.example.com", api_url=api_url) as github,
        pytest.raises(GitHubUnavailable, match=r"GET /meta at 127\.0\.0\.1:1: no connection"),
    ):
        github.get("/meta")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_refused_by_their_variable(
    no_proxy_variables: pytest.MonkeyPatch, variable: str
) -> None:
    no_proxy_variables.setenv("no_proxy", "*")
    no_proxy_variables.setenv(variable, "/nowhere/at-all")
    with (
        plain("https://127.0.0.1:1") as github,
        pytest.raises(ConfigurationError, match=f"{variable} names /nowhere/at-all"),
    ):
        github.get("/meta")


def test_a_file_without_certificates_is_refused(
    tmp_path: Path, no_proxy_variables: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    no_proxy_variables.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    with (
        plain("https://127.0.0.1:1") as github,
        pytest.raises(ConfigurationError, match="holds no certificates"),
    ):
        github.get("/meta")


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself vouches for, with its key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        built.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


def test_a_servers_own_authority_is_believed_where_ssl_cert_file_names_it(
    tmp_path: Path, no_proxy_variables: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    no_proxy_variables.delenv("SSL_CERT_FILE", raising=False)
    with recording(context) as (host, server):
        with (
            plain(f"https://{host}") as github,
            pytest.raises(GitHubUnavailable, match="SSL_CERT_FILE"),
        ):
            github.get("/meta")
        assert server.asked == []
        no_proxy_variables.setenv("SSL_CERT_FILE", str(path))
        with plain(f"https://{host}") as github:
            assert github.get("/meta").json() == {}
        assert json.dumps(server.asked) == '["/api/v3/meta"]'


def test_nobody_listens() -> None:
    with socket.socket() as deaf:
        # It keeps the port, so that nobody else is there.
        deaf.bind(("127.0.0.1", 0))
        with (
            plain(f"http://127.0.0.1:{deaf.getsockname()[1]}") as github,
            pytest.raises(GitHubUnavailable, match="Connection refused"),
        ):
            github.get("/meta")
