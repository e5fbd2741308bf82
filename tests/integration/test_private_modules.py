"""Modules on the configured host, by the real terraform and git: no key, no token left anywhere."""

import contextlib
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr

from driftfleet.closure import closure_of
from driftfleet.errors import CheckFailed, ConfigurationError, CredentialsRefused
from driftfleet.github.admission import Admission
from driftfleet.github.auth import Anonymous, Credentials, TokenCredentials
from driftfleet.github.host import host_of
from driftfleet.github.lockout import Lockout
from driftfleet.jobs import Job, Source
from driftfleet.module_folders import FolderModules
from driftfleet.settings import GitHubSettings
from tests.conftest import require_program
from tests.standin import Fault, StandIn, Submodule
from tests.workers import short_folder, wait_until
from worker.diagnostics import parse_text
from worker.failures import explain
from worker.module_access import ModuleAccess
from worker.module_repositories import ModuleRepositories
from worker.process import Command, Programs
from worker.workspace import Workspace, Workspaces

TOKEN = "ghp_standin0000000000000000000000000001"
MODULE = 'output "name" {\n  value = "module"\n}\n'


class Kept:
    """A secret that is kept in memory; ``renew`` reads what has been put there since."""

    def __init__(self, value: str) -> None:
        self.value = value
        self._read = value

    def read(self) -> SecretStr:
        return SecretStr(self._read)

    def renew(self) -> SecretStr:
        self._read = self.value
        return SecretStr(self._read)


@dataclass
class Bench:
    """Runs `init` on roots that tests write, as a check does."""

    folder: Path
    access: ModuleAccess
    programs: Programs
    secret: Kept | None = None
    timeout_seconds: float = 120
    variables: dict[str, str] = field(default_factory=dict)
    watch: Callable[[], None] = lambda: None
    # What the last init wrote, before its workspace is removed.
    inspect: Callable[[Workspace], None] = lambda workspace: None
    inits: int = 0

    def init(
        self, *sources: str, sweep: str = "sweep", files: Mapping[str, str] | None = None
    ) -> str:
        """Initialise a root with these module sources; returns what terraform printed."""
        blocks = (f'module "m{i}" {{\n  source = "{s}"\n}}\n' for i, s in enumerate(sources))
        written = {"root/main.tf": "".join(blocks), **(files or {})}
        job = Job(
            sweep_id=sweep, source=Source(kind="github", repo="o/r", sha="0" * 40), root="root"
        )
        with Workspaces(self.folder / "w").use(1 << 30) as workspace:
            for path, text in written.items():
                target = workspace.source / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            closure = closure_of("root", FolderModules(workspace.source).facts)
            deadline = time.monotonic() + self.timeout_seconds
            workspace.cli_config.write_text("")
            printed: list[str] = []
            try:
                self.access.fetch(
                    job,
                    closure.remote,
                    workspace,
                    environment=self._environment(workspace),
                    deadline=deadline,
                    get=lambda environment, _: printed.append(
                        self._run(workspace, environment, deadline)
                    ),
                )
                return "".join(printed)
            finally:
                self.inspect(workspace)

    def forbid_mirrors(self) -> None:
        """A file where the mirrors' folder should be: none can be made."""
        (self.folder / "c").mkdir(exist_ok=True)
        (self.folder / "c" / "modules").write_text("")

    def _environment(self, workspace: Workspace) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(workspace.home),
            "TMPDIR": str(workspace.temporary),
            "TF_DATA_DIR": str(workspace.path / "d"),
            "TF_CLI_CONFIG_FILE": str(workspace.cli_config),
            "CHECKPOINT_DISABLE": "1",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            **self.variables,
        }

    def _run(self, workspace: Workspace, environment: Mapping[str, str], deadline: float) -> str:
        self.inits += 1
        command = Command(
            arguments=[shutil.which("terraform") or "", "get", "-no-color"],
            environment=environment,
            folder=workspace.source / "root",
            deadline=deadline,
            output_bytes=1 << 24,
            file_bytes=1 << 30,
            watch=self.watch,
        )
        done = self.programs.run(command)
        text = (done.stdout + done.stderr).decode()
        if done.exit_code != 0:
            raise explain("init", parse_text(done.stderr), text, done.exit_code)
        return text


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: a unix socket lies below it."""
    with short_folder("mod") as folder:
        yield folder


@pytest.fixture
def bench(ghe: StandIn, short: Path) -> Iterator[Bench]:
    require_program("terraform", "install Terraform 1.11")
    require_program("git", "install git")
    with _bench(ghe, short) as bench:
        yield bench


class Believing(Admission):
    """Takes git's word for a 401, so that what follows from it is seen."""

    def refused(self, token: SecretStr | None, reason: str, deadline: float = math.inf) -> None:
        super().refused(token, reason)


