"""The environment in which git reaches private modules."""

import math
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from driftfleet.errors import ConfigurationError, CredentialsRefused
from driftfleet.github.host import Host, host_of
from driftfleet.module_source import parse
from driftfleet.settings import GitHubSettings
from worker.git_access import access_environment, is_ours, prefixes, why_impossible
from worker.module_token import TokenService

GHE = host_of(GitHubSettings(url="https://GHE.example.com"))
PORT = host_of(GitHubSettings(url="https://ghe.example.com:8443"))
DOTCOM = host_of(GitHubSettings(url="https://github.com"))


@pytest.mark.parametrize(
    ("host", "written"),
    [
        (GHE, "git@ghe.example.com:o/r.git"),
        (GHE, "git::ssh://git@GHE.EXAMPLE.COM:22/o/r"),
        (GHE, "git::https://me@ghe.example.com:443/o/r"),
        (GHE, "git::http://ghe.example.com/o/r"),
        (GHE, "git::git://ghe.example.com/o/r"),
        (PORT, "git@ghe.example.com:o/r.git"),
        (PORT, "git::https://ghe.example.com:8443/o/r"),
        (DOTCOM, "github.com/o/r"),
        (DOTCOM, "git::ssh://git@ssh.github.com:443/o/r"),
    ],
)
def test_a_source_on_the_host_is_ours(host, written):
    assert is_ours(host, parse(written))
    assert why_impossible(host, parse(written)) is None


@pytest.mark.parametrize(
    ("host", "written"),
    [
        (GHE, "git@ghe.example.com.evil.example:o/r.git"),
        (GHE, "git::https://ghe.example.com@evil.example/o/r"),
        (GHE, "git::https://ghe.example.com:8443/o/r"),
        (GHE, "git::http://ghe.example.com:443/o/r"),
        (GHE, "git::ssh://git@ghe.example.com:2222/o/r"),
        (GHE, "https://ghe.example.com/o/r/archive/v1.zip"),
        (GHE, "ghe.example.com/o/r/aws"),
        (GHE, "github.com/o/r"),
        (PORT, "git::https://ghe.example.com/o/r"),
    ],
)
def test_a_source_elsewhere_is_not(host, written):
    assert not is_ours(host, parse(written))


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("git@gitlab.example.com:o/r.git", "gitlab.example.com over ssh"),
        ("git::ssh://git@ghe.example.com:2222/o/r", "ghe.example.com:2222 over ssh"),
        ("ssh://git@ghe.example.com/o/r.git", "git::ssh://"),
        ("https://ghe.example.com/o/r.git?ref=v1", "git::https://"),
    ],
)
def test_what_cant_work_is_said_with_the_remedy(written, word):
    assert word in (why_impossible(GHE, parse(written)) or "")


@pytest.mark.parametrize(
    "written",
    [
        "https://ghe.example.com/o/r/archive/v1.tar.gz",
        "https://elsewhere.example/o/r.git",
        "hashicorp/consul/aws",
        "git::https://elsewhere.example/o/r",
        "s3::https://s3.amazonaws.com/b/k.zip",
        "nonsense",
    ],
)
def test_what_may_work_is_left_to_terraform(written):
    assert why_impossible(GHE, parse(written)) is None


def lines(environment: dict[str, str]) -> list[tuple[str, str]]:
    count = int(environment["GIT_CONFIG_COUNT"])
    return [
        (environment[f"GIT_CONFIG_KEY_{n}"], environment[f"GIT_CONFIG_VALUE_{n}"])
        for n in range(count)
    ]


def rewritten(environment: dict[str, str], url: str) -> str:
    """What git makes of a URL."""
    git = ["git", "ls-remote", "--get-url", url]
    outside = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", "GIT_DIR": "/nonexistent"}
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        git, env={**path, **environment, **outside}, capture_output=True, check=True, cwd="/"
    )
    return done.stdout.decode().strip()


@pytest.mark.parametrize("host", [GHE, PORT, DOTCOM], ids=lambda h: h.name)
def test_git_rewrites_every_usual_spelling_to_the_hosts_own(host: Host):
    environment = access_environment({}, host, [], helper=None)
    for prefix in prefixes(host):
        assert rewritten(environment, f"{prefix}o/r.git") == f"{host.web_url}/o/r.git"
    assert rewritten(environment, f"{host.web_url}/o/r") == f"{host.web_url}/o/r"


def test_git_rewrites_the_users_ports_and_letters_that_people_write():
    written = (
        "git::https://some.one@ghe.example.com/o/r",
        "git::ssh://org-12@GHE.example.com:22/o/r",
        "git::git+ssh://git@Ghe.Example.Com/o/r",
        "git::http://x@ghe.example.com:80/o/r",
    )
    sources = [parse(w) for w in written]
    environment = access_environment({}, GHE, sources, helper=None)
    for source in sources:
        assert rewritten(environment, source.clone_url) == "https://ghe.example.com/o/r"


