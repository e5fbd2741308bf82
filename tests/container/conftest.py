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
_CONTEXT = ("constraints.txt", "pyproject.toml", "README.md", "Dockerfile", ".dockerignore")
_PACKAGES = ("driftfleet", "producer", "worker", "vendor")
_MADE = shutil.ignore_patterns("terraform.tfstate*", "*.auto.tfvars.json", "__pycache__")


@pytest.fixture(scope="session")
def terraform_version() -> str:
    told = run([providers.require_terraform(), "version", "-json"]).stdout
    return str(json.loads(told)["terraform_version"])


@pytest.fixture(scope="session")
def context(terraform_version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image is built from: this checkout, with this machine's terraform in vendor/."""
    context = tmp_path_factory.mktemp("context")
    for name in _CONTEXT:
        shutil.copy2(TOP / name, context)
    for name in _PACKAGES:
        shutil.copytree(TOP / name, context / name, ignore=_MADE)
    place = context / "vendor" / "terraform" / terraform_version
    place.mkdir(parents=True)
    shutil.copy2(Path(providers.require_terraform()).resolve(), place / "terraform")
    return context


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """The image of this checkout; or the one that DRIFTFLEET_IMAGE names."""
    require_docker()
    if named := os.environ.get("DRIFTFLEET_IMAGE"):
        yield named
        return
    context = request.getfixturevalue("context")
    build_image(context, _TAG, TFENV_VERSION=tfenv_version())
    yield _TAG
    docker("image", "rm", "--force", _TAG, check=False)


@pytest.fixture(scope="session")
def with_terraform(image: str, context: Path, terraform_version: str) -> Iterator[str]:
    """The second target of the Dockerfile, with this machine's terraform baked in."""
    tag = f"{_TAG}-with-terraform"
    arguments = {"TFENV_VERSION": tfenv_version(), "TERRAFORM_VERSIONS": terraform_version}
    build_image(context, tag, "--target", "with-terraform", **arguments)
    yield tag
    docker("image", "rm", "--force", tag, check=False)


@pytest.fixture(scope="session")
def furnished(with_terraform: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of it with the example fleet and a GitHub."""
    context = tmp_path_factory.mktemp("furnished")
    shutil.copy2(TOP / "constraints.txt", context)
    for name in ("examples", "tests/standin", "tests/container"):
        shutil.copytree(TOP / name, context / name, ignore=_MADE)
    shutil.copy2(TOP / "tests" / "__init__.py", context / "tests")
    tag = f"{_TAG}-furnished"
    file = str(TOP / "tests" / "container" / "Dockerfile")
    build_image(context, tag, "--file", file, IMAGE=with_terraform)
    yield tag
    docker("image", "rm", "--force", tag, check=False)


@pytest.fixture(scope="module")
def folder(image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone holds of the stack, with what `make up` makes besides."""
    folder = tmp_path_factory.mktemp("stack")
    shutil.copy2(TOP / "docker-compose.yml", folder)
    shutil.copy2(TOP / "tests" / "container" / "stack.yml", folder)
    shutil.copytree(TOP / "deploy" / "compose", folder / "deploy" / "compose")
    run([str(folder / "deploy" / "compose" / "prepare.sh")])
    run([str(folder / "deploy" / "compose" / "moto.sh")])
    (folder / "tls").mkdir()
    made = make_certificate(folder / "tls", "github")
    made.key.chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path, image: str, furnished: str) -> Iterator[Stack]:
    """A fleet of three workers that runs, healthy, with the example fleet in its GitHub."""
    stack = Stack(folder, image, furnished, workers=3)
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()
