"""Roots that want the token: what `init` runs for them gets none."""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from driftfleet.errors import GitHubUnavailable
from driftfleet.jobs import Job, Source, Variant
from driftfleet.results import Result, Verdict
from driftfleet.settings import GitHubSettings, Settings, WorkerSettings
from tests.conftest import require_program
from tests.standin import Fault, StandIn
from tests.workers import short_folder
from worker.app import build_tools
from worker.check import check
from worker.github_connection import connection_of

NO_CHANGE = 'locals {\n  nothing = "to do"\n}\n'
# Asks the worker for the token as git's helper does, and writes down what it gets.
THIEF = """
import os, socket
channel = socket.socket(socket.AF_UNIX)
got = b"nothing"
try:
    channel.connect(os.environ["TMPDIR"] + "/g")
    channel.sendall(b"get\\nprotocol=http\\nhost=HOST\\npath=payments/modules.git\\n\\n")
    channel.shutdown(socket.SHUT_WR)
    got = channel.recv(4096) or got
except OSError:
    pass
open("LOOT", "ab").write(got + b"\\n")
"""
Judge = Callable[..., Result]


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder("h") as folder:
        yield folder


@pytest.fixture
def judge(ghe: StandIn, place: Path) -> Iterator[Judge]:
    """Checks a root of files that are pushed for it; ``place`` holds what comes of it."""
    require_program("terraform", "install Terraform 1.11")
    require_program("git", "install git")
    ghe.rotate(f"ghp_{secrets.token_hex(18)}")
    ghe.add_repository("payments/modules", {"main.tf": NO_CHANGE})
    settings = Settings(
        github=GitHubSettings(url=ghe.url, token="env://THE_TOKEN", worker_patience_seconds=1),
        worker=WorkerSettings(writable_root=place / "w", stop_grace_seconds=1),
    )
    connection = connection_of(settings, {"THE_TOKEN": ghe.token})
    tools = build_tools(settings, {"PATH": os.environ["PATH"]}, connection)

    def judged(files: Mapping[str, Any], variant: Variant | None = None) -> Result:
        repo = f"payments/infra-{secrets.token_hex(4)}"
        source = Source(kind="github", repo=repo, sha=ghe.add_repository(repo, files))
        job = Job(
            sweep_id=secrets.token_hex(4),
            source=source,
            root="root",
            variant=variant or Variant(),
        )
        return check(job, tools, lambda phase: None)

    yield judged
    tools.programs.close()
    if connection is not None:
        connection.close()


def module(ghe: StandIn, path: str = "payments/modules.git") -> str:
    place = urlsplit(ghe.url).netloc
    return f'module "m" {{\n  source = "git::http://{place}/{path}"\n}}\n'


def thief(ghe: StandIn, loot: Path) -> str:
    place = urlsplit(ghe.url).netloc
    return THIEF.replace("HOST", place).replace("LOOT", str(loot))


@pytest.mark.parametrize("where", ["root", "."])
def test_a_root_that_is_a_bare_repository_tells_git_nothing(
    ghe: StandIn, judge: Judge, place: Path, where: str
) -> None:
    """go-getter runs `git ls-remote` in the root, and git would obey a config that lies there."""
    loot = place / "loot"
    command = f"python3 {'payload.py' if where == 'root' else '../payload.py'}; git-upload-pack"
    prefix = "" if where == "." else f"{where}/"
    files = {
        "root/main.tf": module(ghe),
        f"{prefix}HEAD": "ref: refs/heads/main\n",
        f"{prefix}objects/x": "",
        f"{prefix}refs/x": "",
        f"{prefix}payload.py": thief(ghe, loot),
        f"{prefix}config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
        f'[remote "{ghe.url}/payments/modules.git"]\n\turl = file:///tmp\n'
        f'\tuploadpack = "{command}"\n',
        # So that all of it reaches the workspace.
        "root/files.tf": 'locals {\n  f = fileset("${path.module}/..", "{HEAD,config,*.py}")\n'
        '  g = [fileset("${path.module}/../objects", "*"), '
        'fileset("${path.module}/../refs", "*")]\n'
        '  h = fileexists("${path.module}/../config") ? file("${path.module}/../config") : ""\n'
        '  i = fileexists("${path.module}/../HEAD") ? file("${path.module}/../HEAD") : ""\n}\n',
    }
    result = judge(files)
    assert not loot.exists(), loot.read_text()
    assert result.verdict is Verdict.CLEAN, result.error