@pytest.mark.parametrize(
    "url",
    [
        "https://me:word@ghe.example.com/o/r",
        "https://ghe.example.com.evil.example/o/r",
        "ssh://git@ghe.example.com.evil.example/o/r",
        "git@ghe.example.company:o/r",
        "https://github.com/o/r",
    ],
)
def test_git_leaves_other_urls_alone(url):
    sources = [parse(f"git::{url}")]
    assert rewritten(access_environment({}, GHE, sources, helper=None), url) == url


def test_a_mirror_wins_over_the_host_for_its_repository_only():
    mirrors = {
        "https://ghe.example.com/o/r.git": Path("/m/x"),
        "git@ghe.example.com:o/r.git": Path("/m/x"),
    }
    environment = access_environment({}, GHE, [], helper=None, mirrors=mirrors)
    assert rewritten(environment, "https://ghe.example.com/o/r.git") == "file:///m/x"
    assert rewritten(environment, "git@ghe.example.com:o/r.git") == "file:///m/x"
    assert (
        rewritten(environment, "git@ghe.example.com:o/s.git") == "https://ghe.example.com/o/s.git"
    )


def test_what_prints_or_asks_is_dropped_and_other_configuration_kept():
    base = {
        "PATH": "/bin",
        "GIT_TRACE_CURL": "/x",
        "GIT_CURL_VERBOSE": "1",
        "GIT_SSH_COMMAND": "ssh",
        "SSH_ASKPASS": "/x",
        "GIT_SSL_CAINFO": "/ca",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.proxy",
        "GIT_CONFIG_VALUE_0": "http://proxy",
    }
    environment = access_environment(base, GHE, [], helper=Path("/t/g"))
    assert lines(environment)[0] == ("http.proxy", "http://proxy")
    assert environment["GIT_SSL_CAINFO"] == "/ca"
    assert not {"GIT_TRACE_CURL", "GIT_CURL_VERBOSE", "SSH_ASKPASS"} & environment.keys()
    assert environment["GIT_ASKPASS"] == ""
    assert environment["GIT_TERMINAL_PROMPT"] == "0"


def test_the_hosts_helpers_are_forgotten_before_ours_is_named():
    helpers = [
        (key, value)
        for key, value in lines(access_environment({}, GHE, [], helper=Path("/a b/g's")))
        if key.endswith(".helper")
    ]
    assert [key for key, _ in helpers] == ["credential.https://ghe.example.com.helper"] * 2
    assert helpers[0][1] == ""
    assert helpers[1][1].startswith("!")
    assert shlex.split(helpers[1][1][1:])[-1] == "/a b/g's"


def test_without_a_token_the_systems_helpers_stay():
    environment = access_environment({}, GHE, [], helper=None)
    assert not [key for key, _ in lines(environment) if key.startswith("credential.")]


def test_ssh_fails_at_once_and_names_its_host():
    command = access_environment({}, GHE, [], helper=None)["GIT_SSH_COMMAND"]
    ssh = [
        "-o",
        "SendEnv=GIT_PROTOCOL",
        "-p",
        "22",
        "git@gitlab.example.com",
        "git-upload-pack 'x'",
    ]
    done = subprocess.run([*shlex.split(command), *ssh], capture_output=True, check=False)
    assert done.returncode == 255
    assert b"ssh to gitlab.example.com is not available" in done.stderr
    assert b"ghe.example.com" in done.stderr


# --- the token's service ----------------------------------------------------------------------


class Source:
    """Tokens one after the other, each once refused."""

    def __init__(self, *tokens: str) -> None:
        self.left = [SecretStr(token) for token in tokens]
        self.taken: list[SecretStr | None] = []

    def token(self) -> SecretStr | None:
        return self.left[0]

    def accepted(self, token: SecretStr | None) -> None:
        self.taken.append(token)

    def refused(self, token: SecretStr | None, reason: str, deadline: float) -> None:
        self.left.pop(0)
        if not self.left:
            raise CredentialsRefused(reason)


ASKED = "protocol=https\nhost=ghe.example.com\npath=o/r.git\n"


def ask(path: Path, action: str, fields: str = ASKED) -> str:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(path))
        channel.sendall(f"{action}\n{fields}".encode())
        channel.shutdown(socket.SHUT_WR)
        return channel.makefile("rb").read().decode()


@pytest.fixture
def source() -> Source:
    return Source("one", "two")


@pytest.fixture
def service(source: Source, tmp_path: Path):
    service = TokenService(GHE, source, source.left[0], math.inf)
    with service.serve(tmp_path / "g") as path:
        yield service, path