@contextlib.contextmanager
def _bench(
    ghe: StandIn,
    folder: Path,
    *,
    limit_bytes: int = 1 << 30,
    anonymous: bool = False,
    now: Callable[[], float] = time.time,
) -> Iterator[Bench]:
    host = host_of(GitHubSettings(url=ghe.url))
    secret = Kept(ghe.token)
    credentials: Credentials = Anonymous() if anonymous else TokenCredentials(secret)
    admission = Believing(credentials, Lockout(folder / "l"), host.name, time.monotonic)
    programs = Programs(stop_grace_seconds=1)
    repositories = ModuleRepositories(folder / "c" / "modules", host, limit_bytes, now)
    try:
        yield Bench(folder, ModuleAccess(host, admission, repositories, programs), programs, secret)
    finally:
        programs.close()


def module_requests(server: StandIn) -> list[str]:
    """What git asked for, tries without credentials left out."""
    return [f"{r.method} {r.target}" for r in server.requests if r.status != 401]


@pytest.fixture
def network(ghe: StandIn) -> str:
    """A module repository with a tag, a branch, and a module in a folder of its own."""
    ghe.add_repository(
        "Payments/Network", {"main.tf": MODULE, "modules/vpc/main.tf": MODULE, "README.md": "x"}
    )
    ghe.tag("Payments/Network", "v1.0")
    ghe.branch("Payments/Network", "release/2")
    ghe.commit("Payments/Network", {"main.tf": f"{MODULE}# newer\n"})
    return "Payments/Network"


SPELLINGS = (
    "git::ssh://git@HOST/Payments/Network.git",
    "git::ssh://git@HOST/Payments/Network",
    "git::ssh://git@HOST:22/Payments/Network.git",
    "git@HOST:Payments/Network.git",
    "git@HOST:Payments/Network",
    "git@HOST:/Payments/Network.git",
    "git::git@HOST:Payments/Network.git",
    "git::ssh://someone@HOST/Payments/Network.git",
    "git::git+ssh://git@HOST/Payments/Network.git",
    "git::https://PLACE/Payments/Network.git",
    "git::https://PLACE/Payments/Network",
    "git::https://git@PLACE/Payments/Network.git",
    "git::https://someone@PLACE/Payments/Network",
    "git::http://PLACE/Payments/Network.git",
    "git::http://PLACE/payments/NETWORK.git/",
    "git::https://someone@PLACE/Payments/Network.git//modules/vpc",
    "git::ssh://git@HOST/Payments/Network.git//modules/vpc",
    "git@HOST:Payments/Network.git//modules/vpc",
)


@pytest.mark.parametrize(
    "query", ["", "?ref=v1.0", "?ref=release/2", "?depth=1", "?ref=v1.0&depth=1"]
)
@pytest.mark.parametrize("mirrored", [True, False], ids=["mirrored", "direct"])
def test_every_spelling_of_the_host_is_fetched_over_http_with_the_token(
    bench, ghe, network, mirrored, query
):
    if not mirrored:
        bench.forbid_mirrors()
    host, place = urlsplit(ghe.url).hostname, urlsplit(ghe.url).netloc
    sources = [s.replace("HOST", host).replace("PLACE", place) + query for s in SPELLINGS]

    def inspect(workspace: Workspace) -> None:
        modules = workspace.path / "d" / "modules"
        assert all(any(modules.glob(f"m{i}/**/main.tf")) for i in range(len(sources)))

    bench.inspect = inspect
    bench.init(*sources)
    assert bench.inits == 1
    assert {r.token for r in ghe.requests if r.status == 200} == {TOKEN}
    assert len(module_requests(ghe)) <= 5 if mirrored else len(module_requests(ghe)) > 20


