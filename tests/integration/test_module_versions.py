"""Modules that are fetched, and what they want of the version that plans."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from driftfleet.jobs import Job, Source
from driftfleet.results import Result, Verdict
from driftfleet.version_settings import InstallSettings, TerraformSettings
from tests.binaries import opentofu
from tests.checks import local_tools
from tests.conftest import require_program
from tests.installers import Program, own_terraform, renamed_terraform
from tests.standin.repositories import Link, create_bare, import_commit
from worker.check import check
from worker.installed_programs import InstalledPrograms
from worker.tools import Tools
from worker.versions import ProgramsOnPath

OUTPUT = "locals {\n  one = 1\n}\n"

Answer = Callable[..., Result]


def requires(constraint: str) -> str:
    return f'terraform {{\n  required_version = "{constraint}"\n}}\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "root").mkdir(parents=True)
    return folder


@pytest.fixture
def module(tmp_path: Path) -> Callable[..., str]:
    """Makes a repository of these files; returns the source of the module in its ``folder``."""
    require_program("git", "apt-get install git")

    def make(name: str, files: dict[str, str | Link], folder: str = "") -> str:
        create_bare(tmp_path / f"{name}.git")
        import_commit(tmp_path / f"{name}.git", files, branch="main")
        return f"git::file://{tmp_path}/{name}.git" + (f"//{folder}" if folder else "")

    return make


@pytest.fixture
def tools(repository: Path) -> Iterator[Tools]:
    with local_tools(repository, "mod") as made:
        yield made


@pytest.fixture
def answer(tools: Tools, repository: Path) -> Answer:
    def run(with_tools: Tools = tools) -> Result:
        source = Source(kind="local", repo=str(repository))
        return check(Job(sweep_id="t", source=source, root="root"), with_tools, lambda phase: None)

    return run


@pytest.fixture
def other(tmp_path: Path) -> tuple[Path, str]:
    """A terraform of another version, and which."""
    return renamed_terraform(tmp_path)


@pytest.fixture
def installing(tools: Tools, other: tuple[Path, str], tmp_path: Path) -> Tools:
    """A worker with the PATH's terraform, and an installer that has the other one."""
    binary, version = other
    program = Program(
        tmp_path / "bin",
        code=f"import shutil\nshutil.copy({str(binary)!r}, place)",
        listing=f"print('{version}')",
    )
    on_path = ProgramsOnPath(tools.programs, "terraform", tools.environment)
    installs = program.installs(tmp_path / "installs")
    return replace(tools, installs=InstalledPrograms(on_path, installs, InstallSettings()))


def write(repository: Path, *calls: str, text: str = OUTPUT) -> None:
    for number, source in enumerate(calls):
        text += f'module "m{number}" {{\n  source = "{source}"\n}}\n'
    (repository / "root" / "main.tf").write_text(text)


@pytest.mark.parametrize("text", [OUTPUT, OUTPUT + requires(">= 1.0")])
def test_a_version_that_a_fetched_module_accepts_is_installed_and_plans(
    answer: Answer,
    repository: Path,
    module: Callable[..., str],
    installing: Tools,
    other: tuple[Path, str],
    text: str,
) -> None:
    _, version = other
    deep = module("deep", {"main.tf": OUTPUT + requires(f"= {version}")})
    call = f'module "deep" {{\n  source = "{deep}"\n}}\n'
    files = {"modules/a/main.tf": requires(">= 1.0") + call, "modules/b/main.tf": requires("< 0.1")}
    write(repository, module("mono", files, "modules/a"), text=text)
    result = answer(installing)
    assert (result.verdict, result.error) == (Verdict.CLEAN, None)
    assert result.versions.terraform == version


def test_what_all_accept_stays_whatever_else_there_is(
    answer: Answer, repository: Path, module: Callable[..., str], installing: Tools
) -> None:
    _, version = own_terraform()
    write(repository, module("a", {"main.tf": OUTPUT + requires(">= 1.0")}))
    newest = replace(installing, terraform=TerraformSettings(prefer_installed=False))
    assert answer(newest).versions.terraform == version