def test_the_host_gets_the_token(service):
    assert ask(service[1], "get") == "username=x-access-token\npassword=one\n"
    assert ask(service[1], "get", f"{ASKED}username=me\npath=o/r.git\n").endswith("password=one\n")


@pytest.mark.parametrize(
    "fields",
    [
        "protocol=http\nhost=ghe.example.com\n",
        "protocol=https\nhost=ghe.example.com:8443\n",
        "protocol=https\nhost=ghe.example.com.evil.example\n",
        "protocol=https\nhost=xghe.example.com\n",
        "host=ghe.example.com\n",
        "protocol=https\n",
        "",
        f"{ASKED}host=evil.example\n",
        *(
            f"{ASKED}path={path}\n"
            for path in (
                "",
                "o",
                "api/v3",
                "api/v3/app?x=",
                "o/r.git/x",
                "../o",
                "o/..",
                "o/../r",
                "./r",
                "setup/api/x",
                "o/r?x",
                "o/r%2f..",
                "o//r",
            )
        ),
    ],
)
def test_anything_else_gets_nothing(service, fields):
    assert ask(service[1], "get", fields) == ""


@pytest.mark.parametrize("path", ["o/r", "o/r.git", "o/r.git/", "/o/r.git", "o/r.git/info/lfs"])
def test_a_repository_gets_it_however_it_is_named(service, path):
    assert "password=one" in ask(service[1], "get", f"{ASKED}path={path}\n")


def test_a_token_that_its_source_vouches_for_is_offered_on_and_asked_about_once(tmp_path):
    class Vouching(Source):
        asked = 0

        def refused(self, token: SecretStr | None, reason: str, deadline: float) -> None:
            self.asked += 1

    source = Vouching("one")
    service = TokenService(GHE, source, SecretStr("one"), math.inf)
    with service.serve(tmp_path / "g") as path:
        for _ in range(3):
            ask(path, "erase", f"{ASKED}username=x-access-token\npassword=one\n")
            assert "password=one" in ask(path, "get")
    assert (source.asked, service.failure, service.take_renewal()) == (1, None, False)


@given(action=st.text(max_size=10), fields=st.text(max_size=200))
def test_garbage_gets_nothing(action, fields):
    answer = TokenService(GHE, Source("one"), SecretStr("one"), math.inf)._answer
    if action != "get" or ASKED.strip() not in fields:
        assert answer(f"{action}\n{fields}".encode("utf-8", "surrogatepass")) == b""


def test_a_refused_token_is_replaced_and_the_last_one_not_offered_again(service):
    answers, path = service
    assert ask(path, "erase", f"{ASKED}password=one\n") == ""
    assert ask(path, "get").endswith("password=two\n")
    assert answers.take_renewal()
    assert not answers.take_renewal()
    ask(path, "erase", f"{ASKED}password=two\n")
    assert ask(path, "get") == ""
    assert isinstance(answers.failure, CredentialsRefused)


def test_a_refusal_of_what_is_not_our_token_changes_nothing(service, source):
    answers, path = service
    ask(path, "erase", f"{ASKED}password=somebodys\n")
    ask(path, "erase", f"{ASKED}")
    assert ask(path, "get").endswith("password=one\n")
    assert answers.failure is None
    assert len(source.left) == 2


def test_an_accepted_token_is_noted_and_nothing_is_stored(service, source):
    ask(service[1], "store", f"{ASKED}password=one\n")
    ask(service[1], "store", f"{ASKED}password=somebodys\n")
    assert [token.get_secret_value() for token in source.taken if token] == ["one"]


def test_the_socket_is_for_our_eyes_and_goes_with_the_block(source, tmp_path):
    path = tmp_path / "g"
    with TokenService(GHE, source, source.left[0], math.inf).serve(path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_a_bug_of_ours_keeps_no_git_waiting(tmp_path: Path) -> None:
    class Broken(Source):
        def refused(self, token: SecretStr | None, reason: str, deadline: float) -> None:
            raise TypeError("a bug")

    service = TokenService(GHE, Broken("one"), SecretStr("one"), math.inf)
    with service.serve(tmp_path / "g") as path:
        for _ in range(2):
            assert ask(path, "erase", f"{ASKED}password=one\n") == ""


def test_a_silent_client_does_not_keep_the_block_from_ending(source, tmp_path):
    with TokenService(GHE, source, source.left[0], math.inf).serve(tmp_path / "g") as path:
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(str(path))
    silent.close()


def test_a_path_that_is_too_long_for_a_socket_is_explained(source, tmp_path):
    service = TokenService(GHE, source, source.left[0], math.inf)
    with (
        pytest.raises(ConfigurationError, match=r"worker\.writable_root"),
        service.serve(tmp_path / ("x" * 120)),
    ):
        pass
