"""Twenty checks at once: two programs, providers of two mirrors, and a sync that goes on beside."""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet.mirror.layout import Package, unpacked
from driftfleet.mirror.verify import verify
from driftfleet.results import Result, Verdict
from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from driftfleet.versions.available import parse_printed
from producer.embedded import embedded_redis
from tests import providers
from tests.binaries import opentofu
from tests.integration.test_mirror_serve import start
from tests.integration.test_mirror_sync import LINUX, TAIL, run
from tests.workers import Fleet, short_folder, users_of

MODULE = providers.REPOSITORY / "examples" / "provider" / "demo_provider.py"
HOSTS = {"terraform": "registry.terraform.io", "tofu": "registry.opentofu.org"}
# What happens after the apply: to the file outside, and to the code. What a check is to say of it.
STORIES = (
    ("one", "one", Verdict.CLEAN),
    ("two", "one", Verdict.DRIFTED),
    ("one", "two", Verdict.UNAPPLIED),
    ("two", "three", Verdict.DRIFTED_UNAPPLIED),
    (None, "one", Verdict.DRIFTED),
)


@dataclass(frozen=True)
class Case:
    """One root: what plans it, with which version of the provider, and what it has been through."""

    program: str
    provider: str
    outside: str | None
    code: str
    verdict: Verdict

    @property
    def name(self) -> str:
        return f"{self.program}-{self.provider}-{self.outside}-{self.code}"

    @property
    def package(self) -> Package:
        return Package(f"{HOSTS[self.program]}/driftfleet/demo", self.provider, LINUX)


CASES = [
    Case(program, provider, *story)
    for program, provider, story in itertools.product(HOSTS, ("1.0.0", "1.1.0"), STORIES)
]


def write_package(mirror: Path, package: Package, text: str = "") -> None:
    folder = mirror / package.path
    folder.mkdir(parents=True)
    program = folder / f"terraform-provider-{package.type}_v{package.version}"
    command = shlex.join([sys.executable, "-I", "-B", str(MODULE)])
    program.write_text(text or f'#!/bin/sh\n# {package}\nexec {command} "$@"\n')
    program.chmod(0o755)


@pytest.fixture
def program_versions() -> dict[str, str]:
    """Those of the programs of this machine."""
    found = {}
    for path in (providers.require_terraform(), str(opentofu())):
        said = subprocess.run([path, "version"], check=True, capture_output=True).stdout
        program, version = parse_printed(said)
        found[program] = str(version)
    return found


@pytest.fixture
def repository(tmp_path: Path, program_versions: dict[str, str]) -> Path:
    """A root for each case, not yet applied."""
    folder = tmp_path / "repository"
    (tmp_path / "world").mkdir()
    for case in CASES:
        write_case(tmp_path, case, "one")
        file = ".opentofu-version" if case.program == "tofu" else ".terraform-version"
        (folder / case.name / file).write_text(f"{program_versions[case.program]}\n")
    return folder


def write_case(tmp_path: Path, case: Case, content: str) -> None:
    code = providers.file_root(tmp_path / "world" / case.name, content)
    pinned = code.replace('"1.0.0"', f'"{case.provider}"')
    providers.write_root(tmp_path / "repository" / case.name, pinned)


@pytest.fixture
def fleet_mirror(repository: Path, tmp_path: Path) -> Path:
    """One mirror, filled from two: a folder, and another fleet's `mirror serve`."""
    for case in CASES:
        origin = tmp_path / f"origin-{case.provider}"
        if not (origin / case.package.path).exists():
            write_package(origin, case.package)
    mirror = tmp_path / "fleet" / "mirror"
    path = f"{opentofu().parent}{os.pathsep}{os.environ['PATH']}"
    arguments = ("sync", "repository", "--mirror", mirror)
    old = ("--include", "*-1.0.0-*", "--exclude", "*-1.1.0-*")
    said = run(tmp_path, *arguments, *old, "--from", tmp_path / "origin-1.0.0", PATH=path)
    assert "2 added" in said
    with start(tmp_path / "origin-1.1.0", tmp_path) as serving:
        trusted = {"SSL_CERT_FILE": str(serving.certificate.path), "PATH": path}
        assert "2 added" in run(tmp_path, *arguments, "--from", serving.url, **trusted)
    return mirror


