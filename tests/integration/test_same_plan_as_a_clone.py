"""What was applied from a clone is clean: a workspace lacks nothing that the plan reads."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from driftfleet.jobs import Job, Source, Variant
from driftfleet.results import Verdict
from driftfleet.settings import GitHubSettings, Settings, WorkerSettings
from tests.conftest import require_program
from tests.standin import Link, StandIn
from tests.workers import short_folder
from worker.check import check
from worker.github_connection import connection_of
from worker.toolbox import build_tools
from worker.tools import Tools

# The clone's own git and terraform, with nothing of this machine's settings.
ALONE = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "CHECKPOINT_DISABLE": "1",
}  # fmt: skip


def data(expression: str) -> str:
    return f'resource "terraform_data" "x" {{\n  input = {expression}\n}}\n'


def call(source: str, more: str = "") -> str:
    return f'module "m" {{\n  source = "{source}"\n{more}}}\n'


VARIABLE = 'variable "d" {}\n'
SERVICES = {"root/services/a/service.yaml": "a", "root/services/a/main.tf": "locals {}\n"}
TEST = 'run "setup" {\n  module {\n    source = "SOURCE"\n  }\n}\n'
CASES: dict[str, Mapping[str, Any]] = {
    "fileset over folders that hold Terraform": {
        "root/main.tf": data('fileset(path.module, "services/*/service.yaml")'), **SERVICES
    },
    "the same, quoted": {
        "root/main.tf": data('fileset("${path.module}", "services/*/service.yaml")'), **SERVICES
    },
    "the same with a dot": {
        "root/main.tf": data('fileset("${path.module}/.", "**/*.yaml")'), **SERVICES
    },
    "the same from the current folder": {
        "root/main.tf": data('fileset(".", "**/*.yaml")'), **SERVICES
    },
    "fileset over a module that is called as well": {
        "root/main.tf": call("../m") + data('fileset("${path.module}/../m", "**")'),
        "m/main.tf": "", "m/sub/x.tf": "", "m/sub/y.txt": "y",
    },
    "a folder handed to a module": {
        "root/main.tf": call("../m", "  d = path.module\n"),
        "m/main.tf": VARIABLE + data('fileset(var.d, "services/*/service.yaml")'), **SERVICES,
    },
    "a folder that a local names": {
        "root/main.tf": 'locals {\n  n = "services/a"\n}\n'
        + data('fileexists("${path.module}/${local.n}/service.yaml")'), **SERVICES,
    },
    "the same without a base": {
        "root/main.tf": 'locals {\n  n = "services/a"\n}\n'
        + data('fileexists("${local.n}/service.yaml")'), **SERVICES,
    },
    "a path in terraform.tfvars": {
        "root/main.tf": VARIABLE + data('fileset(var.d, "*.json")'),
        "root/terraform.tfvars": 'd = "../policies"\n', "policies/a.json": "{}",
    },
    "a path in values that count by themselves": {
        "root/main.tf": VARIABLE + data("file(var.d)"),
        "root/a.auto.tfvars.json": '{"d": "./../policies/a.json"}', "policies/a.json": "{}",
    },
    "a path in a default": {
        "root/main.tf": 'variable "d" {\n  default = "./../policies"\n}\n'
        + data('fileset(var.d, "*.json")'), "policies/a.json": "{}",
    },
    "a comment before the path": {
        "root/main.tf": data('try(file(/* c */ "./../x.txt"), "none")'), "x.txt": "x",
    },
    "a heredoc's line that looks like a comment": {
        "root/main.tf": data('<<-EOT\n    # ${try(file("${path.module}/../p"), "none")}\n  EOT\n'),
        "p": "p",
    },
    "a local backend elsewhere": {
        "root/main.tf": 'terraform {\n  backend "local" {\n    path = "./../state/x.tfstate"\n'
        "  }\n}\n" + data('"x"'),
    },
    "tests that call a module": {
        "root/main.tf": data('"x"'),
        "root/tests/a.tftest.hcl": TEST.replace("SOURCE", "./tests/setup"),
        "root/b.tftest.hcl": TEST.replace("SOURCE", "../testing"),
        "root/tests/setup/main.tf": "", "testing/main.tf": "",
    },
    "an override of a source": {
        "root/main.tf": call("../gone"), "root/override.tf": call("../here"),
        "here/main.tf": data('"h"'),
    },
    "an override of a source that can't be had": {
        "root/main.tf": call("git::ssh://git@elsewhere.example/x/y.git"),
        "root/x_override.tf": call("../here"), "here/main.tf": data('"h"'),
    },
    "a linked module that calls its neighbour": {
        "root/main.tf": call("./linked"), "root/linked": Link("../modules/m"),
        "modules/m/main.tf": call("../x"), "modules/x/main.tf": data('"real"'),
        "root/x/main.tf": data('"other"'),
    },
    "a linked module whose neighbour is there alone": {
        "root/main.tf": call("./linked"), "root/linked": Link("../modules/m"),
        "modules/m/main.tf": call("../x"), "modules/x/main.tf": data('"real"'),
    },
    "a linked module that reads beside itself": {
        "root/main.tf": call("./linked"), "root/linked": Link("../modules/m"),
        "modules/m/main.tf": data('file("${path.module}/../shared.txt")'),
        "modules/shared.txt": "real", "root/shared.txt": "other",
    },
    "a folder of modules that is a link": {
        "root/main.tf": call("../linked/m"), "linked": Link("deep/modules"),
        "deep/modules/m/main.tf": call("../../x"), "deep/x/main.tf": data('"real"'),
        "x/main.tf": data('"other"'),
    },
    "a linked file": {
        "root/main.tf": Link("../common/main.tf"),
        "common/main.tf": data('file("${path.module}/x.txt")'),
        "root/x.txt": "root", "common/x.txt": "common",
    },
    "linked data": {
        "root/main.tf": data('fileset("${path.module}/data", "**")'),
        "root/data/a": "a", "root/data/l": Link("../../other"), "other/b": "b",
    },
    "line ends of another system": {
        ".gitattributes": "*.ps1 text eol=crlf\n*.id ident\n",
        "root/main.tf": data('[file("${path.module}/u.ps1"), file("${path.module}/v.id")]'),
        "root/u.ps1": "a\nb\n", "root/v.id": "$Id$\n",
    },
    "a list of paths beside nested Terraform": {
        "root/main.tf": data('[for p in ["services/a/service.yaml"] : fileexists(p)]'), **SERVICES,
    },
    "a path that a function makes, beneath the root": {
        "root/main.tf": data('file(format("services/%s/service.yaml", "a"))'), **SERVICES,
    },
    "a path that a file names, beneath the root": {
        "root/main.tf": data('[for p in yamldecode(file("c.yaml")) : file(p)]'),
        "root/c.yaml": "[services/a/service.yaml]", **SERVICES,
    },
    "a path in values, beneath the root": {
        "root/main.tf": VARIABLE + data('try(file(var.d), "none")'),
        "root/terraform.tfvars": 'd = "services/a/service.yaml"\n', **SERVICES,
    },
    "a path in a default, beneath the root": {
        "root/main.tf": 'variable "d" {\n  default = "services/a"\n}\n'
        + data('fileset(var.d, "*.yaml")'), **SERVICES,
    },
    "a local backend beneath the root": {
        "root/main.tf": 'terraform {\n  backend "local" {\n    path = "services/a/x.tfstate"\n'
        "  }\n}\n" + data('"x"'), **SERVICES,
    },
    "a template that lists what is beneath the root": {
        "root/main.tf": data('templatefile("t.tpl", {})'),
        "root/t.tpl": '${join(",", fileset("services", "**/*.yaml"))}', **SERVICES,
    },
    "fileset with a pattern that leads out": {
        "root/main.tf": data('fileset(path.module, "../shared/*.yaml")'), "shared/a.yaml": "a",
    },
    "the same in a module": {
        "root/main.tf": call("../m"), "m/main.tf": data('fileset(path.module, "../s/*.yaml")'),
        "s/a.yaml": "a",
    },
    "a pattern that holds its folder": {
        "root/main.tf": data('fileset("", "${path.module}/../shared/*.yaml")'),
        "shared/a.yaml": "a",
    },
    "a path in a default, from a module": {
        "root/main.tf": call("../m/n"),
        "m/n/main.tf": 'variable "d" {\n  default = "../shared"\n}\n'
        + data('fileset("${path.module}/${var.d}", "*")'), "m/shared/x": "1",
    },
    "fileset over a folder that is a module's source": {
        "root/main.tf": call("../m") + data('fileset("../m", "**/*.txt")'),
        "m/main.tf": "", "m/sub/x.tf": "", "m/sub/y.txt": "y",
    },
    "a base that a function makes": {
        "root/main.tf": data('try(file("${abspath(path.module)}/../x"), "none")'), "x": "1",
    },
    "a base that a local holds": {
        "root/main.tf": "locals {\n  b = path.module\n}\n"
        + data('try(file("${local.b}/../x"), "none")'), "x": "1",
    },
    "a base that is formatted": {
        "root/main.tf": data('try(file(format("%s/../x", path.module)), "none")'), "x": "1",
    },
    "an override with a dot in its name": {
        "root/main.tf": call("../gone"), "root/a.b_override.tf": call("../here"),
        "here/main.tf": data('"h"'),
    },
    "files that a nested module can't have": {
        "root/main.tf": data('"x"'), "root/nested/main.tf": "locals {}\n",
        "root/nested/big.bin": "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{'0' * 64}\nsize 12345\n",
        "root/nested/gone": Link("nowhere"), "root/nested/out": Link("../../../elsewhere"),
    },
    "every spelling of a module's folder": {
        "root/main.tf": "".join(
            call(source).replace('"m"', f'"m{number}"')
            for number, source in enumerate(
                ["./../x//sub", "../x/", "./../x/./sub/", "./b", "../root/b"]
            )
        ),
        "x/main.tf": data('"x"'), "x/sub/main.tf": data('"s"'), "root/b/main.tf": data('"b"'),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("ghe")) as standin:
        yield standin


@pytest.fixture
def tools(server: StandIn) -> Iterator[Tools]:
    require_program("terraform", "install Terraform 1.11")
    with short_folder("s") as place:
        settings = Settings(
            github=GitHubSettings(url=server.url, token="env://T"),
            worker=WorkerSettings(writable_root=place / "w"),
        )
        environment = {"PATH": os.environ["PATH"], "T": server.token}
        connection = connection_of(settings, environment)
        tools = build_tools(settings, environment, connection)
        yield tools
        tools.programs.close()
        assert connection is not None
        connection.close()


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, env=ALONE, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_what_was_applied_from_a_clone_is_clean(
    server: StandIn, tools: Tools, tmp_path: Path, case: str
) -> None:
    repo = f"payments/case-{list(CASES).index(case)}"
    server.add_repository(repo, CASES[case])
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(server.repository(repo).folder), str(clone))
    run(clone / "root", "terraform", "init", "-input=false")
    run(clone / "root", "terraform", "apply", "-auto-approve", "-input=false")
    run(clone / "root", "terraform", "plan", "-detailed-exitcode", "-input=false")
    states = {
        str(path.relative_to(clone)): path.read_bytes()
        for path in clone.rglob("*.tfstate")
        if ".terraform" not in path.parts
    }
    source = Source(kind="github", repo=repo, sha=server.commit(repo, states))
    result = check(Job(sweep_id="s", source=source, root="root"), tools, lambda phase: None)
    told = (result.verdict, result.error, result.changes)
    assert told == (Verdict.CLEAN, None, ()), told


def test_a_fetched_module_lies_where_it_does_in_a_clone(server: StandIn, tools: Tools) -> None:
    """``path.module`` of a module that was fetched gets into states: of a lambda's file, say."""
    server.add_repository(
        "payments/lambda",
        {
            "main.tf": 'resource "terraform_data" "x" {\n'
            '  count = path.module == ".terraform/modules/m" ? 0 : 1\n}\n'
        },
    )
    files = {"root/main.tf": call(f"git::{server.url}/payments/lambda.git")}
    sha = server.add_repository("payments/caller", files)
    source = Source(kind="github", repo="payments/caller", sha=sha)
    result = check(Job(sweep_id="s", source=source, root="root"), tools, lambda phase: None)
    assert (result.verdict, result.error) == (Verdict.CLEAN, None)


