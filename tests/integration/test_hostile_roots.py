"""Roots that want the token: what `init` runs for them gets none."""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from driftfleet.errors import GitHubUnavailable
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.results import Result, Verdict
from driftfleet.settings import PLAN_ENVIRONMENT, GitHubSettings, Settings, WorkerSettings
from tests.conftest import require_program
from tests.standin import Executable, Fault, Link, StandIn
from tests.workers import short_folder
from worker.check import check
from worker.github_connection import connection_of
from worker.github_source import GitHubSource
from worker.toolbox import build_tools
from worker.workspace import Workspace

NO_CHANGE = 'locals {\n  nothing = "to do"\n}\n'
# As git has it from a host that wants another credential.
REFUSED = Fault.json({"message": "no"}, 401, **{"WWW-Authenticate": 'Basic realm="GitHub"'})
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


@dataclass
class Judge:
    """Checks a root of files, which are pushed for it; ``environment`` is the worker's."""

    ghe: StandIn
    settings: Settings
    environment: dict[str, str]

    def __call__(
        self, files: Mapping[str, Any], variant: Variant | None = None, timeout_seconds: int = 60
    ) -> Result:
        connection = connection_of(self.settings, {"THE_TOKEN": self.ghe.token})
        assert connection is not None
        tools = build_tools(self.settings, self.environment, connection)
        repo = f"payments/infra-{secrets.token_hex(4)}"
        job = Job(
            sweep_id=secrets.token_hex(4),
            source=Source(kind="github", repo=repo, sha=self.ghe.add_repository(repo, files)),
            root="root",
            variant=variant or Variant(),
            limits=Limits(timeout_seconds=timeout_seconds),
        )
        try:
            return check(job, tools, lambda phase: None)
        finally:
            tools.programs.close()
            connection.close()


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder("h") as folder:
        yield folder


@pytest.fixture
def judge(ghe: StandIn, place: Path) -> Judge:
    """``place`` holds what comes of a check, and nothing else of the machine's."""
    require_program("terraform", "install Terraform 1.11")
    require_program("git", "install git")
    ghe.rotate(f"ghp_{secrets.token_hex(18)}")
    ghe.add_repository("payments/modules", {"main.tf": NO_CHANGE})
    settings = Settings(
        github=GitHubSettings(url=ghe.url, token="env://THE_TOKEN", worker_patience_seconds=1),
        worker=WorkerSettings(
            writable_root=place / "w",
            stop_grace_seconds=1,
            environment=(*PLAN_ENVIRONMENT, "GIT_CONFIG_SYSTEM"),
        ),
    )
    return Judge(ghe, settings, {"PATH": os.environ["PATH"]})


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


def test_a_token_that_git_is_refused_with_time_and_again_is_not_offered_for_ever(
    ghe: StandIn, judge: Judge
) -> None:
    """An account may be locked for it, whatever the API says of the token."""
    ghe.fault(r"/payments/x\d+\.git", REFUSED, times=None)
    ghe.clear()
    calls = [module(ghe, f"payments/x{n}.git").replace('"m"', f'"m{n}"') for n in range(40)]
    error = judge({"root/main.tf": "".join(calls)}).error
    assert error is not None
    assert error.kind.value == "module_fetch"
    offered = [r for r in ghe.requests if "/payments/x" in r.path and "authorization" in r.headers]
    assert 1 < len(offered) < 20
    ghe.heal()
    assert judge({"root/main.tf": module(ghe)}).verdict is Verdict.CLEAN


def test_asking_about_a_401_takes_no_longer_than_the_check_may(ghe: StandIn, judge: Judge) -> None:
    ghe.fault(r"payments/modules\.git", REFUSED, times=None)
    ghe.fault(r"/rate_limit", Fault.delay(100), times=None)
    begun = time.monotonic()
    error = judge({"root/main.tf": module(ghe)}, timeout_seconds=5).error
    assert error is not None
    assert time.monotonic() - begun < 40
    ghe.heal()


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


