"""The table of constraints beside the real terraform: what it makes of its own version."""

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from driftfleet.versions.constraint import Malformed, parse_constraint, parse_version, satisfies
from tests import providers
from tests.constraints import ACCEPTED, BARRED, REFUSED

CASES = (*ACCEPTED, *BARRED, *REFUSED)


def accepts(terraform: str, folder: Path, constraint: str) -> bool:
    """Whether terraform itself would work in a root with that ``required_version``."""
    folder.mkdir()
    block = {"terraform": {"required_version": constraint}}
    (folder / "main.tf.json").write_text(json.dumps(block))
    done = subprocess.run(
        [terraform, "init", "-backend=false", "-no-color"],
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CHECKPOINT_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0 or any(
        reason in printed
        for reason in (
            "Unsupported Terraform Core version",
            "Invalid version constraint",
            "Invalid required_version constraint",
        )
    ), printed
    return done.returncode == 0


def read(version: str, constraint: str) -> bool:
    try:
        return satisfies(parse_version(version), parse_constraint(constraint))
    except Malformed:
        return False


def test_terraform_accepts_for_its_own_version_what_we_do(tmp_path: Path) -> None:
    terraform = providers.require_terraform()
    told = subprocess.run(
        [terraform, "version", "-json"], check=True, capture_output=True, timeout=60
    )
    version = str(json.loads(told.stdout)["terraform_version"])
    if not version.startswith("1.11."):
        pytest.skip(f"the table is written for terraform 1.11, and this is {version}")
    with ThreadPoolExecutor(max_workers=2) as pool:
        folders = [tmp_path / str(number) for number in range(len(CASES))]
        answers = pool.map(lambda case: accepts(terraform, *case), zip(folders, CASES, strict=True))
        theirs = dict(zip(CASES, answers, strict=True))
    assert theirs == {constraint: read(version, constraint) for constraint in CASES}
    shutil.rmtree(tmp_path)