@pytest.fixture
def fleet(repository: Path, fleet_mirror: Path, tmp_path: Path) -> Iterator[Fleet]:
    with short_folder("r") as redis_folder, short_folder("w") as place:
        writable = place / "w"
        writable.mkdir()
        with embedded_redis(redis_folder) as redis:
            settings = Settings(
                broker=BrokerSettings(url=SecretStr(redis.url)),
                results=ResultSettings(store=f"file://{place / 'results'}"),
                worker=WorkerSettings(
                    concurrency=len(CASES),
                    writable_root=writable,
                    mirror=fleet_mirror,
                    local_roots=(repository,),
                ),
            )
            path = f"{opentofu().parent}{os.pathsep}{os.environ['PATH']}"
            log = tmp_path / "worker.log"
            fleet = Fleet(settings, repository, log, redis_folder, environment={"PATH": path})
            try:
                yield fleet
            finally:
                fleet.stop()
        assert list(writable.rglob("*")) == []
        assert users_of(writable) == []


def live_through(tmp_path: Path, mirror: Path, case: Case) -> None:
    """Apply the root with its own program; then what happens outside and in the code."""
    folder = tmp_path / "repository" / case.name
    program = providers.require_terraform() if case.program == "terraform" else str(opentofu())
    with providers.terraform_environment(mirror) as environment:
        for command in (["init", "-no-color"], ["apply", "-auto-approve", "-no-color"]):
            subprocess.run(
                [program, *command],
                cwd=folder, env=environment, check=True, capture_output=True, timeout=120,
            )  # fmt: skip
    shutil.rmtree(folder / ".terraform")
    world = tmp_path / "world" / case.name
    if case.outside is None:
        world.unlink()
    else:
        world.write_text(case.outside)
    write_case(tmp_path, case, case.code)


def sync_on_and_on(tmp_path: Path, mirror: Path, done: threading.Event) -> int:
    """Bring new providers, batch after batch; how many came."""
    count = 0
    for batch in itertools.count():
        names = [f"b{batch}p{number}" for number in range(10)]
        for name in names:
            write_package(
                tmp_path / "more", Package(f"{HOSTS['tofu']}/acme/{name}", "1.0.0", LINUX), name
            )
        wanted = "".join(f'  {n} = {{ source = "{HOSTS["tofu"]}/acme/{n}" }}\n' for n in names)
        code = f"terraform {{\n required_providers {{\n{wanted} }}\n}}\n{TAIL}"
        providers.write_root(tmp_path / f"batch-{batch}", code)
        source = ("--from", tmp_path / "more")
        assert "10 added" in run(tmp_path, "sync", f"batch-{batch}", "--mirror", mirror, *source)
        count += 10
        if done.is_set():
            return count
    raise AssertionError


def most_at_once(results: list[Result]) -> int:
    return max(
        sum(one.started_at <= other.started_at < one.finished_at for one in results)
        for other in results
    )


def stamps(mirror: Path) -> dict[str, tuple[int, int]]:
    found = [path for case in CASES for path in (mirror / case.package.path).rglob("*")]
    return {str(path): (path.stat().st_ino, path.stat().st_ctime_ns) for path in found}


@pytest.mark.alone("twenty plans at once leave others no processor")
def test_every_check_is_right(
    fleet: Fleet, fleet_mirror: Path, tmp_path: Path, program_versions: dict[str, str]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda case: live_through(tmp_path, fleet_mirror, case), CASES))
    before = stamps(fleet_mirror)
    fleet.send([fleet.job(case.name) for case in CASES])
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        brought = pool.submit(sync_on_and_on, tmp_path, fleet_mirror, done)
        try:
            fleet.start_worker()
            answers = fleet.wait(len(CASES), 240)
        finally:
            done.set()
        count = brought.result()
    results = {result.job.root: result for result in map(fleet.result, answers)}
    assert len(results) == len(CASES)
    for case in CASES:
        result = results[case.name]
        assert result.verdict is case.verdict, result
        assert result.versions.terraform == program_versions[case.program]
        assert result.versions.providers == {case.package.address: case.provider}
    assert most_at_once(list(results.values())) >= len(CASES) * 3 // 4
    # Of the mirror the checks have changed nothing, and the sync has only added.
    assert stamps(fleet_mirror) == before
    found = list(verify(fleet_mirror))
    assert [one.problem for one in found if one.problem] == []
    assert len(unpacked(fleet_mirror)) == len(found) == 4 + count
    files = [path for path in fleet_mirror.rglob("*") if path.is_file()]
    assert len(files) == 2 * len(found)
