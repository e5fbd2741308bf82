"""The Terraform of ``deploy/`` with the real AWS provider, against a cloud that moto stands for."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.e2e.aws import Cloud, find_mirror, running_cloud

_DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    mirror = find_mirror()
    if mirror is None:
        lacking("no provider mirror with hashicorp/aws: name one in DRIFT_PROVIDER_MIRROR")
    with running_cloud(tmp_path_factory.mktemp("cloud"), mirror) as cloud:
        yield cloud


def initialised(name: str, cloud: Cloud, folder: Path, beside: Sequence[str] = ()) -> Path:
    """A copy of ``deploy/NAME`` below a folder, ready to be planned; with modules ``beside`` it."""
    for one in (name, *beside):
        shutil.copytree(_DEPLOY / one, folder / one)
    copy = folder / name
    run(copy, cloud, "init", "-input=false")
    return copy


def run(
    folder: Path, cloud: Cloud, *arguments: str, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env=dict(cloud.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == expect, f"{arguments}:\n{done.stdout}{done.stderr}"
    return done
