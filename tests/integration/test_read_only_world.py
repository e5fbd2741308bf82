"""A whole worker that can write to one folder only: not root, without a HOME, umask 077."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from driftfleet.configuration import process_environment
from driftfleet.installs.tfenv import find_tfenv
from driftfleet.jobs import Source
from driftfleet.results import Verdict
from driftfleet.settings import (
    BrokerSettings,
    GitHubSettings,
    ResultSettings,
    Settings,
    WorkerSettings,
)
from driftfleet.version_settings import InstallSettings
from producer.embedded import embedded_redis
from tests import providers, releases
from tests.binaries import opentofu
from tests.conftest import require_program
from tests.installers import Program, start
from tests.standin import StandIn
from tests.workers import Fleet, short_folder

COPY = "import shutil\nshutil.copy({!r}, place)"
ASK = (
    "import json, subprocess, sys\n"
    "done = subprocess.run([sys.argv[1], 'version', '-json'], capture_output=True)\n"
    "print(json.loads(done.stdout)['terraform_version'])\n"
)
MODULE = 'output "name" {\n  value = "module"\n}\n'


@pytest.fixture
def world() -> Iterator[Path]:
    """What roots manage: outside of the worker's folder, and read-only for it."""
    with short_folder("world") as folder:
        yield folder


@pytest.fixture(params=["none", "bubblewrap"])
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fleet(
    ghe: StandIn, isolation: str, tmp_path: Path, mirror: Path, world: Path
) -> Iterator[Fleet]:
    path = without_terraform(tmp_path / "path")
    with (
        short_folder("r") as redis_folder,
        short_folder("w") as writable,
        embedded_redis(redis_folder) as redis,
    ):
        settings = Settings(
            broker=BrokerSettings(url=SecretStr(redis.url), visibility_timeout_seconds=10),
            # In the one writable folder: it stands for a bucket.
            results=ResultSettings(store=f"file://{writable / 'results'}"),
            github=GitHubSettings(url=ghe.url, token="env://THE_TOKEN"),
            worker=WorkerSettings(
                concurrency=2,
                writable_root=writable,
                mirror=mirror,
                stop_grace_seconds=1,
                drain_seconds=5,
                isolation=isolation,  # type: ignore[arg-type]
                isolation_shows=(*providers.MADE_OF, path, world),
            ),
            installs=InstallSettings(verify_signatures=False),
        )
        fleet = Fleet(settings, tmp_path, tmp_path / "worker.log", redis_folder)
        fleet.environment = {"THE_TOKEN": ghe.token, "PATH": str(path)}
        # The stand-ins for installers keep a log beside them.
        fleet.prefix = in_read_only_world(writable, make(tmp_path / "installers"))
        try:
            yield fleet
        finally:
            fleet.stop()
        assert {one.name for one in writable.iterdir()} <= {"cache", "installs", "results"}


def in_read_only_world(*writable: Path) -> list[str]:
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    binds = [word for folder in writable for word in ("--bind", str(folder), str(folder))]
    return [
        str(bwrap), "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL",
        "--ro-bind", "/", "/", "--dev", "/dev",
        # The kernel lets a namespace below have a /proc of its own only where this one is whole.
        "--bind", "/proc", "/proc",
        *binds, "--unsetenv", "HOME", "--die-with-parent",
        "--", "/bin/sh", "-c", 'umask 077; exec "$@"', "sh",
    ]  # fmt: skip


