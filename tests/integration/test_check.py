"""A whole check against the real terraform and the demo provider: verdicts, faults, leftovers."""

import contextlib
import http.server
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.results import ErrorKind, Result, Verdict
from tests import providers
from tests.checks import local_tools
from tests.conftest import require_program
from tests.workers import users_of, wait_until
from worker.check import check
from worker.local_source import LocalSource
from worker.process import Programs
from worker.tools import Tools


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


@pytest.fixture(params=["none", "bubblewrap"])
def tools(
    request: pytest.FixtureRequest, mirror: Path, repository: Path, tmp_path: Path
) -> Iterator[Tools]:
    if request.param == "bubblewrap":
        require_program("bwrap", "apt-get install bubblewrap")
    # What the demo provider is made of, and its world.
    shown = (*providers.MADE_OF, tmp_path)
    with local_tools(
        repository, "test", mirror=mirror, isolation=request.param, isolation_shows=shown
    ) as made:
        yield made


@pytest.fixture
def answer(tools: Tools, repository: Path) -> Callable[..., Result]:
    def run(
        root: str = "root",
        *,
        variant: Variant | None = None,
        timeout_seconds: int = 60,
        workspace_bytes: int = 1 << 30,
        with_tools: Tools | None = None,
    ) -> Result:
        job = Job(
            sweep_id="test",
            source=Source(kind="local", repo=str(repository)),
            root=root,
            variant=variant or Variant(),
            limits=Limits(timeout_seconds=timeout_seconds, workspace_bytes=workspace_bytes),
        )
        return check(job, with_tools or tools, lambda phase: None)

    return run


BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'


def without(tools: Tools, verb: str, folder: Path, code: int = 1) -> Tools:
    """Tools whose terraform does nothing for ``verb`` but exit with ``code``."""
    program = folder / "terraform"
    real = providers.require_terraform()
    program.write_text(f'#!/bin/sh\ncase "$1" in {verb}) exit {code};; esac\nexec {real} "$@"\n')
    program.chmod(0o755)
    return replace(tools, settings=tools.settings.model_copy(update={"terraform": str(program)}))


def error_of(result: Result) -> tuple[str, str]:
    assert result.verdict is Verdict.ERROR, result
    assert result.error is not None
    return result.error.phase, result.error.kind.value


def test_a_root_that_agrees_is_clean_and_its_provider_is_named(
    answer, repository, mirror, tmp_path
):
    root = providers.write_root(repository / "root", providers.file_root(tmp_path / "world", "one"))
    providers.apply(root, mirror)
    result = answer()
    assert result.verdict is Verdict.CLEAN, result
    assert result.changes == ()
    assert result.versions.terraform.startswith("1.")
    assert result.versions.providers == {providers.PROVIDER_ADDRESS: "1.0.0"}
    assert result.workspace_peak_bytes > 0
    assert result.timings_seconds.plan > 0


def test_what_changed_outside_is_drift_with_address_and_attributes(
    answer, repository, mirror, tmp_path
):
    world = tmp_path / "world"
    root = providers.write_root(repository / "root", providers.file_root(world, "one"))
    providers.apply(root, mirror)
    world.write_text("two")
    result = answer()
    assert result.verdict is Verdict.DRIFTED
    assert [(c.address, c.kind, c.actions) for c in result.changes] == [
        ("demo_file.this", "drift", ("update",))
    ]
    assert "content" in result.changes[0].attributes
    assert "two" not in result.model_dump_json()


def test_what_the_code_agrees_with_is_clean_with_a_note_and_needs_no_show(
    answer, repository, mirror, tools, tmp_path
):
    world = tmp_path / "world"
    root = providers.write_root(repository / "root", providers.file_root(world, "one"))
    providers.apply(root, mirror)
    world.write_text("two")
    providers.write_root(root, providers.file_root(world, "two"))
    result = answer(with_tools=without(tools, "show", tmp_path))
    assert result.verdict is Verdict.CLEAN, result
    assert "demo_file.this (content, sha256)" in result.notes[0]


def test_the_repository_is_not_written_to(answer, repository):
    providers.write_root(repository / "root", BUILTIN)
    before = sorted(path for path in repository.rglob("*"))
    assert answer().verdict is Verdict.UNAPPLIED
    assert sorted(path for path in repository.rglob("*")) == before


