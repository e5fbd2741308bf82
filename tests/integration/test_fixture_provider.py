"""The demo provider does what the other tests rely on, with the real terraform."""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.providers import (
    REPOSITORY,
    REQUIRES_DEMO,
    apply,
    build_mirror,
    eventually,
    fault_root,
    file_root,
    plan,
    processes_in_group,
    processes_with,
    require_terraform,
    terraform,
    terraform_environment,
    write_root,
)

Planned = tuple[int, dict]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_terraform()
    return build_mirror(tmp_path_factory.mktemp("mirror"), versions=("1.0.0", "1.1.0"))


@pytest.fixture
def environment(mirror: Path) -> Iterator[dict[str, str]]:
    with terraform_environment(mirror, {"AWS_REGION": "nowhere-1"}) as variables:
        yield variables
        left = os.listdir(variables["HOME"])
    assert left == [], "the provider wrote into HOME"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return tmp_path / "world" / "a.txt"


@pytest.fixture
def replan(
    tmp_path: Path, world: Path, mirror: Path, environment: dict[str, str]
) -> Callable[[str], Planned]:
    """Applies `content = "one"`; the function then plans the HCL that it is given."""
    root = write_root(tmp_path / "root", file_root(world, "one"))
    apply(root, mirror)
    terraform(root, environment, "init")

    def planned(hcl: str) -> Planned:
        write_root(root, hcl)
        return plan(root, environment)

    return planned


def drift(shown: dict) -> list[tuple[str, list[str]]]:
    found = shown.get("resource_drift", [])
    return [(change["address"], change["change"]["actions"]) for change in found]


def changes(shown: dict) -> list[tuple[str, list[str]]]:
    found = shown.get("resource_changes", [])
    return [(change["address"], change["change"]["actions"]) for change in found]


def test_an_applied_file_has_its_content_and_plans_clean(
    replan: Callable[[str], Planned], world: Path
) -> None:
    assert world.read_text() == "one"
    code, shown = replan(file_root(world, "one"))
    assert code == 0
    assert drift(shown) == []


def test_content_changed_outside_is_drift_and_an_update(
    replan: Callable[[str], Planned], world: Path
) -> None:
    world.write_text("changed by hand")
    code, shown = replan(file_root(world, "one"))
    assert code == 2
    assert drift(shown) == [("demo_file.this", ["update"])]
    assert changes(shown) == [("demo_file.this", ["update"])]
    after = shown["resource_drift"][0]["change"]["after"]
    assert after["content"] == "changed by hand"


def test_a_file_deleted_outside_is_drift_and_a_create(
    replan: Callable[[str], Planned], world: Path
) -> None:
    world.unlink()
    code, shown = replan(file_root(world, "one"))
    assert code == 2
    assert drift(shown) == [("demo_file.this", ["delete"])]
    assert changes(shown) == [("demo_file.this", ["create"])]


def test_changed_code_is_an_update_without_drift(
    replan: Callable[[str], Planned], world: Path
) -> None:
    code, shown = replan(file_root(world, "two"))
    assert code == 2
    assert drift(shown) == []
    assert changes(shown) == [("demo_file.this", ["update"])]


def test_another_path_replaces_the_file(replan: Callable[[str], Planned], world: Path) -> None:
    code, shown = replan(file_root(world.with_name("b.txt"), "one"))
    assert code == 2
    assert changes(shown) == [("demo_file.this", ["delete", "create"])]


def test_what_was_changed_outside_and_then_in_the_code_plans_no_change(
    replan: Callable[[str], Planned], world: Path
) -> None:
    world.write_text("two")
    code, shown = replan(file_root(world, "two"))
    assert code == 0
    assert drift(shown) == [("demo_file.this", ["update"])]


def test_an_update_and_a_destroy_reach_the_file(
    tmp_path: Path, world: Path, mirror: Path, environment: dict[str, str]
) -> None:
    root = write_root(tmp_path / "root", file_root(world, "one"))
    apply(root, mirror)
    write_root(root, file_root(world, "two", note="kept", labels={"team": "core"}))
    apply(root, mirror)
    assert world.read_text() == "two"
    terraform(root, environment, "init")
    assert plan(root, environment)[0] == 0
    terraform(root, environment, "destroy", "-auto-approve")
    assert not world.exists()


