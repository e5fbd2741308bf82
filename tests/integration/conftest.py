"""What several integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import providers
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