def test_a_root_finds_the_modules_and_files_outside_its_folder(answer, repository):
    providers.write_root(
        repository / "stacks" / "root",
        'module "m" {\n  source = "../../modules/m"\n}\n'
        'output "text" {\n  value = file("${path.module}/../../shared/text.txt")\n}\n',
    )
    providers.write_root(
        repository / "modules" / "m", 'module "n" {\n  source = "../n"\n}\n' + BUILTIN
    )
    providers.write_root(repository / "modules" / "n", BUILTIN)
    (repository / "shared").mkdir()
    (repository / "shared" / "text.txt").write_text("text")
    result = answer("stacks/root")
    assert result.verdict is Verdict.UNAPPLIED, result
    assert {c.address for c in result.changes} == {
        "module.m.terraform_data.this", "module.m.module.n.terraform_data.this", "output.text",
    }  # fmt: skip


def test_variables_and_workspaces_of_a_variant_are_used(answer, repository, mirror):
    root = providers.write_root(
        repository / "root",
        'variable "size" {}\nresource "terraform_data" "this" {\n  input = var.size\n}\n',
    )
    (repository / "big.tfvars").write_text('size = "big"\n')
    with providers.terraform_environment(mirror) as environment:
        providers.terraform(root, environment, "init")
        providers.terraform(root, environment, "workspace", "new", "blue")
        providers.terraform(root, environment, "apply", "-auto-approve", "-var-file=../big.tfvars")
    shutil.rmtree(root / ".terraform")
    blue = Variant(name="blue", workspace="blue", var_files=("big.tfvars",))
    assert answer(variant=blue).verdict is Verdict.CLEAN
    by_environment = Variant(name="blue", workspace="blue", env={"TF_VAR_size": "small"})
    assert answer(variant=by_environment).verdict is Verdict.UNAPPLIED


def test_a_workspace_that_does_not_exist_is_an_error_and_not_all_new(answer, repository):
    providers.write_root(repository / "root", BUILTIN)
    result = answer(variant=Variant(name="v", workspace="nowhere"))
    assert error_of(result) == ("init", "workspace_missing")


def test_a_variable_that_the_setting_does_not_allow_is_refused(answer, repository):
    providers.write_root(repository / "root", BUILTIN)
    result = answer(variant=Variant(env={"LD_PRELOAD": "/tmp/x.so"}))
    assert error_of(result) == ("source", "job_refused")


def test_a_folder_that_the_settings_do_not_allow_is_refused(answer, repository, tools):
    providers.write_root(repository / "root", BUILTIN)
    strict = replace(tools, source=LocalSource([]))
    assert error_of(answer(with_tools=strict)) == ("source", "job_refused")


def test_a_link_out_of_the_repository_is_refused_by_name(answer, repository):
    root = providers.write_root(repository / "root", BUILTIN)
    (root / "passwd").symlink_to("/etc/passwd")
    result = answer()
    assert error_of(result) == ("source", "source_refused")
    assert "root/passwd" in result.error.message


def test_a_linked_folder_out_of_the_repository_is_refused_too(answer, repository, tmp_path):
    outside = tmp_path / "outside"
    providers.write_root(outside / "root", BUILTIN)
    (outside / "secret.txt").write_text("secret")
    (repository / "shared").symlink_to(outside)
    providers.write_root(
        repository / "root", 'output "x" {\n  value = file("../shared/secret.txt")\n}\n'
    )
    assert error_of(answer()) == ("source", "source_refused")
    assert error_of(answer("shared/root")) == ("source", "source_refused")


def test_a_clean_up_that_fails_is_an_error_and_no_verdict_with_an_error(answer, repository, tools):
    class Failing(Programs):
        def guard(self, workspace: Path | None) -> None:
            if workspace is None:
                raise OSError("the runner is gone")
            super().guard(workspace)

    providers.write_root(repository / "root", BUILTIN)
    programs = Failing(1)
    result = answer(with_tools=replace(tools, programs=programs))
    programs.close()
    assert error_of(result)[1] == "internal"


def test_a_link_inside_the_repository_is_followed(answer, repository):
    root = providers.write_root(repository / "root", "")
    (repository / "common.tf").write_text(BUILTIN)
    (root / "common.tf").symlink_to("../common.tf")
    assert [c.address for c in answer().changes] == ["terraform_data.this"]


