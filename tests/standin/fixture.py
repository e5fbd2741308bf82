"""The stand-in as a fixture: served, then held against GitHub's own description."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import lacking
from tests.standin.server import StandIn


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[StandIn]:
    """Serve from a folder; ``options`` are `StandIn`'s.

    The description isn't part of this repository: without it nothing is validated, which CI doesn't
    accept and `tests/integration/test_standin.py` reports as skipped.
    """
    with StandIn(folder, **options) as standin:
        if standin.validation.lacking and os.environ.get("CI") == "true":
            lacking(standin.validation.lacking)
        yield standin
        assert not standin.violations, "\n".join(standin.violations)
