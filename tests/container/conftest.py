"""The images under test, built once, and the stack of docker-compose.yml made of them."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import providers
from tests.certificates import make_certificate
from tests.container.engine import TOP, build_image, docker, require_docker, run, tfenv_version
from tests.container.stack import Stack

_TAG = f"driftfleet-test-{os.getpid()}"


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The image of this checkout; or the one that DRIFTFLEET_IMAGE names."""
    require_docker()
    if named := os.environ.get("DRIFTFLEET_IMAGE"):
        yield named
        return
    build_image(_TAG, "--build-arg", f"TFENV_VERSION={tfenv_version()}")
    yield _TAG
    docker("image", "rm", "--force", _TAG, check=False)


@pytest.fixture(scope="session")
def furnished(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of it with the example fleet, a terraform and a GitHub."""
    terraform = providers.require_terraform()
    context = tmp_path_factory.mktemp("furnished")
    shutil.copy2(Path(terraform).resolve(), context / "terraform")
    shutil.copy2(TOP / "constraints.txt", context)
    ignored = shutil.ignore_patterns("terraform.tfstate*", "*.auto.tfvars.json", "__pycache__")
    shutil.copytree(TOP / "examples", context / "examples", ignore=ignored)
    for part in ("__init__.py", "standin", "container"):
        source, target = TOP / "tests" / part, context / "tests" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(source, target)
    tag = f"{_TAG}-furnished"
    told = run([str(terraform), "version", "-json"]).stdout
    version = str(json.loads(told)["terraform_version"])
    build_image(
        tag,
        *("--file", str(TOP / "tests" / "container" / "Dockerfile")),
        *("--build-arg", f"IMAGE={image}", "--build-arg", f"TERRAFORM_VERSION={version}"),
        context=context,
    )
    yield tag
    docker("image", "rm", "--force", tag, check=False)


@pytest.fixture(scope="module")
def folder(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds of the stack, with what `make up` makes besides."""
    folder = tmp_path_factory.mktemp("stack")
    shutil.copy2(TOP / "docker-compose.yml", folder)
    shutil.copytree(TOP / "deploy" / "compose", folder / "deploy" / "compose")
    run([str(folder / "deploy" / "compose" / "prepare.sh")])
    (folder / "tls").mkdir()
    made = make_certificate(folder / "tls", "github")
    made.key.chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path, image: str, furnished: str) -> Iterator[Stack]:
    """A fleet of three workers that runs, healthy, with the example fleet in its GitHub."""
    stack = Stack(folder, image, furnished)
    try:
        stack.up(workers=3)
        yield stack
    finally:
        stack.remove()