def test_a_plan_that_ends_well_without_having_told_anything_is_not_clean(
    answer, repository, tools, tmp_path
):
    providers.write_root(repository / "root", BUILTIN)
    result = answer(with_tools=without(tools, "plan", tmp_path, code=0))
    assert error_of(result) == ("plan", "plan_unreadable")


class TestFaults:
    """What a provider may do to its worker."""

    @pytest.mark.parametrize("kind", ["hang", "stubborn"])
    def test_a_plan_that_never_ends_is_ended(self, answer, repository, kind):
        providers.write_root(repository / "root", providers.fault_root(kind))
        started = time.monotonic()
        result = answer(timeout_seconds=10)
        assert error_of(result) == ("plan", "timeout")
        assert time.monotonic() - started < 40
        assert "limits.timeout_seconds" in result.error.message

    def test_a_slow_plan_is_waited_for(self, answer, repository):
        providers.write_root(repository / "root", providers.fault_root("slow", seconds=2))
        result = answer()
        assert result.verdict is not Verdict.ERROR, result
        assert result.timings_seconds.plan >= 2

    def test_a_crash_is_an_error_of_its_own(self, answer, repository):
        providers.write_root(repository / "root", providers.fault_root("crash"))
        assert error_of(answer()) == ("plan", "provider_crashed")

    def test_a_plan_that_fills_the_disk_is_ended_at_its_quota(self, answer, repository):
        # So slowly that whoever watches may stand still for some seconds.
        providers.write_root(
            repository / "root", providers.fault_root("write", megabytes=200, seconds=20)
        )
        result = answer(workspace_bytes=10 << 20, timeout_seconds=50)
        assert error_of(result) == ("plan", "disk_quota")
        assert result.workspace_peak_bytes < 100 << 20

    def test_a_killed_runner_takes_its_plan_along(self, answer, repository, tools):
        providers.write_root(repository / "root", providers.fault_root("hang"))
        killed = threading.Thread(target=_kill_the_runner_while_it_plans)
        killed.start()
        result = answer()
        killed.join()
        assert error_of(result) == ("plan", "killed")
        assert users_of(tools.settings.writable_root) == []
        providers.write_root(repository / "root", BUILTIN)
        assert answer().verdict is Verdict.UNAPPLIED

    def test_a_plan_that_freezes_its_runner_leaves_nothing_either(self, answer, repository, tools):
        # `external` is what a hostile root would use; the mirror's script stands for it.
        mirror = repository.parent / "hostile"
        providers.build_mirror(mirror)
        (script,) = mirror.rglob("terraform-provider-demo*")
        freeze = (
            "runner=$(cut -d' ' -f4 /proc/$PPID/stat)\n/bin/sleep 1000 &\nkill -STOP $runner\n"
            "exec /bin/sleep 1000\n"
        )
        script.write_text(script.read_text().replace("\n", f"\n{freeze}", 1))
        providers.write_root(repository / "root", providers.fault_root("slow", seconds=1))
        settings = tools.settings.model_copy(update={"mirror": mirror})
        result = answer(timeout_seconds=3, with_tools=replace(tools, settings=settings))
        assert error_of(result)[1] == "timeout"
        assert users_of(tools.settings.writable_root) == []

    def test_children_left_behind_do_not_outlive_the_check(self, answer, repository, tmp_path):
        marker = str(tmp_path / "marker")
        providers.write_root(repository / "root", providers.fault_root("child", marker=marker))
        result = answer()
        assert result.verdict is not Verdict.ERROR, result
        assert providers.processes_with(marker) == []

    def test_a_plan_sees_only_what_the_allow_list_names(self, answer, repository, tools, tmp_path):
        # The mirror's provider is a script: this one writes down what it was started with.
        dump = tmp_path / "environ"
        mirror = tmp_path / "mirror"
        providers.build_mirror(mirror)
        (script,) = mirror.rglob("terraform-provider-demo*")
        shebang, rest = script.read_text().split("\n", 1)
        script.write_text(f"{shebang}\n/usr/bin/env > {dump}\n{rest}")
        providers.write_root(repository / "root", providers.fault_root("environ"))
        own = {
            **tools.environment,
            "DRIFTFLEET_BROKER__URL": "redis://:planted-secret@h",
            "GITHUB_TOKEN": "planted-token",
            "AWS_REGION": "eu-west-1",
        }
        # It has to write where isolated plans can't; those are in test_isolation.py.
        settings = tools.settings.model_copy(update={"mirror": mirror, "isolation": "none"})
        result = answer(with_tools=replace(tools, environment=own, settings=settings))
        assert result.verdict is not Verdict.ERROR, result
        seen = dict(line.split("=", 1) for line in dump.read_text().splitlines() if "=" in line)
        assert seen["AWS_REGION"] == "eu-west-1"
        assert "planted" not in dump.read_text()
        assert not [name for name in seen if name.startswith(("DRIFTFLEET_", "GITHUB_"))]