def test_a_program_that_the_backend_names_gets_no_token(
    ghe: StandIn, judge: Judge, place: Path
) -> None:
    """`init` runs a `credential_process`: modules are there by then, and no token is served."""
    loot = place / "loot"
    files = {
        "root/main.tf": module(ghe) + 'terraform {\n  backend "s3" {\n    bucket = "b"\n'
        '    key = "k"\n    region = "eu-west-1"\n    profile = "evil"\n'
        '    shared_config_files = ["aws.ini"]\n  }\n}\n',
        "root/aws.ini": "[profile evil]\ncredential_process = python3 payload.py\n",
        "root/payload.py": thief(ghe, loot),
    }
    result = judge(files)
    assert result.verdict is Verdict.ERROR
    assert [r for r in ghe.requests if "payments/modules.git" in r.path and r.status == 200]
    assert loot.read_text() == "nothing\n", "the program ran, and got nothing"


def test_a_proxy_that_a_job_names_is_not_asked_for_modules(ghe: StandIn, judge: Judge) -> None:
    """A job comes from Redis: it may say how a plan reaches its cloud, not where our token goes."""
    proxy = Variant(env={"http_proxy": "http://127.0.0.1:9"})
    assert judge({"root/main.tf": module(ghe)}, proxy).verdict is Verdict.CLEAN


def test_a_job_sets_nothing_that_git_reads(ghe: StandIn, judge: Judge) -> None:
    error = judge({"root/main.tf": module(ghe)}, Variant(env={"GIT_SSL_CAINFO": "ca.pem"})).error
    assert error is not None
    assert (error.kind.value, "GIT_SSL_CAINFO" in error.message) == ("job_refused", True)


def test_a_module_that_comes_empty_is_no_module(ghe: StandIn, judge: Judge) -> None:
    """Terraform would take it for one in which there is nothing to do."""
    ghe.add_repository("payments/hollow", {"README.md": "x"})
    error = judge({"root/main.tf": module(ghe, "payments/hollow.git")}).error
    assert error is not None
    assert (error.kind.value, "module.m" in error.message) == ("module_fetch", True)


def test_trouble_of_the_host_is_no_answer_when_git_meets_it(ghe: StandIn, judge: Judge) -> None:
    ghe.fault(r"payments/modules\.git", Fault.server_error(502), times=None)
    with pytest.raises(GitHubUnavailable, match="502"):
        judge({"root/main.tf": module(ghe)})
    ghe.heal()
    assert judge({"root/main.tf": module(ghe)}).verdict is Verdict.CLEAN


def test_a_401_that_is_not_githubs_word_on_the_token_locks_nobody_out(
    ghe: StandIn, judge: Judge
) -> None:
    """The API answers 401 to what is no user's token; git then says that the token was refused."""
    ghe.fault(r"/setup/api/app", Fault.bad_credentials(), times=None)
    ghe.clear()
    hostile = judge({"root/main.tf": module(ghe, "setup/api/app?x=")})
    assert hostile.error is not None
    assert hostile.error.kind.value == "module_fetch"
    assert not [r for r in ghe.requests if "/setup/" in r.path and "authorization" in r.headers]
    ghe.heal()
    assert judge({"root/main.tf": module(ghe)}).verdict is Verdict.CLEAN


def test_a_401_for_a_repository_is_asked_about_before_it_is_believed(
    ghe: StandIn, judge: Judge
) -> None:
    ghe.fault(r"payments/modules\.git", Fault.bad_credentials(), times=None)
    hostile = judge({"root/main.tf": module(ghe)})
    assert hostile.error is not None
    assert hostile.error.kind.value == "module_fetch"
    ghe.heal()
    assert judge({"root/main.tf": module(ghe)}).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("path", "words"),
    [("payments/../payments/modules.git", "'..'"), ("payments/%2e%2e/modules.git", "'..'")],
)
def test_a_source_that_climbs_is_refused(ghe: StandIn, judge: Judge, path: str, words: str) -> None:
    error = judge({"root/main.tf": module(ghe, path)}).error
    assert error is not None
    assert (error.kind.value, words in error.message) == ("module_fetch", True)


def test_mercurial_is_refused(ghe: StandIn, judge: Judge) -> None:
    """It would read the root's own `.hg/hgrc`, which may name programs."""
    files = {"root/main.tf": module(ghe) + 'module "h" {\n  source = "hg::http://h.example/r"\n}\n'}
    error = judge(files).error
    assert error is not None
    assert (error.kind.value, "Mercurial" in error.message) == ("module_fetch", True)