def test_a_host_in_other_letters_is_the_same_host(ghe, short, network):
    require_program("terraform", "install Terraform 1.11")
    named = urlsplit(ghe.url)._replace(netloc=f"localhost:{urlsplit(ghe.url).port}").geturl()
    with _bench(ghe, short) as bench:
        host = host_of(GitHubSettings(url=named))
        repositories = ModuleRepositories(short / "d", host, 1 << 30)
        access = ModuleAccess(host, bench.access.tokens, repositories, bench.programs)
        bench.access = access
        port = urlsplit(ghe.url).port
        bench.init(
            "git::ssh://git@LocalHost/Payments/Network.git?ref=v1.0",
            f"git::https://me@LOCALHOST:{port}/Payments/Network?ref=v1.0",
        )
    assert bench.inits == 1
    assert {r.token for r in ghe.requests if r.status == 200} == {TOKEN}


def test_nested_modules_are_found_by_reading_and_fetched_as_well(bench, ghe, network):
    host, place = urlsplit(ghe.url).hostname, urlsplit(ghe.url).netloc
    nested = f'module "n" {{\n  source = "git::https://me@{place}/Payments/Network?ref=v1.0"\n}}\n'
    ghe.add_repository(
        "Apps/Outer", {"x/main.tf": 'module "l" {\n  source = "../y"\n}\n', "y/main.tf": nested}
    )
    bench.init(f"git@{host}:Apps/Outer.git//x")
    assert bench.inits == 1
    # Two repositories, and for each no more than a list of its refs and a fetch.
    assert len(module_requests(ghe)) <= 2 * 5


