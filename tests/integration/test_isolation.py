"""What a hostile root finds of the worker: its provider looks for all that it should not have."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from driftfleet.configuration import process_environment
from driftfleet.jobs import Job, Limits, Source
from driftfleet.results import Result, Verdict
from driftfleet.settings import WorkerSettings
from tests import providers
from tests.conftest import require_program
from tests.workers import short_folder, users_of, wait_until
from worker.check import check
from worker.local_source import LocalSource
from worker.process import Programs
from worker.tools import Tools
from worker.workspace import Workspaces

TOKEN = "ghp_planted0000000000000000000000000001"
OTHERS = "another check's state"

# Tells what it finds to whoever listens: the network is not what is shut.
SPY = """\
import json, os, socket, sys
port, token, others, everywhere, top, *places = sys.argv[1:]
# Written backwards: else they would be found in the command that looks for them.
token, others = token[::-1], others[::-1]
tops, system = [top], []
if everywhere == "True":
    tops += ["/tmp", "/home", "/root", "/run", "/var", "/srv", "/etc", "/mnt", "/opt"]
    # What root may tell the kernel; what is written there says nothing to it.
    system = ["/proc/sys/vm/drop_caches", "/proc/self/oom_score_adj"]
    system += ["/", "/tmp", "/dev/shm", "/dev", "/usr/bin", "/etc", "/var/tmp"]
found = {"environments": [], "files": [], "written": [], "processes": 0}
found["pids"] = os.listdir("/proc")
for pid in filter(str.isdigit, os.listdir("/proc")):
    found["processes"] += 1
    try:
        if token in open(f"/proc/{pid}/environ", errors="replace").read():
            found["environments"].append(pid)
    except OSError:
        pass
    try:
        # Another way to what this process has mounted away.
        os.stat(f"/proc/{pid}/root{places[0]}")
        found["files"].append(f"/proc/{pid}/root")
    except OSError:
        pass
for top in tops:
    for folder, folders, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            try:
                text = open(path, errors="replace").read(1 << 16)
            except OSError:
                continue
            if token in text or others in text:
                found["files"].append(path)
for place in (*places, *system):
    path = os.path.join(place, "planted") if os.path.isdir(place) else place
    try:
        with open(path, "r+" if path.startswith("/proc") else "a") as file:
            found["written"].append(path)
            file.write("x")
        if path.endswith("planted"):
            os.unlink(path)
    except OSError:
        pass
with socket.create_connection(("127.0.0.1", int(port))) as told:
    told.sendall(json.dumps(found).encode() + b"\\n")
"""
# In a session of its own, away from the pipes, and nobody's child: what is left behind on purpose.
# Its parent goes on once it has told.
DAEMON = """\
import os, signal, socket, sys, time
parent = os.getpid()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as told:
            told.sendall(b"alive\\n")
            os.kill(parent, signal.SIGUSR1)
            while True:
                time.sleep(0.05)
                told.sendall(b"alive\\n")
    os._exit(0)
signal.sigwait([signal.SIGUSR1])
"""


class Listener:
    """What hostile programs tell, line by line."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.lines: list[bytes] = []
        self.begun = self.ended = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                channel, _ = self._server.accept()
                self.begun += 1
                threading.Thread(target=self._read, args=(channel,), daemon=True).start()

    def _read(self, channel: socket.socket) -> None:
        with channel, channel.makefile("rb") as lines, contextlib.suppress(OSError):
            for line in lines:
                self.lines.append(line)
        self.ended += 1

    def close(self) -> None:
        # Closed alone, it would go on to accept, maybe from whoever gets the descriptor next.
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._server.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