class TestCost:
    """Every result tells what its check took, however it ended."""

    def test_processor_time_is_that_of_the_programs(self, answer, repository):
        providers.write_root(repository / "root", providers.fault_root("burn", seconds=2))
        cost = answer().cost
        # terraform starts the provider three times, which takes about a second in all.
        assert 2 < cost.cpu_seconds < 8
        assert cost.api_calls == 0

    def test_memory_is_what_the_provider_held_and_terraform_beside_it(self, answer, repository):
        providers.write_root(
            repository / "root", providers.fault_root("memory", megabytes=200, seconds=3)
        )
        # It has them twice for a moment, and is Python.
        assert 250 << 20 < answer().cost.peak_memory_bytes < 700 << 20

    def test_disk_is_what_the_workspace_held(self, answer, repository):
        providers.write_root(
            repository / "root", providers.fault_root("write", megabytes=20, seconds=1)
        )
        result = answer()
        assert 20 << 20 <= result.cost.peak_disk_bytes < 40 << 20
        assert result.cost.peak_disk_bytes == result.workspace_peak_bytes

    def test_a_plan_without_a_provider_costs_little_and_not_nothing(self, answer, repository):
        providers.write_root(repository / "root", BUILTIN)
        cost = answer().cost
        assert 0.02 < cost.cpu_seconds < 2
        assert 20 << 20 < cost.peak_memory_bytes < 200 << 20

    def test_a_plan_that_ran_out_of_time_has_its_cost(self, answer, repository):
        providers.write_root(repository / "root", providers.fault_root("burn", seconds=600))
        result = answer(timeout_seconds=15)
        assert error_of(result) == ("plan", "timeout")
        assert result.cost.cpu_seconds > 1
        assert result.cost.peak_memory_bytes > 50 << 20

    def test_a_plan_whose_runner_was_killed_has_what_it_took_until_then(self, answer, repository):
        providers.write_root(
            repository / "root", providers.fault_root("memory", megabytes=200, seconds=60)
        )
        killed = threading.Thread(target=_kill_the_runner_while_it_plans, args=(200 << 20,))
        killed.start()
        result = answer()
        killed.join()
        assert error_of(result) == ("plan", "killed")
        assert result.cost.peak_memory_bytes >= 200 << 20
        assert result.cost.cpu_seconds > 0.1

    def test_a_check_is_not_charged_for_the_one_before(self, answer, repository):
        providers.write_root(
            repository / "root", providers.fault_root("memory", megabytes=200, seconds=3)
        )
        providers.write_root(repository / "small", BUILTIN)
        before, after = answer().cost, answer("small").cost
        assert after.peak_memory_bytes < before.peak_memory_bytes / 2
        assert after.cpu_seconds < before.cpu_seconds


def _kill_the_runner_while_it_plans(once_resident_bytes: int = 0) -> None:
    found: list[psutil.Process] = []

    def is_planning() -> bool:
        for one in psutil.Process().children(recursive=True):
            # Those of init come and go while we look, and so do providers.
            with contextlib.suppress(psutil.Error):
                if one.name() == "terraform" and "plan" in one.cmdline():
                    held = [child.memory_info().rss for child in one.children()]
                    found.extend([one] if held and max(held) >= once_resident_bytes else [])
        return found != []

    assert wait_until(is_planning, 50)
    # The runner looks a few times a second.
    time.sleep(3 if once_resident_bytes else 0)
    found[0].parent().kill()


