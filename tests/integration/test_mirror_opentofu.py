"""The mirror where OpenTofu plans, and where a root names none of its providers."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from driftfleet.configuration import process_environment
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.mirror.layout import Package, unpacked
from driftfleet.mirror.needs import needs_of
from driftfleet.results import Result, Verdict
from driftfleet.settings import WorkerSettings
from driftfleet.tree import LocalTree
from tests import providers
from tests.binaries import opentofu
from tests.folder_server import FolderServer
from tests.integration.test_mirror_registry import serving_registry
from tests.integration.test_mirror_sync import run
from tests.workers import short_folder
from worker.check import Tools, check
from worker.local_source import LocalSource
from worker.process import Programs
from worker.workspace import Workspaces

LINUX = "linux_amd64"
TERRAFORM, TOFU = "registry.terraform.io", "registry.opentofu.org"
MODULE = providers.REPOSITORY / "examples" / "provider" / "demo_provider.py"
NAMED = providers.REQUIRES_DEMO.replace('"1.0.0"', '">= 1.0"')
UNNAMED = 'data "terraform_remote_state" "s" {\n  backend = "local"\n  count = 0\n}\n'


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FolderServer]:
    """Both public registries on loopback, with a demo provider that works; ``agents`` asked."""
    providers.require_terraform()
    command = shlex.join([sys.executable, "-I", "-B", str(MODULE)])
    program = f'#!/bin/sh\nexec {command} "$@"\n'
    services = ("driftfleet/demo", "hashicorp/demo")
    with serving_registry(tmp_path, (TERRAFORM, TOFU), program, services) as server:
        yield server


@pytest.fixture
def path() -> str:
    """A PATH that has OpenTofu, too."""
    return f"{opentofu().parent}{os.pathsep}{os.environ['PATH']}"


def answer(repository: Path, root: str, mirror: Path, path: str) -> Result:
    with short_folder("m") as writable:
        settings = WorkerSettings(
            mirror=mirror, writable_root=writable, local_roots=(repository,), stop_grace_seconds=1
        )
        programs = Programs(settings.stop_grace_seconds)
        environment = {**process_environment(), "PATH": path}
        tools = Tools(
            settings=settings, environment=environment, workspaces=Workspaces(writable),
            programs=programs, source=LocalSource(settings.local_roots), name="test",
        )  # fmt: skip
        job = Job(
            sweep_id="test", source=Source(kind="local", repo=str(repository)), root=root,
            variant=Variant(), limits=Limits(timeout_seconds=60),
        )  # fmt: skip
        try:
            return check(job, tools, lambda phase: None)
        finally:
            programs.close()


def root(folder: Path, code: str, *, tofu: bool = False) -> None:
    resource = f'resource "demo_file" "a" {{\n  path = "{folder}/a"\n  content = "a"\n}}\n'
    providers.write_root(folder, code + resource)
    if tofu:
        (folder / ".opentofu-version").write_text("1.6.2\n")


def test_each_program_gets_its_registrys_providers_and_plans_with_them(
    registry: FolderServer, path: str, tmp_path: Path
) -> None:
    roots, mirror = tmp_path / "roots", tmp_path / "m"
    root(roots / "tofu", NAMED, tofu=True)
    root(roots / "terraform", NAMED)
    assert "2 added" in run(tmp_path, "sync", "roots", "--mirror", mirror, PATH=path)
    wanted = [Package(f"{host}/driftfleet/demo", "1.1.0", LINUX) for host in (TOFU, TERRAFORM)]
    assert unpacked(mirror) == wanted
    asked = zip(registry.agents, registry.asked, strict=True)
    assert {agent for agent, path in asked if path.endswith(".zip")} == {"OpenTofu", "Terraform"}
    for name, package in zip(("tofu", "terraform"), wanted, strict=True):
        result = answer(roots, name, mirror, path)
        assert result.verdict is Verdict.UNAPPLIED, result
        assert result.versions.providers == {package.address: "1.1.0"}
        (change,) = result.changes
        assert change.provider == package.address
    assert result.versions.terraform != "1.6.2"


@pytest.mark.parametrize("tofu", [True, False])
def test_a_provider_that_nothing_names_comes_and_stays(
    registry: FolderServer, path: str, tmp_path: Path, tofu: bool
) -> None:
    roots, mirror = tmp_path / "roots", tmp_path / "m"
    root(roots / "a", UNNAMED, tofu=tofu)
    assert "1 added" in run(tmp_path, "sync", "roots", "--mirror", mirror, PATH=path)
    package = Package(f"{TOFU if tofu else TERRAFORM}/hashicorp/demo", "1.1.0", LINUX)
    assert unpacked(mirror) == [package]
    said = run(tmp_path, "prune", "roots", "--mirror", mirror, "--yes", PATH=path)
    assert "0 bytes in 0 packages" in said
    result = answer(roots, "a", mirror, path)
    assert result.verdict is Verdict.UNAPPLIED, result
    assert result.versions.providers == {package.address: "1.1.0"}


def test_the_settings_say_which_program_and_a_lock_file_keeps_its_own_hosts(
    registry: FolderServer, path: str, tmp_path: Path
) -> None:
    locked = Package(f"{TERRAFORM}/driftfleet/demo", "1.0.0", LINUX)
    root(tmp_path / "roots", NAMED)
    (tmp_path / "roots" / ".terraform.lock.hcl").write_text(
        f'provider "{locked.address}" {{\n  version = "1.0.0"\n}}\n'
    )
    said = run(
        tmp_path, "sync", "roots", "--mirror", "m", "--json",
        PATH=path, DRIFTFLEET_TERRAFORM__PROGRAM="tofu",
    )  # fmt: skip
    found = [json.loads(line)["package"] for line in said.splitlines()]
    assert sorted(found) == [f"{TOFU}/driftfleet/demo/1.1.0/{LINUX}", locked.path]


def test_prune_keeps_what_another_machines_program_may_need(
    registry: FolderServer, path: str, tmp_path: Path
) -> None:
    root(tmp_path / "roots", NAMED)
    run(tmp_path, "sync", "roots", "--mirror", "m", PATH=path, DRIFTFLEET_TERRAFORM__PROGRAM="tofu")
    assert "0 packages" in run(tmp_path, "prune", "roots", "--mirror", "m", PATH=path)
    said = run(
        tmp_path, "prune", "roots", "--mirror", "m",
        PATH=path, DRIFTFLEET_TERRAFORM__PROGRAM="terraform",
    )  # fmt: skip
    assert "would go" in said


def test_without_opentofu_terraform_downloads_what_opentofu_needs(
    registry: FolderServer, tmp_path: Path
) -> None:
    root(tmp_path / "roots", NAMED, tofu=True)
    before = psutil.Process().children()
    assert "1 added" in run(tmp_path, "sync", "roots", "--mirror", "m")
    assert [package.address for package in unpacked(tmp_path / "m")] == [f"{TOFU}/driftfleet/demo"]
    assert set(psutil.Process().children()) <= set(before)


# `import` with a provider, `check` and all that both programs know.
EVERYTHING = """\
terraform {
  required_providers {
    cloud = { source = "acme/cloud" }
    web   = { source = "example.com/acme/web" }
  }
}
resource "aws_instance" "a" {}
resource "cloud_thing" "b" {}
resource "other_thing" "c" {
  provider = cloud.west
}
resource "google_thing" "d" {
  provider = google-beta
}
resource "legacy_thing" "quoted" {
  provider = "oldstyle"
}
resource "terraform_data" "e" {}
data "http" "f" {
  url = "x"
}
data "terraform_remote_state" "g" {
  backend = "local"
}
check "up" {
  data "dns_a" "h" {}
  assert {
    condition     = data.dns_a.h.host != ""
    error_message = "Down."
  }
}
provider "random" {}
module "m" {
  source = "./m"
}
"""


@pytest.mark.parametrize("program", ["terraform", "tofu"])
def test_what_is_needed_is_what_the_program_itself_says(program: str, tmp_path: Path) -> None:
    root = providers.write_root(tmp_path / "root", EVERYTHING)
    child = {"resource": {"aws_x": {"a": {}}, "null_resource": {"b": {"provider": "null"}}}}
    (root / "m").mkdir()
    (root / "m" / "main.tf.json").write_text(json.dumps(child))
    binary = providers.require_terraform() if program == "terraform" else str(opentofu())
    with providers.terraform_environment(tmp_path) as environment:
        for arguments in (["get"], ["providers", "-no-color"]):
            said = subprocess.run(
                [binary, *arguments], cwd=root, env=environment, check=True, capture_output=True,
                text=True, timeout=60,
            ).stdout  # fmt: skip
    addresses = set(re.findall(r"provider\[([^\]]+)\]", said)) - {"terraform.io/builtin/terraform"}
    found = needs_of(LocalTree(root), [(".", program)], "r")
    assert found.gaps == ()
    assert {need.address for need in found.needs} == addresses
    assert len(addresses) >= 9