class Host:
    """A worker's machine, with a secret in its environment, one in a file, and a neighbour."""

    def __init__(self, folder: Path, isolation: str) -> None:
        providers.require_terraform()
        self.folder = folder
        self.repository = folder / "repository"
        self.mirror = folder / "mirror"
        providers.build_mirror(self.mirror)
        self.world = folder / "world"
        self.world.mkdir()
        self.token_file = folder / "secrets" / "token"
        self.token_file.parent.mkdir()
        self.token_file.write_text(TOKEN)
        self.settings = WorkerSettings(
            mirror=self.mirror,
            writable_root=folder / "w",
            local_roots=(self.repository,),
            stop_grace_seconds=1,
            isolation=isolation,  # type: ignore[arg-type]
            isolation_shows=(*providers.MADE_OF, self.world),
        )
        self.programs = Programs(1)
        self.workspaces = Workspaces(self.settings.writable_root)

    def check(self, root: str = "root", timeout_seconds: int = 60, **changed: Any) -> Result:
        settings = self.settings.model_copy(update=changed)
        tools = Tools(
            settings=settings,
            environment={**process_environment(), "DRIFTFLEET_GITHUB__TOKEN": TOKEN},
            workspaces=self.workspaces,
            programs=self.programs,
            source=LocalSource(settings.local_roots),
            name="test",
        )
        job = Job(
            sweep_id="test",
            source=Source(kind="local", repo=str(self.repository)),
            root=root,
            limits=Limits(timeout_seconds=timeout_seconds, workspace_bytes=1 << 30),
        )
        return check(job, tools, lambda phase: None)

    def corrupt(self, code: str, *arguments: object) -> None:
        """Have the provider run Python before it does what it is there for."""
        (script,) = self.mirror.rglob("terraform-provider-demo*")
        (self.mirror / "hostile.py").write_text(code)
        words = [sys.executable, "-I", str(self.mirror / "hostile.py"), *map(str, arguments)]
        shebang, rest = script.read_text().split("\n", 1)
        script.write_text(f"{shebang}\n{shlex.join(words)} >/dev/null 2>&1\n{rest}")


