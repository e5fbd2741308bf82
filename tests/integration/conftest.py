"""What several integration tests share."""

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftfleet.configuration import process_environment
from driftfleet.installs.tfenv import find_tfenv
from tests import providers
from tests.conftest import require_program
from tests.releases import Releases
from tests.releases import serving as serving_releases
from tests.standin import StandIn
from tests.standin.fixture import serving
from tests.standin.monorepo import make_monorepo, make_wide_tree


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provider mirror that holds the demo provider."""
    providers.require_terraform()
    folder = tmp_path_factory.mktemp("mirror")
    providers.build_mirror(folder)
    return folder


@pytest.fixture
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A GitHub Enterprise Server; at its end nothing may have been against GitHub's description."""
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        yield standin


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """Another host: a server of its own, on another loopback address."""
    with serving(tmp_path_factory.mktemp("elsewhere"), address="127.0.0.2") as standin:
        yield standin


@pytest.fixture(scope="session")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository to serve: 5,800 files, 4,000 of them .tf in 340 folders, 26 MB."""
    return make_monorepo(tmp_path_factory.mktemp("monorepo") / "bare")


@pytest.fixture(scope="session")
def wide_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository to serve: a tree of 200,000 entries."""
    return make_wide_tree(tmp_path_factory.mktemp("wide") / "bare", 200_000)


@pytest.fixture
def tfenv() -> Path:
    """The real one. It is in no package registry: where it is not there, CI has none either."""
    if (found := find_tfenv(process_environment())) is None:
        pytest.skip("no tfenv: name it in DRIFTFLEET_TFENV, or put it on the PATH")
    for name in ("curl", "unzip"):
        require_program(name, f"apt-get install {name}")
    if platform.machine() != "x86_64":
        pytest.skip("the mirror has binaries for amd64 only")
    return found


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Releases]:
    (tmp_path / "releases").mkdir()
    with serving_releases(tmp_path / "releases") as mirror:
        yield mirror