def test_links_of_modules_write_nothing_beside_the_repository(
    ghe: StandIn, judge: Judge, place: Path
) -> None:
    """A file in the check's HOME would be git's configuration, which names programs."""
    loot = place / "loot"
    mod = 'module "{}" {{\n  source = "{}"\n}}\n'.format
    files = {
        "root/main.tf": mod("a", "../a")
        + mod("b", "../a/b")
        + mod("c", "../S-1/b/c")
        + module(ghe)
        + 'locals {\n  x = file("${path.module}/../S/c/.gitconfig")\n'
        '  y = file("${path.module}/../S/c/k/post-checkout")\n}\n',
        "a": Link("S-1"),
        "S-1/main.tf": NO_CHANGE,
        "S-1/b": Link("../S"),
        "S/main.tf": NO_CHANGE,
        "S/c": Link("../h"),
        "h/main.tf": NO_CHANGE,
        "h/.gitconfig": "[core]\n\thooksPath = ~/k\n",
        "h/k/post-checkout": Executable("#!/usr/bin/env python3\n" + thief(ghe, loot)),
    }
    result = judge(files)
    assert not loot.exists(), loot.read_text()
    assert result.verdict is Verdict.CLEAN, result.error


@pytest.mark.parametrize("name", [".gitconfig", ".config/git/config"])
def test_git_reads_no_configuration_of_the_checks_home(
    ghe: StandIn, judge: Judge, place: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nothing should lie there; where something does, it isn't ours."""
    loot = place / "loot"
    hook = place / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text("#!/usr/bin/env python3\n" + thief(ghe, loot))
    hook.chmod(0o755)
    fetch = GitHubSource.fetch

    def fetch_and_leave(self: GitHubSource, job: Job, workspace: Workspace, end: float) -> Any:
        config = workspace.home / name
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(f"[core]\n\thooksPath = {hook.parent}\n")
        return fetch(self, job, workspace, end)

    monkeypatch.setattr(GitHubSource, "fetch", fetch_and_leave)
    result = judge({"root/main.tf": module(ghe, "payments/modules.git?ref=main")})
    assert result.verdict is Verdict.CLEAN, result.error
    assert not loot.exists()


def test_hooks_that_the_machines_configuration_names_are_not_run(
    ghe: StandIn, judge: Judge, place: Path
) -> None:
    """With a relative ``core.hooksPath`` they would be the module repository's own."""
    loot = place / "loot"
    hook = Executable("#!/usr/bin/env python3\n" + thief(ghe, loot))
    ghe.add_repository("payments/hooked", {"main.tf": NO_CHANGE, ".hooks/post-checkout": hook})
    system = place / "gitconfig"
    system.write_text("[core]\n\thooksPath = .hooks\n")
    judge.environment |= {"GIT_CONFIG_SYSTEM": str(system)}
    result = judge({"root/main.tf": module(ghe, "payments/hooked.git?ref=main")})
    assert result.verdict is Verdict.CLEAN, result.error
    assert not loot.exists()


def test_mercurial_is_not_run_where_a_server_names_it(
    ghe: StandIn, judge: Judge, place: Path
) -> None:
    """A page may send terraform on to any kind of source, after all that is read was read."""
    loot = place / "loot"
    hg = place / "bin" / "hg"
    hg.parent.mkdir()
    hg.write_text("#!/usr/bin/env python3\n" + thief(ghe, loot))
    hg.chmod(0o755)
    judge.environment |= {"PATH": f"{hg.parent}:{os.environ['PATH']}"}
    with sending_on_to("hg::http://127.0.0.1:9/x") as url:
        error = judge(
            {
                "root/main.tf": module(ghe) + f'module "h" {{\n  source = "{url}/m"\n}}\n',
                "root/files.tf": 'locals {\n  h = fileexists("${path.module}/.hg/hgrc")\n}\n',
                "root/.hg/hgrc": "[extensions]\nx = ./pay.py\n",
            }
        ).error
    assert error is not None
    assert error.kind.value == "module_fetch"
    assert not loot.exists()


def test_a_profile_runs_no_program_while_modules_are_fetched(
    ghe: StandIn, judge: Judge, place: Path
) -> None:
    """The worker's own profile may name a program that looks around in the folder it runs in."""
    loot = place / "loot"
    config = place / "aws"
    config.write_text("[profile ops]\nregion = eu-west-1\ncredential_process = python3 -m helper\n")
    judge.environment |= {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "ops"}
    with sending_on_to("/") as url:
        source = f"s3::{url}/bucket/x.zip?aws_profile=ops"
        error = judge(
            {
                "root/main.tf": module(ghe) + f'module "s" {{\n  source = "{source}"\n}}\n',
                "root/helper.py": thief(ghe, loot),
            }
        ).error
    assert error is not None
    assert error.kind.value == "module_fetch"
    assert not loot.exists()


@contextlib.contextmanager
def sending_on_to(source: str) -> Iterator[str]:
    """A server that tells terraform of another source, whatever it is asked for."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-Terraform-Get", source)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
