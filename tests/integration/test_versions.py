"""Which program plans: whole checks with the real terraform, and the command that tells."""

import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from driftfleet.jobs import Job, Limits, Source
from driftfleet.results import Result, Verdict
from driftfleet.version_settings import InstallSettings, TerraformSettings, VersionPin
from producer.commands import main
from tests import providers
from tests.binaries import opentofu
from tests.checks import local_tools
from tests.installers import Program, own_terraform
from worker.check import check
from worker.installed_programs import InstalledPrograms
from worker.process import Programs
from worker.tools import Tools
from worker.versions import ProgramsOnPath

# Nothing to do: terraform_data is planned to be created, an output alone is not even that.
EMPTY = "locals {\n  one = 1\n}\n"

LIMITS = Limits()
Answer = Callable[..., Result]


@pytest.fixture(scope="module")
def version() -> str:
    """The version of the terraform on the PATH."""
    providers.require_terraform()
    programs = Programs(1)
    try:
        (found,) = ProgramsOnPath(programs, "terraform", os.environ).installed("terraform")
    finally:
        programs.close()
    return str(found)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


@pytest.fixture
def tools(repository: Path) -> Iterator[Tools]:
    with local_tools(repository, "ver") as made:
        yield made


@pytest.fixture
def answer(tools: Tools, repository: Path) -> Answer:
    def run(root: str = "envs/prod", with_tools: Tools = tools, limits: Limits = LIMITS) -> Result:
        source = Source(kind="local", repo=str(repository))
        job = Job(sweep_id="test", source=source, root=root, limits=limits)
        return check(job, with_tools, lambda phase: None)

    return run


def write(repository: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)


def refusal(result: Result) -> str:
    """The message of an answer of the kind ``version``, decided before init."""
    assert result.verdict is Verdict.ERROR, result
    assert result.error is not None
    assert (result.error.phase, result.error.kind.value) == ("version", "version")
    assert result.timings_seconds.init == 0
    return result.error.message


def fake(folder: Path, name: str, printed: str, then: str = "exit 1") -> Path:
    """A program that says what version it is, and notes each time that it is run."""
    program = folder / name
    folder.mkdir(exist_ok=True)
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = version ]; then printf "{printed}\\n"; exit 0; fi\n{then}\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_a_root_that_excludes_the_terraform_that_is_here_names_every_constraint(
    answer: Answer, repository: Path, version: str
) -> None:
    write(
        repository,
        {
            "envs/prod/main.tf": EMPTY
            + 'module "a" {\n  source = "../../modules/a"\n}\n'
            + '# terraform { required_version = "< 0.1" }\n'
            + 'terraform {\n  required_version = ">= 0.11, < 0.12"\n}\n',
            "modules/a/main.tf.json": json.dumps({"terraform": {"required_version": "!= 0.11.3"}}),
            "modules/other/main.tf": 'terraform {\n  required_version = "= 9.9.9"\n}\n',
        },
    )
    message = refusal(answer())
    assert f"- '>= 0.11, < 0.12' (envs/prod/main.tf:9) excludes {version}" in message
    assert "- '!= 0.11.3' (modules/a/main.tf.json:1)" in message
    assert "9.9.9" not in message
    assert "< 0.1'" not in message
    assert f"The nearest is Terraform {version}" in message
    assert "such as 0.11.0" in message


def test_tfenvs_shim_is_never_what_plans(
    answer: Answer, repository: Path, tools: Tools, version: str, tmp_path: Path
) -> None:
    """It runs what a version file names, and a pin goes before the repository's files."""
    tfenv = tmp_path / "tfenv"
    binary = tfenv / "versions" / version / "terraform"
    for folder in (tfenv / "libexec", binary.parent):
        folder.mkdir(parents=True)
    binary.symlink_to(own_terraform()[0])
    (tfenv / "libexec" / "tfenv-exec").touch()
    fake(tfenv / "bin", "tfenv", "tfenv 3.2.0")
    shim = fake(tfenv / "bin", "terraform", f"Terraform v{version}", then=f"touch {tmp_path}/ran")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "terraform").symlink_to(shim)
    pinned = TerraformSettings(pins=(VersionPin(version=version),))
    write(repository, {"envs/prod/main.tf": EMPTY, "envs/prod/.terraform-version": "../../evil"})
    for folder in (shim.parent, tmp_path / "links"):
        path = f"{folder}:{os.environ['PATH']}"
        with_shim = replace(tools, environment={**tools.environment, "PATH": path})
        result = answer(with_tools=replace(with_shim, terraform=pinned))
        assert (result.verdict, result.error) == (Verdict.CLEAN, None)
        # Nor where nothing asks for a version.
        (repository / "envs" / "prod" / ".terraform-version").unlink()
        assert answer(with_tools=with_shim).verdict is Verdict.CLEAN
        write(repository, {"envs/prod/.terraform-version": "../../evil"})
    assert not (tmp_path / "ran").exists()
    binary.unlink()
    error = answer(with_tools=replace(with_shim, terraform=pinned)).error
    assert error is not None
    assert error.phase == "version"