def test_where_none_is_accepted_by_all_every_constraint_is_named_with_its_place(
    answer: Answer, repository: Path, module: Callable[..., str], installing: Tools
) -> None:
    _, version = own_terraform()
    deep = module("deep", {"a.tf.json": '{"terraform": {"required_version": "< 1.2"}}'})
    child = f'module "deep" {{\n  source = "{deep}"\n}}\n'
    write(
        repository,
        module("a", {"x/main.tf": child, "x/versions.tf": requires("> 1.0, < 1.3")}, "x"),
        text=requires(">= 1.1"),
    )
    result = answer(installing)
    assert result.error is not None
    assert (result.error.phase, result.error.kind.value) == ("version", "version")
    for line in (
        "- '>= 1.1' (root/main.tf:2)",
        "- '> 1.0, < 1.3' (module.m0: .terraform/modules/m0/x/versions.tf:2)",
        "- '< 1.2' (module.m0.module.deep: .terraform/modules/m0.deep/a.tf.json:1) excludes "
        f"{version}",
        "such as 1.1.0",
    ):
        assert line in result.error.message, result.error.message


def test_a_pin_that_a_fetched_module_excludes_is_named_beside_it(
    answer: Answer, repository: Path, module: Callable[..., str], installing: Tools
) -> None:
    _, version = own_terraform()
    write(repository, module("a", {"main.tf": requires("< 1.3")}))
    (repository / ".terraform-version").write_text(f"{version}\n")
    result = answer(installing)
    assert result.error is not None
    assert result.error.phase == "version"
    assert f"Terraform {version} is asked for by {version} (.terraform-version:1)" in (
        result.error.message
    )
    assert "module.m0: .terraform/modules/m0/main.tf:2" in result.error.message


def test_opentofu_is_refused_in_the_same_way(
    answer: Answer, repository: Path, module: Callable[..., str], tools: Tools, tmp_path: Path
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "tofu").symlink_to(opentofu())
    path = f"{tmp_path}/path:{os.environ['PATH']}"
    with_tofu = replace(tools, environment={**tools.environment, "PATH": path})
    write(repository, module("a", {"main.tf": requires("< 1.3")}))
    (repository / ".opentofu-version").write_text("latest\n")
    result = answer(with_tofu)
    assert result.error is not None
    assert (result.error.phase, result.error.kind.value) == ("version", "version")
    assert "OpenTofu 1.6.2 is asked for by latest" in result.error.message
    assert "- '< 1.3' (module.m0: .terraform/modules/m0/main.tf:2)" in result.error.message


def test_no_link_is_followed_out_of_the_workspace(
    answer: Answer, repository: Path, module: Callable[..., str], tools: Tools, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "main.tf").write_text(requires("= 9.9.9"))
    files = {
        "main.tf": 'module "b" {\n  source = "./b"\n}\n' + requires("< 1.3"),
        "x.tf": Link(str(outside / "main.tf")),
        "b": Link(str(outside)),
    }
    write(repository, module("a", files))
    result = answer(tools)
    assert result.error is not None
    assert result.error.phase == "version"
    assert "- '< 1.3' (module.m0: .terraform/modules/m0/main.tf:5)" in result.error.message
    assert "9.9.9" not in result.error.message


def test_what_is_too_large_to_be_read_leaves_terraforms_own_word(
    answer: Answer, repository: Path, module: Callable[..., str], tools: Tools
) -> None:
    write(repository, module("a", {"main.tf": requires("< 1.3") + "#" * (3 << 20)}))
    result = answer(tools)
    assert result.error is not None
    assert (result.error.phase, result.error.kind.value) == ("init", "version")
    assert "Unsupported Terraform Core version" in result.error.message