class TestErrors:
    """Roots that can't be judged: never silence, never `clean`."""

    def test_a_broken_file_is_named_with_its_line(self, answer, repository):
        providers.write_root(repository / "root", 'resource "terraform_data" "x" {\n  input = \n')
        result = answer()
        assert error_of(result) == ("init", "hcl")
        assert "main.tf" in result.error.message

    def test_a_provider_that_the_mirror_lacks_is_named_with_the_mend(self, answer, repository):
        providers.write_root(repository / "root", 'resource "null_resource" "x" {}\n')
        result = answer()
        assert error_of(result) == ("init", "provider_missing")
        assert "hashicorp/null" in result.error.message
        command = f"driftfleet mirror sync {repository} --mirror "
        assert f"Run: {command}" in result.error.message

    def test_a_mirror_that_others_can_write_to_is_refused(
        self, answer, repository, tools, tmp_path
    ):
        mirror = tmp_path / "open"
        (mirror / "registry.terraform.io").mkdir(parents=True)
        (mirror / "registry.terraform.io").chmod(0o777)
        settings = tools.settings.model_copy(update={"mirror": mirror})
        providers.write_root(repository / "root", BUILTIN)
        result = answer(with_tools=replace(tools, settings=settings))
        assert error_of(result) == ("init", "worker_config")
        assert f"{mirror}/registry.terraform.io" in result.error.message
        assert f"chmod -R go-w {mirror}" in result.error.message

    def test_a_version_that_is_not_allowed_is_an_error(self, answer, repository):
        providers.write_root(repository / "root", 'terraform {\n  required_version = "< 1.0"\n}\n')
        assert error_of(answer())[1] == "version"

    def test_a_source_that_leads_out_of_the_repository_is_refused(self, answer, repository):
        providers.write_root(repository / "root", 'module "m" {\n  source = "../../elsewhere"\n}\n')
        result = answer()
        assert error_of(result) == ("source", "module_fetch")
        assert "../../elsewhere" in result.error.message

    def test_a_terraform_file_that_is_a_pipe_is_refused(self, answer, repository):
        """Without it the plan would be another one; with it terraform would wait for ever."""
        providers.write_root(repository / "root", "")
        os.mkfifo(repository / "root" / "x.tf")
        result = answer()
        assert error_of(result) == ("source", "source_refused")
        assert "root/x.tf: is no regular file" in result.error.message

    def test_a_lock_file_beyond_reason_is_refused(self, answer, repository):
        providers.write_root(repository / "root", "")
        (repository / "root" / ".terraform.lock.hcl").write_bytes(b"#" * ((1 << 20) + 1))
        result = answer()
        assert error_of(result) == ("init", "source_refused")
        assert "larger than 1 MiB" in result.error.message

    def test_a_missing_terraform_says_what_to_do(self, answer, repository, tools):
        providers.write_root(repository / "root", BUILTIN)
        settings = tools.settings.model_copy(update={"terraform": "no-such-terraform"})
        result = answer(with_tools=replace(tools, settings=settings))
        assert error_of(result) == ("version", "terraform_missing")

    def test_a_folder_that_is_gone_is_an_error(self, answer):
        assert error_of(answer("nowhere")) == ("source", "source_missing")

    def test_a_root_larger_than_its_quota_is_not_copied_whole(self, answer, repository):
        root = providers.write_root(repository / "root", BUILTIN)
        (root / "blob").write_bytes(b"x" * 3_000_000)
        result = answer(workspace_bytes=1_000_000)
        assert error_of(result) == ("source", "disk_quota")

    def test_a_local_state_that_is_missing_is_everything_to_add(self, answer, repository):
        providers.write_root(repository / "root", BUILTIN)
        result = answer()
        assert (result.verdict, result.summary.add) == (Verdict.UNAPPLIED, 1)


class TestReadOnly:
    """A check never takes a lock and never writes a state."""

    def test_neither_init_nor_plan_locks_or_writes_a_remote_state(self, answer, repository):
        with _state_server() as (address, asked):
            root = providers.write_root(
                repository / "root",
                f'terraform {{\n  backend "http" {{\n    address = "{address}"\n'
                f'    lock_address = "{address}"\n    unlock_address = "{address}"\n  }}\n}}\n'
                + BUILTIN,
            )
            # A state that somebody left beside the code: terraform would offer to copy it.
            (root / "terraform.tfstate").write_text(
                '{"version": 4, "terraform_version": "1.5.0", "serial": 1, "lineage": "x",'
                ' "outputs": {}, "resources": []}'
            )
            answer()
        assert asked
        assert set(asked) == {"GET"}


