"""What several integration tests share."""

from pathlib import Path

import pytest

from tests import providers


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A provider mirror that holds the demo provider."""
    providers.require_terraform()
    folder = tmp_path_factory.mktemp("mirror")
    providers.build_mirror(folder)
    return folder