@pytest.mark.parametrize("setting", ["path=../state/p.tfstate", "root/p.tfbackend"])
def test_a_backend_that_a_variant_names_is_where_it_is_in_a_clone(
    server: StandIn, tools: Tools, setting: str
) -> None:
    state = {
        "version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "l", "resources": [],
        "outputs": {"o": {"value": "x", "type": "string"}},
    }  # fmt: skip
    files = {
        "root/main.tf": 'terraform {\n  backend "local" {}\n}\noutput "o" {\n  value = "x"\n}\n',
        "root/p.tfbackend": 'path = "../state/p.tfstate"\n',
        "state/p.tfstate": json.dumps(state),
    }
    variant = Variant(backend_config=(setting,))
    assert verdict_of(server, tools, files, variant) is Verdict.CLEAN


def test_a_path_in_a_variants_environment_is_there(server: StandIn, tools: Tools) -> None:
    files = {
        "root/main.tf": VARIABLE + 'resource "terraform_data" "x" {\n'
        '  count = length(fileset(var.d, "*.json")) == 1 ? 0 : 1\n}\n',
        "policies/a.json": "{}",
    }
    variant = Variant(env={"TF_VAR_d": "../policies"})
    assert verdict_of(server, tools, files, variant) is Verdict.CLEAN


@pytest.mark.parametrize("folder", [".terraform", ".terraform/providers", ".git/m"])
def test_a_module_in_a_folder_that_programs_write_to_is_refused(
    server: StandIn, tools: Tools, folder: str
) -> None:
    """What lies there would pass for what terraform has fetched itself, providers included."""
    files = {
        "root/main.tf": call("./m"),
        "root/m": Link(folder),
        f"root/{folder}/main.tf": data('"x"'),
    }
    if folder.startswith(".git/"):
        files = {"root/main.tf": call("./.hg/m"), "root/.hg/m/main.tf": data('"x"')}
    with pytest.raises(AssertionError, match="source_refused"):
        verdict_of(server, tools, files)


def verdict_of(
    server: StandIn, tools: Tools, files: Mapping[str, Any], variant: Variant | None = None
) -> Verdict:
    repo = f"payments/v-{secrets.token_hex(4)}"
    source = Source(kind="github", repo=repo, sha=server.add_repository(repo, files))
    job = Job(sweep_id="s", source=source, root="root", variant=variant or Variant())
    result = check(job, tools, lambda phase: None)
    assert result.error is None, result.error
    return result.verdict