def test_empty_for_null_is_noise_in_an_otherwise_clean_plan(
    replan: Callable[[str], Planned], world: Path
) -> None:
    noisy = 'provider "demo" {\n  empty_for_null = true\n}\n'
    code, shown = replan(file_root(world, "one") + noisy)
    assert code == 0
    assert drift(shown) == [("demo_file.this", ["update"])]
    change = shown["resource_drift"][0]["change"]
    assert (change["before"]["note"], change["before"]["labels"]) == (None, None)
    assert (change["after"]["note"], change["after"]["labels"]) == ("", {})
    assert change["before"]["content"] == change["after"]["content"]


def test_the_data_source_reads_what_is_there_now(
    tmp_path: Path, world: Path, environment: dict[str, str]
) -> None:
    world.parent.mkdir()
    world.write_text("seen")
    hcl = f'data "demo_file" "this" {{\n  path = "{world}"\n}}\n'
    output = 'output "content" {\n  value = data.demo_file.this.content\n}\n'
    root = write_root(tmp_path / "root", REQUIRES_DEMO + hcl + output)
    terraform(root, environment, "init")
    _, shown = plan(root, environment)
    assert shown["output_changes"]["content"]["after"] == "seen"
    world.unlink()
    refused = terraform(root, environment, "plan", "-no-color", expect=(1,))
    assert "No such file" in refused.stderr


def test_the_examples_lock_file_holds_the_checksum_that_every_machine_builds(
    tmp_path: Path, mirror: Path, environment: dict[str, str]
) -> None:
    committed = (REPOSITORY / "examples/fleet/network/.terraform.lock.hcl").read_text()
    root = write_root(tmp_path / "root", file_root(tmp_path / "a", "one"))
    (root / ".terraform.lock.hcl").write_text(committed)
    terraform(root, environment, "init", "-lockfile=readonly")
    terraform(root, environment, "validate")
    scripts = [
        next(build_mirror(tmp_path / name, python=f"/{name}/python").rglob("*_v1.0.0")).read_text()
        for name in ("here", "there")
    ]
    assert scripts[0] == scripts[1]


# What the faults do. ------------------------------------------------------------------------------


@dataclass
class Running:
    """A plan that has begun to read its data source, in a process group of its own."""

    terraform: subprocess.Popen[str]

    @property
    def provider(self) -> psutil.Process:
        found = processes_in_group(self.terraform.pid)
        return next(p for p in found if any("demo_provider.py" in a for a in p.cmdline()))

    def everyone(self) -> list[psutil.Process]:
        return processes_in_group(self.terraform.pid)

    def kill(self) -> None:
        """End what is left of the group, and see it gone."""
        left = self.everyone()
        if left:
            os.killpg(self.terraform.pid, signal.SIGKILL)
        self.terraform.wait(60)
        _, alive = psutil.wait_procs(left, timeout=60)
        assert alive == []