@pytest.mark.parametrize("place", ["envs/prod/", "envs/", ""])
@pytest.mark.parametrize(
    ("name", "text"),
    [(".terraform-version", "{}\n"), (".terraform-version", "# ours\r\nv{}\r\n"),
     (".tool-versions", "python 3.12\nterraform {}\n")],
)  # fmt: skip
def test_a_root_whose_file_asks_for_what_is_here_is_clean(
    answer: Answer, repository: Path, version: str, place: str, name: str, text: str
) -> None:
    write(repository, {"envs/prod/main.tf": EMPTY, f"{place}{name}": text.replace("{}", version)})
    result = answer()
    assert result.verdict is Verdict.CLEAN, result
    assert result.versions.terraform == version


def test_another_version_is_missing_and_the_message_says_who_wants_it(
    answer: Answer, repository: Path, version: str
) -> None:
    write(repository, {"envs/prod/main.tf": EMPTY, "envs/.terraform-version": "\n1.5.7\n"})
    message = refusal(answer())
    assert message.startswith("Terraform 1.5.7 is wanted (envs/.terraform-version:2 says 1.5.7)")
    assert f"here are: {version}" in message
    assert "Install it where the worker's PATH has it as 'terraform'" in message


def test_a_file_of_a_repository_leads_to_no_program_of_its_own(
    answer: Answer, repository: Path, tmp_path: Path
) -> None:
    fake(repository / "x", "terraform", "Terraform v1.5.7", f"touch {tmp_path}/ran")
    for text in ("../../x", f"{repository}/x", "1.5.7/../../x", "path:../../x"):
        write(repository, {"envs/prod/main.tf": EMPTY, "envs/prod/.terraform-version": text})
        assert "envs/prod/.terraform-version:1: " in refusal(answer())
    assert not (tmp_path / "ran").exists()


