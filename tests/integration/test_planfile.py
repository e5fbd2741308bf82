"""Drift read from a plan file is what `terraform show` says of it."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from tests import providers
from worker.planfile import read_drift

CODE = """
variable "world" {}
variable "content" {}

module "inner" {
  source = "./inner"
  path   = "${var.world}/inner"
}

resource "demo_file" "each" {
  for_each = toset(["a b", "c"])
  path     = "${var.world}/each-${each.key}"
  content  = var.content
}

resource "demo_file" "counted" {
  count   = 2
  path    = "${var.world}/counted-${count.index}"
  content = "same"
}
"""
INNER = """
variable "path" {}

resource "demo_file" "this" {
  path    = var.path
  content = "inner"
  lifecycle {
    ignore_changes = [content]
  }
}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A plan file that changes nothing though much has drifted, and what `show` says of it."""
    top = tmp_path_factory.mktemp("planfile")
    mirror, world = top / "mirror", top / "world"
    providers.build_mirror(mirror)
    root = providers.write_root(top / "root", providers.REQUIRES_DEMO + CODE)
    providers.write_root(root / "inner", providers.REQUIRES_DEMO + INNER)
    before = {"TF_VAR_world": str(world), "TF_VAR_content": "one"}
    with providers.terraform_environment(mirror, before) as environment:
        providers.terraform(root, environment, "init")
        providers.terraform(root, environment, "apply", "-auto-approve")
    (world / "inner").write_text("changed")
    (world / "each-a b").write_text("two")
    (world / "each-c").write_text("two")
    after = {"TF_VAR_world": str(world), "TF_VAR_content": "two"}
    with providers.terraform_environment(mirror, after) as environment:
        file = top / "plan"
        arguments = ["plan", "-detailed-exitcode", f"-out={file}"]
        assert providers.terraform(root, environment, *arguments).returncode == 0
        shown = providers.terraform(root, environment, "show", "-json", str(file))
    return file, json.loads(shown.stdout)


def test_addresses_and_values_are_those_of_show(planned: tuple[Path, dict]) -> None:
    file, shown = planned
    expected = {entry["address"]: entry for entry in shown["resource_drift"]}
    assert set(expected) == {
        "module.inner.demo_file.this", 'demo_file.each["a b"]', 'demo_file.each["c"]',
    }  # fmt: skip
    found = read_drift(file, set(expected))
    assert found is not None
    assert {entry["address"] for entry in found["resource_drift"]} == set(expected)
    for entry in found["resource_drift"]:
        same = expected[entry["address"]]
        assert entry["type"] == same["type"]
        assert entry["module_address"] == same.get("module_address", "")
        for key in ("actions", "before", "after"):
            assert entry["change"][key] == same["change"][key]


def test_other_addresses_than_the_plans_messages_are_not_believed(
    planned: tuple[Path, dict],
) -> None:
    file, _ = planned
    assert read_drift(file, ["demo_file.elsewhere"]) is None


@pytest.mark.parametrize("body", [b"", b"not a zip", None])
def test_a_file_in_another_form_is_left_to_show(tmp_path: Path, body: bytes | None) -> None:
    file = tmp_path / "plan"
    if body is None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("tfstate", '{"version": 5}')
            archive.writestr("tfstate-prev", "[]")
    else:
        file.write_bytes(body)
    assert read_drift(file, ["a.b"]) is None
    assert read_drift(tmp_path / "none", ["a.b"]) is None


def test_what_a_provider_puts_in_its_place_is_not_waited_for_or_followed(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    file = tmp_path / "workspace" / "plan"
    os.mkfifo(file)
    assert read_drift(file, ["a.b"]) is None
    file.unlink()
    with zipfile.ZipFile(tmp_path / "elsewhere", "w") as archive:
        for name in ("tfstate", "tfstate-prev"):
            archive.writestr(name, '{"version": 4, "resources": []}')
    file.symlink_to(tmp_path / "elsewhere")
    assert read_drift(file, []) is None
    file.unlink()
    shutil.copy(tmp_path / "elsewhere", file)
    assert read_drift(file, []) is not None


def test_a_state_that_unpacks_to_more_than_its_limit_is_left_to_show(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    padding = " " * (1 << 20)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("tfstate", "tfstate-prev"):
            archive.writestr(name, '{"version": 4, "resources": []}' + padding)
    assert read_drift(file, [], most_bytes=1 << 20) is None
    assert read_drift(file, [], most_bytes=1 << 21) is not None