@contextmanager
def planning(root: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    terraform(root, environment, "init")
    started = subprocess.Popen(
        [require_terraform(), "plan", "-lock=false", "-json"],
        cwd=root, env=dict(environment), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with started:
        running = Running(started)
        try:
            assert started.stdout is not None
            assert any('"apply_start"' in line for line in started.stdout), "it never read"
            yield running
        finally:
            running.kill()


@pytest.fixture
def faulty(tmp_path: Path) -> Callable[..., Path]:
    return lambda kind, **arguments: write_root(tmp_path / "r", fault_root(kind, **arguments))


def test_hang_never_answers_and_ends_on_term(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    with planning(faulty("hang"), environment) as running:
        everyone = running.everyone()
        assert len(everyone) >= 2
        _, alive = psutil.wait_procs(everyone, timeout=1)
        assert len(alive) == len(everyone), "something ended by itself"
        running.terraform.terminate()
        running.terraform.wait(60)
        _, alive = psutil.wait_procs(everyone, timeout=60)
        assert alive == []


def test_hang_is_ended_by_killing_the_group(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    with planning(faulty("hang"), environment) as running:
        everyone = running.everyone()
        os.killpg(running.terraform.pid, signal.SIGKILL)
        assert running.terraform.wait(60) == -signal.SIGKILL
        _, alive = psutil.wait_procs(everyone, timeout=60)
        assert alive == []


def ignores(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores a signal: a bit of SigIgn in proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_stubborn_survives_terms_and_only_a_kill_ends_it(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    with planning(faulty("stubborn"), environment) as running:
        provider = running.provider
        eventually(lambda: ignores(provider.pid, signal.SIGTERM))
        for _ in range(2):
            os.killpg(running.terraform.pid, signal.SIGTERM)
        provider.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs([provider], timeout=1.5)
        assert alive == [provider]
        assert running.terraform.poll() is None, "terraform waits for its provider"
        provider.kill()
        gone, _ = psutil.wait_procs([provider], timeout=60)
        assert gone == [provider]


def test_crash_ends_the_provider_and_the_plan_says_so(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    root = faulty("crash")
    terraform(root, environment, "init")
    done = terraform(root, environment, "plan", "-no-color", expect=(1,))
    # Whether terraform sees first that the process is gone, or that its connection is.
    assert "Plugin did not respond" in done.stderr or "Request cancelled" in done.stderr


def test_slow_answers_after_its_seconds(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    root = faulty("slow", seconds=1.5)
    terraform(root, environment, "init")
    begun = time.monotonic()
    terraform(root, environment, "plan")
    assert time.monotonic() - begun >= 1.5


def detail_of(root: Path, environment: Mapping[str, str]) -> dict:
    terraform(root, environment, "init")
    _, shown = plan(root, environment)
    return json.loads(shown["output_changes"]["detail"]["after"])


def test_write_leaves_its_megabytes_below_tmpdir(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    told = detail_of(faulty("write", megabytes=3), environment)
    folder = Path(told["folder"])
    assert folder.parent == Path(environment["TMPDIR"])
    assert sum(file.stat().st_size for file in folder.iterdir()) == told["bytes"] == 3 << 20


def test_write_can_hang_after_it_wrote(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    root = faulty("write", megabytes=1, then_hang=True)
    with planning(root, environment) as running:
        files = Path(environment["TMPDIR"])
        eventually(lambda: sum(f.stat().st_size for f in files.glob("fault-*/*")) == 1 << 20)
        _, alive = psutil.wait_procs([running.provider], timeout=0.5)
        assert len(alive) == 1


def test_memory_holds_its_megabytes(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    with planning(faulty("memory", megabytes=64, seconds=60), environment) as running:
        provider = running.provider
        eventually(lambda: provider.memory_info().rss >= 64 << 20)


def test_burn_uses_its_seconds_of_processor_time(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    root = faulty("burn", seconds=1)
    terraform(root, environment, "init")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    terraform(root, environment, "plan")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime >= 1


def test_child_leaves_a_plain_child_and_a_daemon(
    faulty: Callable[..., Path], environment: dict[str, str], tmp_path: Path
) -> None:
    marker = str(tmp_path)
    try:
        told = detail_of(faulty("child", marker=marker, seconds=120), environment)
        left = {process.pid: process for process in processes_with(marker)}
        assert {told["plain"], told["daemon"]} == set(left), "both outlive the plan"
        daemon = left[told["daemon"]]
        assert daemon.ppid() == left[told["plain"]].ppid()
        assert os.getsid(daemon.pid) != os.getsid(0)
        assert os.getsid(told["plain"]) == os.getsid(0)
    finally:
        mine = processes_with(marker)
        for process in mine:
            process.kill()
        _, alive = psutil.wait_procs(mine, timeout=60)
    assert alive == []


def test_environ_shows_what_the_provider_sees(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    root = faulty("environ")
    terraform(root, environment, "init")
    _, shown = plan(root, environment)
    seen = json.loads(shown["output_changes"]["environ"]["after"])
    for name in ("HOME", "TMPDIR", "PATH", "AWS_REGION"):
        assert seen[name] == environment[name]


def test_an_unknown_fault_is_refused_with_the_known_ones(
    faulty: Callable[..., Path], environment: dict[str, str]
) -> None:
    root = faulty("explode")
    terraform(root, environment, "init")
    done = terraform(root, environment, "plan", "-no-color", expect=(1,))
    assert "no such fault: explode" in done.stderr
    assert "stubborn" in done.stderr