def test_a_version_file_that_leads_out_of_the_repository_is_not_read(
    answer: Answer, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("1.5.7\n")
    write(repository, {"envs/prod/main.tf": EMPTY})
    (repository / ".terraform-version").symlink_to(tmp_path / "secret")
    result = answer()
    assert result.error is not None
    assert result.error.kind.value == "source_refused"
    assert ".terraform-version" in result.error.message


def test_a_folder_of_that_name_asks_for_nothing(answer: Answer, repository: Path) -> None:
    write(repository, {"envs/prod/main.tf": EMPTY, ".terraform-version/x": "1.5.7"})
    assert answer().verdict is Verdict.CLEAN


def test_the_settings_win_over_the_root(
    answer: Answer, repository: Path, tools: Tools, version: str
) -> None:
    write(repository, {"envs/prod/main.tf": EMPTY, "envs/prod/.terraform-version": "1.5.7"})
    pins = (VersionPin(root="envs/**", version=version),)
    pinned = replace(tools, terraform=TerraformSettings(pins=pins))
    assert answer(with_tools=pinned).verdict is Verdict.CLEAN
    pins = (VersionPin(root="envs/**", version="~> 0.11"),)
    other = replace(tools, terraform=TerraformSettings(pins=pins))
    assert "- '~> 0.11' (terraform.pins, entry 1)" in refusal(answer(with_tools=other))


def test_a_pin_that_required_version_excludes_names_both(answer: Answer, repository: Path) -> None:
    write(
        repository,
        {
            "main.tf": EMPTY + 'terraform {\n  required_version = ">= 1.6"\n}\n',
            ".terraform-version": "1.5.7",
        },
    )
    message = refusal(answer("."))
    assert "Terraform 1.5.7 is asked for by 1.5.7 (.terraform-version:1)" in message
    assert "- '>= 1.6' (main.tf:5) excludes 1.5.7" in message


def test_where_nothing_asks_nobody_is_asked_for_a_version(
    answer: Answer, repository: Path, tools: Tools, tmp_path: Path
) -> None:
    write(repository, {"envs/prod/main.tf": EMPTY})
    there = tmp_path / "bin"
    program = fake(
        there, "terraform", f"Terraform v1.2.3$(touch {tmp_path}/asked)", "echo no >&2; exit 1"
    )
    settings = tools.settings.model_copy(update={"terraform": str(program)})
    result = answer(with_tools=replace(tools, settings=settings))
    assert result.error is not None
    assert result.error.phase == "init"
    assert not (tmp_path / "asked").exists()


def test_a_program_that_does_not_tell_its_version_or_is_not_there_is_named(
    answer: Answer, repository: Path, tools: Tools, tmp_path: Path
) -> None:
    write(repository, {"main.tf": EMPTY + 'terraform {\n  required_version = ">= 1.0"\n}\n'})
    program = fake(tmp_path / "bin", "terraform", "no version")
    settings = tools.settings.model_copy(update={"terraform": str(program)})
    message = refusal(answer(".", with_tools=replace(tools, settings=settings)))
    assert f"{program} is there, and does not tell its version." in message
    assert "- '>= 1.0' (main.tf:5)" in message
    settings = tools.settings.model_copy(update={"terraform": str(tmp_path / "none")})
    result = answer(".", with_tools=replace(tools, settings=settings, environment={"PATH": ""}))
    assert result.error is not None
    assert result.error.kind.value == "terraform_missing"


def test_a_program_is_asked_once_and_again_when_it_has_changed(
    tools: Tools, tmp_path: Path
) -> None:
    def note(version: str) -> Path:
        return fake(tmp_path / "bin", "tofu", f"OpenTofu v{version}$(echo x >> {tmp_path}/asked)")

    note("1.6.2")
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    known = ProgramsOnPath(tools.programs, "no-terraform", {"PATH": path})
    for _ in range(3):
        assert [str(v) for v in known.installed("tofu")] == ["1.6.2"]
    assert known.installed("terraform") == []
    assert (tmp_path / "asked").read_text() == "x\n"
    os.utime(note("1.8.0"), ns=(1, 1))
    assert [str(v) for v in known.installed("tofu")] == ["1.8.0"]
    # The only one there plans whatever names no program.
    assert known.path_of(None, None) == tmp_path / "bin" / "tofu"


# The runner, and the program itself.
@pytest.mark.parametrize("victim", ["$PPID", "$$"])
def test_a_program_that_was_killed_while_it_was_asked_is_asked_again(
    answer: Answer, repository: Path, tools: Tools, version: str, tmp_path: Path, victim: str
) -> None:
    write(repository, {"envs/prod/main.tf": EMPTY, ".terraform-version": version})
    program, real = tmp_path / "bin" / "terraform", own_terraform()[0]
    once = f"mkdir {tmp_path}/killed 2>/dev/null && kill -KILL {victim}"
    fake(program.parent, "terraform", f"Terraform v{version}$({once})", f'exec {real} "$@"')
    settings = tools.settings.model_copy(update={"terraform": str(program)})
    # What it knows of programs is kept from check to check.
    known = ProgramsOnPath(tools.programs, str(program), tools.environment)
    same = replace(tools, settings=settings, installs=known)
    error = answer(with_tools=same).error
    assert error is not None
    assert (error.phase, error.kind.value, error.transient) == ("version", "killed", True)
    assert answer(with_tools=same).verdict is Verdict.CLEAN


def test_opentofu_plans_what_asks_for_it(
    answer: Answer, repository: Path, tools: Tools, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tofu").symlink_to(opentofu())
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    with_tofu = replace(tools, environment={**tools.environment, "PATH": path})
    known = ProgramsOnPath(tools.programs, "terraform", {"PATH": path})
    (version,) = known.installed("tofu")
    write(repository, {"envs/prod/main.tf": EMPTY, "envs/.opentofu-version": f"{version}\n"})
    result = answer(with_tools=with_tofu)
    assert result.verdict is Verdict.CLEAN, result
    assert result.versions.terraform == str(version)


class TestCommand:
    @pytest.fixture
    def fleet(
        self, repository: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        write(
            repository,
            {
                "a/main.tf": 'resource "terraform_data" "x" {}\n',
                "b/main.tf": 'resource "terraform_data" "x" {}\nmodule "m" { source = "./m" }\n',
                "b/m/main.tf": 'terraform {\n  required_version = "= 1.5.7"\n}\n',
                "c/main.tf": 'resource "terraform_data" "x" {}\n',
                "c/.terraform-version": "../../x\n",
                "d/e/main.tf": 'resource "terraform_data" "x" {}\n',
                "d/.terraform-version": f"{version}\n",
                "f/main.tf": 'resource "terraform_data" "x" {}\n',
                "f/.terraform-version": "1.5.7\n",
            },
        )
        monkeypatch.chdir(repository)
        # Whatever this machine has: no remote is asked, and nothing of ours is in the way.
        monkeypatch.setenv("DRIFTFLEET_INSTALLS__INSTALLER", "none")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return repository

    def test_it_prints_program_version_and_why(self, fleet: Path, version: str) -> None:
        done = CliRunner().invoke(main, ["versions", str(fleet)])
        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()
        assert lines[0].split() == ["ROOT", "PROGRAM", "VERSION", "WHY"]
        assert f"a     terraform  {version}   nothing asks for a version" in lines
        assert "- '= 1.5.7' (b/m/main.tf:2) excludes" in done.stdout
        assert "c/.terraform-version:1: '../../x' is not" in done.stdout
        assert f"d/.terraform-version:1 says {version}" in done.stdout
        assert "1.5.7    f/.terraform-version:1 says 1.5.7; not installed here" in done.stdout

    def test_json_is_one_record_a_root(self, fleet: Path, version: str) -> None:
        done = CliRunner().invoke(main, ["versions", "--json", str(fleet)])
        assert done.exit_code == 0, done.output
        records = {r["root"]: r for r in map(json.loads, done.stdout.splitlines())}
        assert list(records) == ["a", "b", "c", "d/e", "f"]
        assert (records["d/e"]["version"], records["d/e"]["installed"]) == (version, True)
        assert (records["f"]["version"], records["f"]["installed"]) == ("1.5.7", False)
        assert records["c"]["error"]
        assert records["d/e"]["place"] == "d/.terraform-version:1"

    def test_mistakes_are_explained(self, fleet: Path, tmp_path: Path) -> None:
        assert CliRunner().invoke(main, ["versions", str(fleet / "none")]).exit_code == 2
        config = tmp_path / "fleet.yaml"
        for text in ('{pins: [{version: "=> 1.5"}]}', "{pins: [{root: a}]}", "{default: 1.10}"):
            config.write_text(f"terraform: {text}\n")
            done = CliRunner().invoke(main, ["--config", str(config), "versions", str(fleet)])
            assert done.exit_code == 2, done.output
            assert "terraform." in done.stderr


def copy_of_terraform() -> str:
    """What an installer does that has the real terraform, whatever it is asked for."""
    return f"import shutil\nshutil.copy({str(own_terraform()[0])!r}, place)"


def listing(version: str) -> str:
    """What it lists: that version, older ones, prereleases, and one that is newer than all."""
    return f"print('99.0.0\\n99.1.0-beta1\\n{version}-rc1\\n{version}\\n1.0.0')"


def with_installer(tools: Tools, program: Program, folder: Path) -> Tools:
    """The tools of a worker with that installer and no terraform on its PATH."""
    on_path = ProgramsOnPath(tools.programs, "no-terraform", {"PATH": "/nonexistent"})
    installs = program.installs(folder / "installs")
    return replace(tools, installs=InstalledPrograms(on_path, installs, InstallSettings()))


class TestInstalling:
    """What the PATH lacks is installed, by an installer that has the real terraform."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Program:
        return Program(tmp_path / "bin", code=copy_of_terraform())

    @pytest.fixture
    def installing(self, tools: Tools, program: Program, tmp_path: Path) -> Tools:
        return with_installer(tools, program, tmp_path)

    def test_an_exact_version_is_installed_once_and_plans(
        self,
        answer: Answer,
        repository: Path,
        installing: Tools,
        program: Program,
        version: str,
    ) -> None:
        write(repository, {"envs/prod/main.tf": EMPTY, ".terraform-version": f"{version}\n"})
        for _ in range(2):
            result = answer(with_tools=installing)
            assert (result.verdict, result.error) == (Verdict.CLEAN, None)
            assert result.versions.terraform == version
        assert [start["words"] for start in program.starts] == [["install", version]]

    def test_a_constraint_gets_the_newest_release_that_satisfies_it(
        self,
        answer: Answer,
        repository: Path,
        tools: Tools,
        version: str,
        tmp_path: Path,
    ) -> None:
        program = Program(tmp_path / "bin", code=copy_of_terraform(), listing=listing(version))
        installing = with_installer(tools, program, tmp_path)
        wanted = f'terraform {{\n  required_version = "~> {version}"\n}}\n'
        write(repository, {"envs/prod/main.tf": EMPTY + wanted})
        for _ in range(2):
            result = answer(with_tools=installing)
            assert (result.verdict, result.error) == (Verdict.CLEAN, None)
            assert result.versions.terraform == version
        # Neither prereleases nor what is too new, and the second time nobody is asked.
        words = [start["words"] for start in program.starts]
        assert words == [["list-remote"], ["install", version]]
        # What is installed decides wherever it fits, unless the settings say otherwise.
        write(repository, {"envs/prod/main.tf": EMPTY + wanted.replace("~> ", ">= ")})
        assert answer(with_tools=installing).verdict is Verdict.CLEAN
        newest = replace(installing, terraform=TerraformSettings(prefer_installed=False))
        message = refusal(answer(with_tools=newest))
        assert "Terraform 99.0.0 is wanted" in message
        assert f"'{version}' is what was installed" in message

    def test_where_none_fits_the_nearest_release_is_named(
        self, answer: Answer, repository: Path, tools: Tools, tmp_path: Path
    ) -> None:
        program = Program(tmp_path / "bin", listing=listing("1.5.7"))
        wanted = 'terraform {\n  required_version = "= 98.0.0"\n}\n'
        write(repository, {"envs/prod/main.tf": EMPTY + wanted})
        message = refusal(answer(with_tools=with_installer(tools, program, tmp_path)))
        assert "no Terraform that is there or could be installed satisfies" in message
        assert "- '= 98.0.0' (envs/prod/main.tf:5) excludes 99.0.0" in message
        assert program.asked("install") == 0

    def test_a_remote_that_is_away_is_no_verdict_and_may_pass(
        self, answer: Answer, repository: Path, tools: Tools, tmp_path: Path
    ) -> None:
        code = "print('curl: (7) Failed to connect to mirror'); sys.exit(1)"
        program = Program(tmp_path / "bin", listing=code)
        wanted = 'terraform {\n  required_version = ">= 1.0"\n}\n'
        write(repository, {"envs/prod/main.tf": EMPTY + wanted})
        result = answer(with_tools=with_installer(tools, program, tmp_path))
        message = refusal(result)
        assert result.error is not None
        assert result.error.transient
        assert "- '>= 1.0' (envs/prod/main.tf:5)" in message
        assert "Failed to connect to mirror" in message

    def test_a_remote_that_never_answers_takes_no_more_than_the_checks_time(
        self, answer: Answer, repository: Path, tools: Tools, tmp_path: Path
    ) -> None:
        program = Program(tmp_path / "bin", listing="time.sleep(600)")
        wanted = 'terraform {\n  required_version = ">= 1.0"\n}\n'
        write(repository, {"envs/prod/main.tf": EMPTY + wanted})
        began = time.monotonic()
        limits = Limits(timeout_seconds=5)
        result = answer(with_tools=with_installer(tools, program, tmp_path), limits=limits)
        assert time.monotonic() - began < 60
        assert "was not done when its time was over" in refusal(result)

    def test_a_version_that_cant_be_installed_is_told_with_what_the_installer_said(
        self, answer: Answer, repository: Path, tools: Tools, tmp_path: Path
    ) -> None:
        code = "print('No versions matching 9.9.9 found in remote')\nsys.exit(1)"
        failing = with_installer(tools, Program(tmp_path / "bin", code=code), tmp_path)
        write(repository, {"envs/prod/main.tf": EMPTY, "envs/.terraform-version": "9.9.9"})
        error = answer(with_tools=failing).error
        assert error is not None
        assert (error.phase, error.kind.value) == ("version", "version")
        for part in ("9.9.9", "envs/.terraform-version:1", "No versions matching"):
            assert part in error.message

    def test_the_command_installs_ahead(
        self, repository: Path, program: Program, version: str, tmp_path: Path
    ) -> None:
        root = 'terraform {\n  backend "local" {}\n}\n'
        write(repository, {"a/main.tf": root, "a/.terraform-version": version})
        config = tmp_path / "fleet.yaml"
        config.write_text(
            "worker:\n  terraform: no-terraform\n"
            f"installs:\n  folder: {tmp_path / 'installs'}\n  installer: tfenv\n"
        )
        environment = {"DRIFTFLEET_TFENV": str(program.path)}
        arguments = ["--config", str(config), "versions", "--json", str(repository)]
        shown = CliRunner().invoke(main, arguments, env=environment)
        assert json.loads(shown.stdout)["installed"] is False
        arguments.insert(3, "--install")
        for _ in range(2):
            shown = CliRunner().invoke(main, arguments, env=environment)
            assert shown.exit_code == 0, shown.output
            assert json.loads(shown.stdout)["installed"] is True
        assert len(program.starts) == 1

    def test_the_command_that_installs_fails_where_a_root_goes_without(
        self, repository: Path, program: Program, version: str, tmp_path: Path
    ) -> None:
        root = 'terraform {\n  backend "local" {}\n}\n'
        write(repository, {"a/main.tf": root, "a/.terraform-version": version})
        write(repository, {"b/main.tf": root.replace("}\n}", '}\n  required_version = "> 98"\n}')})
        config = tmp_path / "fleet.yaml"
        config.write_text(
            f"worker:\n  terraform: no-terraform\ninstalls:\n  folder: {tmp_path / 'installs'}\n"
        )
        environment = {"DRIFTFLEET_TFENV": str(program.path)}
        arguments = ["--config", str(config), "versions", "--json", str(repository)]
        assert CliRunner().invoke(main, arguments, env=environment).exit_code == 0
        done = CliRunner().invoke(main, [*arguments, "--install"], env=environment)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(row["installed"], bool(row["error"])) for row in rows] == [
            (True, False),
            (False, True),
        ]
        assert done.exit_code == 1

    def test_the_command_shows_what_would_be_installed_and_installs_it(
        self, repository: Path, version: str, tmp_path: Path
    ) -> None:
        listed = tmp_path / "listed"
        listed.write_text(f"99.0.0\n{version}\n")
        code = f"print(open({str(listed)!r}).read())"
        program = Program(tmp_path / "bin", code=copy_of_terraform(), listing=code)
        for root in "ab":
            text = (
                f'terraform {{\n  backend "local" {{}}\n  required_version = "~> {version}"\n}}\n'
            )
            write(repository, {f"{root}/main.tf": text})
        config = tmp_path / "fleet.yaml"
        config.write_text(
            "worker:\n  terraform: no-terraform\n"
            f"installs:\n  folder: {tmp_path / 'installs'}\n  list_seconds: 0\n"
        )
        environment = {"DRIFTFLEET_TFENV": str(program.path)}
        arguments = ["--config", str(config), "versions", "--json", str(repository)]
        for option, installed in (([], False), (["--install"], True), ([], True)):
            done = CliRunner().invoke(main, [*arguments, *option], env=environment)
            assert done.exit_code == 0, done.output
            records = [json.loads(line) for line in done.stdout.splitlines()]
            assert [(r["version"], r["installed"]) for r in records] == [(version, installed)] * 2
        # Once a command, and not where what is installed decides.
        assert (program.asked("list-remote"), program.asked("install")) == (2, 1)
        listed.unlink()
        root = 'terraform {\n  backend "local" {}\n}\n'
        write(repository, {"a/main.tf": root, "a/.terraform-version": "latest:^99"})
        done = CliRunner().invoke(main, arguments, env=environment)
        assert json.loads(done.stdout.splitlines()[0])["version"] == "99.0.0"
        assert "could not be had anew" in done.stderr
        shutil.rmtree(tmp_path / "installs" / ".releases")
        done = CliRunner().invoke(main, arguments, env=environment)
        assert done.exit_code == 1
        assert (
            "What could be installed is not known"
            in json.loads(done.stdout.splitlines()[0])["error"]
        )