@contextlib.contextmanager
def a_host(isolation: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    require_program("bwrap", "apt-get install bubblewrap")
    monkeypatch.setenv("DRIFTFLEET_GITHUB__TOKEN", TOKEN)
    with short_folder("iso") as folder:
        host = Host(folder, isolation)
        yield host
        host.programs.close()
        assert list(host.settings.writable_root.glob("*")) == []


@pytest.fixture(params=["none", "bubblewrap"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Without isolation as well: what finds nothing there would find nothing anywhere."""
    with a_host(request.param, monkeypatch) as host:
        yield host


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with a_host("bubblewrap", monkeypatch) as host:
        yield host


def drifted_root(host: Host, name: str = "root") -> None:
    """A root whose file was changed since."""
    world = host.world / name
    root = providers.write_root(host.repository / name, providers.file_root(world, "one"))
    providers.apply(root, host.mirror)
    world.write_text("two")


@pytest.mark.alone("reads all of the machine within the time of a plan")
def test_a_hostile_provider_finds_and_changes_nothing_of_the_workers(
    host: Host, listener: Listener
) -> None:
    drifted_root(host)
    installed = host.settings.writable_root / "installs" / "terraform"
    installed.parent.mkdir(parents=True)
    installed.write_text("a program")
    # As a neighbour's: this process holds it.
    with host.workspaces.use(1 << 20) as neighbour:
        (neighbour.source / "terraform.tfstate").write_text(OTHERS)
        # All of the machine only where nothing of it is to be had.
        everywhere = host.settings.isolation != "none"
        words = (TOKEN[::-1], OTHERS[::-1], everywhere, host.folder)
        places = (host.token_file, installed, host.mirror, neighbour.source)
        # A process that has the worker's environment, and may be looked at.
        sleeper = providers.subprocess.Popen(["sleep", "1000"])
        try:
            host.corrupt(SPY, listener.port, *words, *places)
            result = host.check()
        finally:
            sleeper.kill()
            sleeper.wait()
        changed = (installed.read_text(), host.token_file.read_text())
    shutil.rmtree(installed.parent)
    assert result.verdict is Verdict.DRIFTED, result
    assert listener.lines
    found = [json.loads(line) for line in listener.lines]
    if host.settings.isolation == "none":
        assert all(one["environments"] and one["files"] and one["written"] for one in found)
        return
    for one in found:
        assert (one["environments"], one["files"], one["written"]) == ([], [], []), one
        assert str(os.getpid()) not in one["pids"]
        # bubblewrap, terraform, the provider's shell and this program.
        assert one["processes"] <= 5, one
    assert changed == ("a program", TOKEN)


def test_what_a_root_leaves_behind_ends_with_its_check(host: Host, listener: Listener) -> None:
    drifted_root(host)
    host.corrupt(DAEMON, listener.port)
    assert host.check().verdict is Verdict.DRIFTED
    # Each time that it is started it leaves one behind.
    assert wait_until(lambda: listener.ended == listener.begun > 0, 60)
    assert b"alive\n" in listener.lines
    told = len(listener.lines)
    time.sleep(0.5)
    assert len(listener.lines) == told


@pytest.mark.parametrize(
    "attack",
    [
        "os.unlink(lock); os.mkfifo(lock)",
        "os.unlink(lock); os.symlink(victim, lock)",
        "os.rename('../root', '../gone'); os.symlink(os.path.dirname(victim), '../root')",
        "os.symlink(victim, os.environ['TMPDIR'] + '/../p')",
        "os.mkfifo(os.environ['TMPDIR'] + '/../p')",
    ],
)
def test_files_that_a_provider_puts_in_the_place_of_others_lead_the_worker_nowhere(
    isolated: Host, attack: str
) -> None:
    drifted_root(isolated)
    victim = isolated.folder / "secrets" / ".terraform.lock.hcl"
    text = 'provider "a/b/c" {\n  version = "1.0.0"\n  hashes = [\n    "h1:x",\n  ]\n}\n'
    victim.write_text(text)
    code = "import os, sys\nlock, victim = '.terraform.lock.hcl', sys.argv[1]\n"
    isolated.corrupt(code + attack, victim)
    result = isolated.check(timeout_seconds=5)
    # Terraform itself waits at a pipe, until its time is over.
    assert result.timings_seconds.total < 40
    assert victim.read_text() == text
    assert "a/b/c" not in result.model_dump_json()


def test_a_root_that_kills_all_it_can_hurts_itself_alone(isolated: Host) -> None:
    drifted_root(isolated)
    isolated.corrupt("import os, signal; os.kill(-1, signal.SIGKILL)")
    result = isolated.check()
    assert result.verdict is Verdict.ERROR
    assert result.error is not None
    assert (result.error.phase, result.error.kind.value) == ("plan", "killed"), result.error
    assert users_of(isolated.settings.writable_root) == []


def test_no_namespace_can_be_made_below(isolated: Host, listener: Listener) -> None:
    require_program("unshare", "apt-get install util-linux")
    drifted_root(isolated)
    code = (
        "import socket, subprocess, sys\n"
        "code = subprocess.call(['unshare', '--user', '--map-root-user', 'true'])\n"
        "socket.create_connection(('127.0.0.1', int(sys.argv[1]))).sendall(b'%d\\n' % code)\n"
    )
    isolated.corrupt(code, listener.port)
    assert isolated.check().verdict is Verdict.DRIFTED
    assert listener.lines
    assert b"0\n" not in listener.lines


class TestWhatIsShown:
    def test_a_state_that_is_out_of_view_is_no_empty_state(self, isolated: Host) -> None:
        state = isolated.folder / "states" / "root.tfstate"
        backend = f'terraform {{\n  backend "local" {{\n    path = "{state}"\n  }}\n}}\n'
        root = providers.write_root(
            isolated.repository / "root",
            providers.file_root(isolated.world / "one", "one"),
            backend_tf=backend,
        )
        providers.apply(root, isolated.mirror)
        result = isolated.check()
        assert result.error is not None, result
        assert result.error.kind.value == "backend_unreachable"
        assert str(state) in result.error.message
        assert "worker.isolation_shows" in result.error.message
        shown = (*isolated.settings.isolation_shows, state.parent)
        assert isolated.check(isolation_shows=shown).verdict is Verdict.CLEAN

    def test_a_provider_that_lacks_what_it_is_made_of_says_where_to_name_it(
        self, isolated: Host
    ) -> None:
        drifted_root(isolated)
        result = isolated.check(isolation_shows=(isolated.world,))
        assert result.error is not None, result
        assert result.error.kind.value == "provider_crashed"
        assert "worker.isolation_shows" in result.error.message

    @pytest.mark.parametrize("link", ["file", "folder", "chain"])
    def test_a_link_out_of_view_is_no_empty_state_either(self, isolated: Host, link: str) -> None:
        away, near = isolated.folder / "away", isolated.folder / "near"
        near.mkdir()
        away.mkdir()
        state = near / "states" / "root.tfstate"
        if link == "file":
            state.parent.mkdir()
            state.symlink_to(away / "root.tfstate")
        elif link == "folder":
            state.parent.symlink_to("../away")
        else:
            # What is shown leads out of view and back in.
            (near / "real").mkdir()
            (away / "back").symlink_to(near / "real")
            state.parent.symlink_to(away / "back")
        backend = f'terraform {{\n  backend "local" {{\n    path = "{state}"\n  }}\n}}\n'
        code = providers.file_root(isolated.world / "one", "one")
        root = providers.write_root(isolated.repository / "root", code, backend_tf=backend)
        providers.apply(root, isolated.mirror)
        shown = (*isolated.settings.isolation_shows, near)
        result = isolated.check(isolation_shows=shown)
        assert result.error is not None, result
        assert result.error.kind.value == "backend_unreachable"
        assert isolated.check(isolation_shows=(*shown, away)).verdict is Verdict.CLEAN

    def test_nor_may_a_variable_show_every_check(
        self, isolated: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drifted_root(isolated)
        monkeypatch.setenv("SSL_CERT_DIR", str(isolated.folder))
        result = isolated.check()
        assert result.error is not None
        assert result.error.kind.value == "worker_config"
        assert "worker.writable_root" in result.error.message

    def test_a_file_that_the_environment_names_is_shown(
        self, isolated: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named = isolated.folder / "aws" / "config"
        named.parent.mkdir()
        named.write_text("[default]\n")
        (named.parent / "credentials").write_text("[default]\n")
        reading = 'output "seen" {\n  value = [for f in [var.one, var.two] : fileexists(f)]\n}\n'
        for name in ("one", "two"):
            reading += f'variable "{name}" {{}}\n'
        root = providers.write_root(isolated.repository / "root", reading)
        (root / "terraform.tfvars").write_text(
            f'one = "{named}"\ntwo = "{named.parent}/credentials"\n'
        )
        with providers.terraform_environment(isolated.mirror) as environment:
            providers.terraform(root, environment, "init")
            # What is shown, and what lies beside it: that is what was applied.
            (named.parent / "credentials").rename(named.parent / "away")
            providers.terraform(root, environment, "apply", "-auto-approve")
            (named.parent / "away").rename(named.parent / "credentials")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(named))
        assert isolated.check().verdict is Verdict.CLEAN
        monkeypatch.delenv("AWS_CONFIG_FILE")
        assert isolated.check().verdict is Verdict.UNAPPLIED

    @pytest.mark.parametrize("shown", ["", "w", "nowhere"])
    def test_what_would_show_every_check_or_nothing_is_refused(
        self, isolated: Host, shown: str
    ) -> None:
        drifted_root(isolated)
        isolated.settings.writable_root.mkdir(exist_ok=True)
        result = isolated.check(isolation_shows=(isolated.folder / shown,))
        assert result.error is not None
        assert result.error.kind.value == "worker_config"
        assert "worker.isolation_shows" in result.error.message


class TestWithoutBubblewrap:
    def programs(self, folder: Path, script: str | None) -> str:
        """A PATH with terraform, and ``script`` as bubblewrap."""
        folder.mkdir()
        (folder / "terraform").symlink_to(providers.require_terraform())
        if script is not None:
            (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "bwrap").chmod(0o755)
        return str(folder)

    def error(self, host: Host, monkeypatch: pytest.MonkeyPatch, script: str | None) -> str:
        drifted_root(host)
        monkeypatch.setenv("PATH", self.programs(host.folder / "bin", script))
        result = host.check()
        assert result.error is not None, result
        assert result.error.kind.value == "worker_config"
        return result.error.message

    def test_nothing_is_planned_without_it(
        self, isolated: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "install bubblewrap" in self.error(isolated, monkeypatch, None)

    def test_nothing_is_planned_where_it_is_not_allowed(
        self, isolated: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As it says in a container without the right.
        script = "echo 'bwrap: No permissions to create new namespace' >&2; exit 1"
        message = self.error(isolated, monkeypatch, script)
        assert "No permissions to create new namespace" in message
        assert "docs/isolation.md" in message


def test_two_at_once_are_as_right_as_one(isolated: Host) -> None:
    for name in ("one", "two", "three", "four"):
        drifted_root(isolated, name)
    results: dict[str, Result] = {}

    def run(names: Sequence[str], own: Callable[..., Result]) -> None:
        for name in names:
            results[name] = own(name)

    neighbour = Host.__new__(Host)
    neighbour.__dict__.update(isolated.__dict__, programs=Programs(1))
    threads = [
        threading.Thread(target=run, args=(("one", "two"), isolated.check)),
        threading.Thread(target=run, args=(("three", "four"), neighbour.check)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    neighbour.programs.close()
    assert {name: result.verdict for name, result in results.items()} == dict.fromkeys(
        ("one", "two", "three", "four"), Verdict.DRIFTED
    )