@contextlib.contextmanager
def _state_server() -> Iterator[tuple[str, list[str]]]:
    """An empty state behind Terraform's http backend, and the methods that it was asked with."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Callable[[], None]:
            if not name.startswith("do_"):
                raise AttributeError(name)
            return self._answer

        def _answer(self) -> None:
            asked.append(self.command)
            self.send_response(404 if self.command == "GET" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/state", asked
        finally:
            server.shutdown()
            thread.join()


class TestLockFiles:
    """Recorded versions are kept; hashes of another platform's are completed in the copy."""

    HASH = "h1:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ="

    def lock(self, root: Path, version: str = "1.0.0") -> Path:
        path = root / ".terraform.lock.hcl"
        path.write_text(
            f'provider "{providers.PROVIDER_ADDRESS}" {{\n  version     = "{version}"\n'
            f'  constraints = "{version}"\n  hashes = [\n    "{self.HASH}",\n  ]\n}}\n'
        )
        return path

    def test_another_platforms_lock_file_is_completed_in_the_copy(
        self, answer, repository, tmp_path
    ):
        root = providers.write_root(
            repository / "root", providers.file_root(tmp_path / "world", "one")
        )
        lock = self.lock(root)
        before = lock.read_text()
        result = answer()
        assert result.verdict is Verdict.UNAPPLIED, result
        assert any("lock file" in note for note in result.notes)
        assert lock.read_text() == before

    def test_or_is_an_error_where_the_setting_says_so(self, answer, repository, tools, tmp_path):
        root = providers.write_root(
            repository / "root", providers.file_root(tmp_path / "world", "one")
        )
        self.lock(root)
        settings = tools.settings.model_copy(update={"complete_lock_files": False})
        result = answer(with_tools=replace(tools, settings=settings))
        assert error_of(result) == ("init", ErrorKind.LOCK_MISMATCH.value)

    def test_hashes_that_were_verified_do_not_hide_a_changed_package(
        self, answer, repository, tools, tmp_path
    ):
        mirror = tmp_path / "mirror"
        providers.build_mirror(mirror)
        settings = tools.settings.model_copy(
            update={"mirror": mirror, "complete_lock_files": False}
        )
        own = replace(tools, settings=settings)
        root = providers.write_root(
            repository / "root", providers.file_root(tmp_path / "world", "one")
        )
        providers.apply(root, mirror)
        assert providers.PROVIDER_ADDRESS in (root / ".terraform.lock.hcl").read_text()
        assert answer(with_tools=own).verdict is Verdict.CLEAN
        (script,) = mirror.rglob("terraform-provider-demo*")
        script.write_text(script.read_text() + "# changed\n")
        assert error_of(answer(with_tools=own)) == ("init", ErrorKind.LOCK_MISMATCH.value)

    def test_a_package_that_cannot_be_read_is_terraforms_to_tell(
        self, answer, repository, tools, tmp_path
    ):
        """As one that somebody removes while it is hashed."""
        mirror = tmp_path / "mirror"
        providers.build_mirror(mirror)
        settings = tools.settings.model_copy(update={"mirror": mirror})
        own = replace(tools, settings=settings)
        root = providers.write_root(
            repository / "root", providers.file_root(tmp_path / "world", "one")
        )
        self.lock(root)
        (script,) = mirror.rglob("terraform-provider-demo*")
        # A file that can be opened and not read.
        script.with_name("broken").symlink_to("/proc/self/mem")
        phase, kind = error_of(answer(with_tools=own))
        assert phase == "init"
        assert kind != ErrorKind.INTERNAL.value

    def test_a_recorded_version_that_the_mirror_lacks_is_never_upgraded(
        self, answer, repository, tmp_path
    ):
        root = providers.write_root(
            repository / "root",
            providers.file_root(tmp_path / "world", "one").replace('"1.0.0"', '">= 0.9"'),
        )
        self.lock(root, version="0.9.0")
        result = answer()
        assert error_of(result) == ("init", "provider_missing")
        assert "0.9.0" in result.error.message


def test_a_folder_that_an_expression_names_is_whole(answer, repository):
    root = providers.write_root(
        repository / "root",
        'locals {\n  names = fileset("${path.module}/data", "**")\n}\n'
        'output "names" {\n  value = local.names\n  precondition {\n'
        "    condition     = length(local.names) == 2\n"
        '    error_message = "a file is missing"\n  }\n}\n',
    )
    providers.write_root(root / "data" / "nested", BUILTIN)
    (root / "data" / "text").write_text("x")
    assert answer().verdict is Verdict.UNAPPLIED, answer()