def test_a_submodule_of_a_module_repository_comes_along(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    inner = ghe.add_repository("Apps/Inner", {"main.tf": MODULE})
    ghe.add_repository(
        "Apps/Outer", {"main.tf": MODULE, "in": Submodule(f"git@{host}:Apps/Inner.git", inner)}
    )
    found = []
    bench.inspect = lambda w: found.extend((w.path / "d" / "modules").glob("m0/in/main.tf"))
    bench.init(f"git@{host}:Apps/Outer.git", f"git@{host}:Apps/Inner.git")
    assert found


def test_fifty_roots_with_one_module_cost_the_server_one_fetch(bench, ghe, network):
    host, place = urlsplit(ghe.url).hostname, urlsplit(ghe.url).netloc
    bench.init(f"git@{host}:{network}.git?ref=v1.0")
    first = module_requests(ghe)
    assert sum("POST" in r for r in first) <= 3  # the refs, the refs again, the objects
    for i in range(49):
        bench.init(f"git::https://{place}/{network}{'.git' * (i % 2)}?ref=v1.0")
    assert module_requests(ghe) == first
    assert bench.inits == 50


def test_eight_workers_at_once_fetch_a_module_once(ghe, short, network):
    require_program("terraform", "install Terraform 1.11")
    host = urlsplit(ghe.url).hostname
    fork = multiprocessing.get_context("fork")
    # All are forked before one asks: a later one would inherit the pipes of the server's git, which
    # waits for their end.
    forked = fork.Barrier(8)

    def work() -> None:
        forked.wait(60)
        with _bench(ghe, short) as bench:
            bench.init(f"git@{host}:{network}.git?ref=v1.0")
            assert bench.inits == 1

    processes = [fork.Process(target=work) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    assert [process.exitcode for process in processes] == [0] * 8
    assert sum("POST" in r for r in module_requests(ghe)) <= 3


def test_the_next_sweep_looks_again_and_sees_a_moved_branch(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    seen: list[str] = []
    bench.inspect = lambda w: seen.append((w.path / "d" / "modules/m0/main.tf").read_text())
    source = f"git@{host}:{network}.git?ref=main"
    bench.init(source, sweep="one")
    ghe.commit(network, {"main.tf": "# moved\n"})
    ghe.clear()
    bench.init(source, sweep="one")
    assert module_requests(ghe) == []
    bench.init(source, sweep="two")
    assert module_requests(ghe)
    ghe.clear()
    bench.init(source, sweep="three")
    assert len(module_requests(ghe)) == 2, "nothing moved: its refs are listed, nothing is fetched"
    assert [text == "# moved\n" for text in seen] == [False, False, True, True]


def test_a_commit_that_is_there_is_not_asked_for_again(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    sha = ghe.head(network, "v1.0")
    bench.init(f"git@{host}:{network}.git?ref={sha}", sweep="one")
    ghe.clear()
    bench.init(f"git@{host}:{network}.git?ref={sha}", sweep="two")
    assert ghe.requests == []
    newer = ghe.commit(network, {"main.tf": "# newest\n"})
    bench.init(f"git@{host}:{network}.git?ref={newer}", sweep="two")
    assert module_requests(ghe)


def test_a_ref_that_came_after_the_mirror_is_still_found(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    bench.init(f"git@{host}:{network}.git")
    ghe.tag(network, "v9")
    bench.init(f"git@{host}:{network}.git?ref=v9")
    assert bench.inits == 3, "with the mirror, then without"


def test_a_renamed_repository_is_still_found(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    ghe.rename(network, "Payments/Networks")
    bench.init(f"git@{host}:Payments/Network.git?ref=v1.0")
    assert bench.inits == 1


def test_a_repository_whose_name_continues_anothers_is_not_taken_for_it(bench, ghe, network):
    place = urlsplit(ghe.url).netloc
    ghe.add_repository("Payments/Network-two", {"main.tf": "# two\n"})
    # Not to be found by reading: git meets it as a submodule only.
    sub = Submodule(f"http://{place}/Payments/Network-two", ghe.head("Payments/Network-two"))
    ghe.add_repository("Apps/Outer", {"main.tf": MODULE, "in": sub})
    text = []
    bench.inspect = lambda w: text.append((w.path / "d" / "modules/m1/in/main.tf").read_text())
    bench.init(f"git::http://{place}/Payments/Network", f"git::http://{place}/Apps/Outer")
    assert text == ["# two\n"]


# --- other hosts ------------------------------------------------------------------------------


def test_another_hosts_module_gets_no_token(bench, ghe, elsewhere, network):
    elsewhere.add_repository("open/module", {"main.tf": MODULE}, private=False)
    elsewhere.add_repository("closed/module", {"main.tf": MODULE})
    elsewhere.private_mode = False
    host = urlsplit(ghe.url).hostname
    bench.init(f"git::{elsewhere.url}/open/module.git", f"git@{host}:{network}.git")
    with pytest.raises(CheckFailed, match="closed/module"):
        bench.init(f"git::{elsewhere.url}/closed/module.git", f"git@{host}:{network}.git")
    assert elsewhere.requests
    assert not any("authorization" in r.headers for r in elsewhere.requests)


@pytest.mark.parametrize(
    "spoiled", [(kind, n) for kind in ("info/refs", "git-upload-pack$") for n in (0, 1, 2)]
)
def test_a_redirect_to_another_host_doesnt_carry_the_token(bench, ghe, elsewhere, network, spoiled):
    request_, after = spoiled
    elsewhere.add_repository(network, {"main.tf": MODULE})
    query = "info/refs?service=git-upload-pack" if "info" in request_ else "git-upload-pack"
    place = f"{elsewhere.url}/{network}.git/{query}"
    ghe.fault(request_, Fault.redirect(place, 301), times=None, after=after)
    host = urlsplit(ghe.url).hostname
    with contextlib.suppress(CheckFailed, CredentialsRefused):
        bench.init(f"git@{host}:{network}.git")
    assert len(elsewhere.requests) > 0
    assert not any("authorization" in r.headers for r in elsewhere.requests)


def test_ssh_to_an_unknown_host_is_refused_at_once_with_source_and_file(bench, ghe, network):
    started = time.monotonic()
    with pytest.raises(CheckFailed) as failed:
        bench.init("git@git.example.com:team/module.git?ref=v1", f"git::{ghe.url}/{network}.git")
    assert time.monotonic() - started < 30
    assert (failed.value.phase, failed.value.kind) == ("init", "module_fetch")
    assert "git@git.example.com:team/module.git?ref=v1" in failed.value.message
    assert "root/main.tf" in failed.value.message
    assert bench.inits == 0
    assert ghe.requests == []


def test_ssh_to_an_unknown_host_in_a_nested_module_is_refused_before_init(bench, ghe):
    ghe.add_repository(
        "Apps/Outer", {"x/main.tf": 'module "n" {\n  source = "git@git.example.com:a/b.git"\n}\n'}
    )
    ghe.tag("Apps/Outer", "v1")
    with pytest.raises(CheckFailed, match=r"Apps/Outer at v1, folder x: .*git@git\.example\.com"):
        bench.init(f"git::{ghe.url}/Apps/Outer.git//x?ref=v1")
    assert bench.inits == 0


def test_ssh_in_a_submodule_fails_with_a_clear_word(bench, ghe, network):
    sub = Submodule("ssh://git@git.example.com:2222/a/b.git", "0" * 39 + "1")
    ghe.add_repository("Apps/Outer", {"main.tf": MODULE, "in": sub})
    started = time.monotonic()
    with pytest.raises(CheckFailed, match=r"ssh to git\.example\.com is not available to checks"):
        bench.init(f"git::{ghe.url}/Apps/Outer.git")
    assert time.monotonic() - started < 60


# --- the token --------------------------------------------------------------------------------


def test_the_token_is_in_no_file_no_argument_and_no_environment(bench, ghe, network, short):
    system = short / "gitconfig"
    stored = short / "stored"
    system.write_text(
        f'[credential]\n\thelper = store --file {stored}\n[credential "{ghe.url}"]\n'
        f"\thelper = store --file {stored}.too\n"
    )
    bench.variables = {
        "GIT_CONFIG_SYSTEM": str(system),
        "GIT_TRACE": str(short / "trace"),
        "GIT_TRACE_CURL": str(short / "trace-curl"),
        "GIT_TRACE_REDACT": "0",
        "GIT_CURL_VERBOSE": "1",
        "TF_LOG": "TRACE",
        "TF_LOG_PATH": str(short / "terraform.log"),
    }
    ghe.fault(r"git-upload-pack", Fault.slow_body(0.02, 500), times=None)
    host = urlsplit(ghe.url).hostname
    bench.inspect = lambda w: shutil.copytree(w.path, short / "kept", symlinks=True)
    with _Sampler() as sampler:
        text = bench.init(f"git@{host}:{network}.git?ref=v1.0")
    assert any(b"credential_helper.py" in seen for seen in sampler.seen), "it sampled in time"
    assert not [seen for seen in sampler.seen if TOKEN.encode() in seen]
    assert TOKEN not in text
    assert (short / "terraform.log").exists()
    files = [path for path in short.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 20
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert not stored.exists()
    assert not (short / "trace").exists()
    assert not (short / "kept/t/g").exists(), "the socket is gone with init"


def test_a_fetch_without_mirror_leaves_no_token_either(bench, ghe, network, short):
    bench.forbid_mirrors()
    host = urlsplit(ghe.url).hostname
    bench.inspect = lambda w: shutil.copytree(w.path, short / "kept", symlinks=True)
    with _Sampler() as sampler:
        bench.init(f"git@{host}:{network}.git?ref=v1.0", f"git::{ghe.url}/{network}")
    assert not [seen for seen in sampler.seen if TOKEN.encode() in seen]
    files = [path for path in short.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


class _Sampler:
    """Reads arguments and environment of all our descendants, over and over."""

    def __enter__(self) -> "_Sampler":
        self.seen: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        own = psutil.Process()
        while not self._end.is_set():
            for process in own.children(recursive=True):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        self.seen.add(Path(f"/proc/{process.pid}/{name}").read_bytes())
            time.sleep(0.001)


def test_a_process_that_init_did_not_start_gets_no_token(bench, ghe, network, short):
    """The socket is in another check's reach: same user, same machine."""
    host = urlsplit(ghe.url).hostname
    helper = Path(__file__).parents[2] / "worker" / "credential_helper.py"
    # A daemon: its parent is init, as another worker's processes are below another process.
    script = (
        "import os, subprocess, sys, time\n"
        "parent = os.getpid()\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "while os.getppid() == parent: time.sleep(0.01)\n"
        "done = subprocess.run([sys.executable, '-I', '-S', sys.argv[1], sys.argv[2], 'get'],"
        f" input=b'protocol=http\\nhost={urlsplit(ghe.url).netloc}\\n', capture_output=True)\n"
        "open(sys.argv[3] + '.new', 'wb').write(done.stdout + done.stderr + b'end')\n"
        "os.rename(sys.argv[3] + '.new', sys.argv[3])\n"
    )
    result = short / "result"
    tried: list[str] = []

    def watch() -> None:
        sockets = list((short / "w").glob("*/t/g"))
        if sockets and not tried:
            tried.append("yes")
            subprocess.run(
                [sys.executable, "-c", script, str(helper), str(sockets[0]), str(result)],
                check=True,
            )
            assert wait_until(result.exists, 30)

    ghe.fault(r"git-upload-pack", Fault.delay(2), times=1)
    bench.watch = watch
    bench.forbid_mirrors()
    bench.init(f"git@{host}:{network}.git")
    assert tried
    told = result.read_bytes()
    assert told.endswith(b"end")
    assert b"password" not in told


def test_a_rotated_token_is_renewed_and_the_module_fetched(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    bench.init(f"git@{host}:{network}.git", sweep="one")
    bench.secret.value = "ghp_standin0000000000000000000000000002"
    ghe.rotate(bench.secret.value)
    ghe.commit(network, {"main.tf": "# newer\n"})
    bench.init(f"git@{host}:{network}.git", sweep="two")
    assert bench.inits == 2


def test_a_token_that_is_rotated_while_init_runs_costs_one_more_try(bench, ghe, network):
    bench.forbid_mirrors()
    host = urlsplit(ghe.url).hostname
    bench.secret.value = "ghp_standin0000000000000000000000000002"
    ghe.rotate(bench.secret.value)
    bench.init(f"git@{host}:{network}.git?ref=v1.0")
    assert bench.inits == 2


def test_a_refused_token_is_sent_once_and_the_check_says_so(bench, ghe, network):
    ghe.rotate("ghp_standin0000000000000000000000000003")
    host = urlsplit(ghe.url).hostname
    with pytest.raises(CredentialsRefused):
        bench.init(f"git@{host}:{network}.git")
    with pytest.raises(CredentialsRefused):
        bench.init(f"git@{host}:{network}.git")
    assert sum("authorization" in r.headers for r in ghe.requests) == 1


def test_without_a_token_public_modules_are_fetched(ghe, short):
    require_program("terraform", "install Terraform 1.11")
    ghe.private_mode = False
    ghe.add_repository("Open/Module", {"main.tf": MODULE}, private=False)
    host = urlsplit(ghe.url).hostname
    with _bench(ghe, short, anonymous=True) as bench:
        bench.init(f"git@{host}:Open/Module.git")
        assert bench.inits == 1


def test_a_password_in_a_source_goes_its_own_way_and_is_not_printed(bench, ghe, network):
    place = urlsplit(ghe.url).netloc
    ghe.accept("hunter2hunter2")
    bench.init(f"git::http://somebody:hunter2hunter2@{place}/{network}.git?ref=v1.0")
    assert {r.token for r in ghe.requests if r.status == 200} == {"hunter2hunter2"}
    with pytest.raises(CheckFailed) as failed:
        bench.init(f"git::http://somebody:wrongword1@{place}/{network}.git?ref=v1.0")
    assert "wrongword1" not in failed.value.message
    assert "Payments/Network" in failed.value.message
    # Our own token is not what was refused: it still works.
    bench.init(f"git::http://{place}/{network}.git?ref=v1.0", sweep="two")


# --- mirrors ----------------------------------------------------------------------------------


def test_a_workspace_shares_no_file_with_the_mirror(bench, ghe, network, short):
    host = urlsplit(ghe.url).hostname
    linked: list[Path] = []

    def inspect(workspace: Workspace) -> None:
        for path in (workspace.path / "d" / "modules").rglob("*"):
            status = path.lstat()
            if path.is_symlink() or (path.is_file() and status.st_nlink > 1):
                linked.append(path)
            if path.name == "alternates":
                linked.append(path)

    bench.inspect = inspect
    bench.init(f"git@{host}:{network}.git")
    assert linked == []


def test_a_folder_with_blanks_and_signs_in_its_name_serves_as_well(bench, ghe, network):
    odd = bench.folder / "a b%20'c\"d é;$x"
    access = bench.access
    repositories = ModuleRepositories(odd, access.host, 1 << 30)
    bench.access = ModuleAccess(access.host, access.tokens, repositories, access.programs)
    bench.init(f"git@{urlsplit(ghe.url).hostname}:{network}.git?ref=v1.0")
    assert bench.inits == 1
    ghe.clear()
    bench.init(f"git@{urlsplit(ghe.url).hostname}:{network}.git?ref=v1.0")
    assert bench.inits == 1 + 1
    assert ghe.requests == []


def test_an_unknown_repository_is_inits_to_tell(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    with pytest.raises(CheckFailed, match="Payments/Nothing") as failed:
        bench.init(f"git@{host}:Payments/Nothing.git")
    assert failed.value.kind == "module_fetch"
    assert bench.inits == 1


def test_what_cant_be_mirrored_is_tried_again_after_a_while_and_not_by_each_check(
    ghe, short, network
):
    require_program("terraform", "install Terraform 1.11")
    now = [1_000_000.0]
    source = f"git@{urlsplit(ghe.url).hostname}:Payments/Late.git"
    with _bench(ghe, short, now=lambda: now[0]) as bench:
        counts = []
        for seconds in (0, 30, 31):
            now[0] += seconds
            ghe.clear()
            with pytest.raises(CheckFailed):
                bench.init(source)
            counts.append(len(ghe.requests))
        assert counts[1] < counts[0] == counts[2]
        ghe.add_repository("Payments/Late", {"main.tf": MODULE})
        now[0] += 61
        bench.init(source)
        ghe.clear()
        bench.init(source)
        assert ghe.requests == []


def test_a_mirror_that_was_damaged_is_replaced_and_the_check_doesnt_notice(bench, ghe, network):
    host = urlsplit(ghe.url).hostname
    source = f"git@{host}:{network}.git?ref=v1.0"
    bench.init(source)
    (pack,) = bench.access.repositories.path(network).glob("objects/pack/*.pack")
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:-30] + b"x" * 30)
    bench.init(source)
    assert bench.inits == 3
    ghe.clear()
    bench.init(source)
    assert bench.inits == 4, "the mirror was made anew and is good"


def test_a_mirror_whose_refs_are_damaged_is_made_anew(bench, ghe, network):
    source = f"git@{urlsplit(ghe.url).hostname}:{network}.git?ref=v1.0"
    bench.init(source, sweep="one")
    path = bench.access.repositories.path(network)
    for ref in path.glob("refs/**/*"):
        if ref.is_file():
            ref.write_text("")
    (path / "packed-refs").write_text("nonsense")
    for sweep in ("two", "three"):
        bench.init(source, sweep=sweep)
    assert bench.inits == 3


@pytest.mark.parametrize("what", ["config", "hooks", "alternates"])
def test_a_mirror_with_foreign_settings_is_not_used(bench, ghe, network, short, what):
    host = urlsplit(ghe.url).hostname
    bench.init(f"git@{host}:{network}.git")
    path = bench.access.repositories.path(network)
    if what == "config":
        with (path / "config").open("a") as config:
            config.write(f"[core]\n\tfsmonitor = touch {short}/ran\n\thooksPath = {short}\n")
    elif what == "hooks":
        (path / "hooks").mkdir()
    else:
        (path / "objects/info").mkdir()
        (path / "objects/info/alternates").write_text("/elsewhere\n")
    ghe.clear()
    bench.init(f"git@{host}:{network}.git")
    assert module_requests(ghe), "it was fetched anew"
    assert bench.inits == 2
    assert not (short / "ran").exists()
    assert not (path / "hooks").exists()


def test_a_kill_in_the_middle_of_a_fetch_poisons_nothing(ghe, short, network):
    require_program("terraform", "install Terraform 1.11")
    host = urlsplit(ghe.url).hostname
    ghe.commit(network, {"large": os.urandom(3_000_000)})
    rule = ghe.fault(r"git-upload-pack$", Fault.slow_body(0.05, 20_000), times=None)
    fork = multiprocessing.get_context("fork")

    def work() -> None:
        with _bench(ghe, short) as bench:
            bench.init(f"git@{host}:{network}.git")

    process = fork.Process(target=work)
    process.start()
    assert wait_until(lambda: any(short.glob("c/modules/*/objects/pack/tmp_pack_*")), 60)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    ghe.heal()
    assert rule
    with _bench(ghe, short) as bench:
        bench.init(f"git@{host}:{network}.git")
        assert bench.inits == 1
    assert not list(short.glob("c/modules/*/objects/pack/tmp_*"))


def test_the_mirrors_stay_under_their_limit_and_those_in_use_stay(ghe, short):
    require_program("terraform", "install Terraform 1.11")
    for i in range(4):
        ghe.add_repository(f"Apps/M{i}", {"main.tf": MODULE, "large": os.urandom(400_000)})
    host = urlsplit(ghe.url).hostname
    with _bench(ghe, short, limit_bytes=1_000_000) as bench:
        for i in (0, 1, 0, 2):
            bench.init(f"git@{host}:Apps/M{i}.git", sweep=f"s{i}")
        kept = {p.name.partition(".")[2][:2] for p in (short / "c/modules").glob("apps.*")}
        assert kept == {"m0", "m2"}, "the least recently used one went"
        # All four at once are over the limit, and all are in use.
        bench.init(*(f"git@{host}:Apps/M{i}.git" for i in range(4)), sweep="all")
        assert bench.inits == 5


def test_a_repository_beyond_the_limit_is_left_to_init(ghe, short):
    require_program("terraform", "install Terraform 1.11")
    ghe.add_repository("Apps/Huge", {"main.tf": MODULE, "large": os.urandom(2_000_000)})
    host = urlsplit(ghe.url).hostname
    with _bench(ghe, short, limit_bytes=1_000_000) as bench:
        bench.init(f"git@{host}:Apps/Huge.git")
        assert bench.inits == 1
        ghe.clear()
        bench.init(f"git@{host}:Apps/Huge.git", sweep="two")
        assert sum("POST" in r for r in module_requests(ghe)) <= 3, "only init's own requests"
    assert sum(p.stat().st_size for p in (short / "c").rglob("*") if p.is_file()) < 1_000_000


def test_a_slow_fetch_ends_with_the_checks_time(bench, ghe, network):
    ghe.fault(r"git-upload-pack", Fault.delay(60), times=None)
    host = urlsplit(ghe.url).hostname
    bench.timeout_seconds = 2
    started = time.monotonic()
    with pytest.raises(CheckFailed) as failed:
        bench.init(f"git@{host}:{network}.git")
    assert failed.value.kind == "timeout"
    assert time.monotonic() - started < 30
    # One that was left would wait for the server, whose own may just come to their end.
    assert wait_until(lambda: _gits() == [], 60)


def _gits() -> list[int]:
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [one.pid] if "git" in one.name() else []
    return found


def test_a_git_that_is_too_old_is_named(bench, ghe, network, short):
    old = short / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.37.9\n")
    old.chmod(0o700)
    bench.variables["PATH"] = f"{old.parent}:{os.environ['PATH']}"
    with pytest.raises(ConfigurationError, match=r"2\.37\.9.*2\.38"):
        bench.init(f"git::{ghe.url}/{network}.git")


def test_a_root_without_remote_modules_asks_for_nothing(bench, ghe):
    bench.init(files={"root/main.tf": 'output "x" {\n  value = 1\n}\n'})
    assert ghe.requests == []
    assert not (bench.folder / "c").exists()