def without_terraform(folder: Path) -> Path:
    """What the PATH has, less what plans and what installs."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if place else ():
            own = folder / program.name
            if program.name not in ("terraform", "tofu", "tfenv", "tenv") and not own.is_symlink():
                own.symlink_to(program)
    return folder


def applied_root(folder: Path, world: Path, mirror: Path, binary: Path) -> Path:
    """A root that ``binary`` has applied."""
    # In full: OpenTofu looks for short addresses in a registry of its own.
    code = providers.file_root(world, "one")
    code = code.replace('"driftfleet/', '"registry.terraform.io/driftfleet/')
    root = providers.write_root(folder, code)
    with providers.terraform_environment(mirror) as environment:
        for command in (["init", "-no-color"], ["apply", "-auto-approve", "-no-color"]):
            subprocess.run([binary, *command], cwd=root, env=environment, check=True, timeout=120)
    shutil.rmtree(root / ".terraform")
    return root


def installers(fleet: Fleet, folder: Path, terraform: Path, tofu: Path) -> None:
    """tenv and, where no real tfenv is there, what stands in for it."""
    tenv = Program(folder / "tenv", "tenv", COPY.format(str(tofu)))
    (Path(fleet.environment["PATH"]) / "tenv").symlink_to(tenv.path)
    tfenv = find_tfenv(process_environment())
    if tfenv is None:
        tfenv = Program(folder / "tfenv", "tfenv", COPY.format(str(terraform))).path
    fleet.environment = {**fleet.environment, "DRIFTFLEET_TFENV": str(tfenv)}


def test_everything_that_a_check_does_works_there(
    ghe: StandIn, fleet: Fleet, tmp_path: Path, mirror: Path, world: Path
) -> None:
    require_program("git", "install git")
    terraform, tofu = Path(providers.require_terraform()).resolve(), opentofu()
    version = start(ASK, terraform).communicate()[0].strip()
    installers(fleet, tmp_path / "installers", terraform, tofu)
    host = urlsplit(ghe.url).hostname
    ghe.add_repository("payments/modules", {"vpc/main.tf": MODULE})
    call = f'module "m" {{\n  source = "git::ssh://git@{host}/payments/modules.git//vpc"\n}}\n'
    files: dict[str, bytes] = {}
    asked = {"terraform": (terraform, version), "tofu": (tofu, "1.6.2")}
    for program, (binary, wanted) in asked.items():
        for state in ("clean", "drifted"):
            name = f"{program}-{state}"
            root = applied_root(tmp_path / name, world / name, mirror, binary)
            (root / "module.tf").write_text(call)
            kind = "opentofu" if program == "tofu" else "terraform"
            (root / f".{kind}-version").write_text(f"{wanted}\n")
            files |= {
                f"{name}/{path.relative_to(root)}": path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            }
    for program in asked:
        (world / f"{program}-drifted").write_text("two")
    with releases.serving(make(tmp_path / "releases")) as remote:
        remote.add(version, terraform)
        url = SecretStr(f"http://127.0.0.1:{remote.port}")
        changed = fleet.settings.installs.model_copy(update={"remote": url})
        fleet.settings = fleet.settings.model_copy(update={"installs": changed})
        sha = ghe.add_repository("payments/infra", files)
        source = Source(kind="github", repo="payments/infra", ref="main", sha=sha)
        roots = [f"{program}-{state}" for program in asked for state in ("clean", "drifted")]
        jobs = {root: fleet.job(root, source=source) for root in roots}
        fleet.send(list(jobs.values()))
        fleet.start_worker()
        answers = {answer.check: answer for answer in fleet.wait(len(jobs), 200)}
    results = {root: fleet.result(answers[job.identity]) for root, job in jobs.items()}
    for root, result in results.items():
        expected = Verdict.CLEAN if root.endswith("clean") else Verdict.DRIFTED
        assert result.verdict is expected, result.error or result
        assert result.versions.terraform == asked[root.partition("-")[0]][1]
    writable = fleet.settings.worker.writable_root
    installs = writable / "installs"
    assert (installs / "terraform" / version / "terraform").is_file()
    assert (installs / "tofu" / "1.6.2" / "tofu").is_file()
    # Whatever it has made is its own alone, or lies where only it gets to.
    for path in writable.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    log = fleet.log.read_text()
    for complaint in ("Read-only file system", "Permission denied", "Operation not permitted"):
        assert complaint not in log


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
