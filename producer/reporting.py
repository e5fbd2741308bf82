"""Makes the dashboard's pages, and says where they are."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from driftfleet.errors import DriftfleetError
from driftfleet.publishing import publish
from driftfleet.report.links import INDEX_KEY
from driftfleet.settings import Settings
from driftfleet.store import open_objects
from producer.display import Display
from producer.table import harmless


def make_report(settings: Settings, stdout: TextIO, *, as_json: bool) -> int:
    """Make the pages, and print where they are; the exit code.

    Raises `StoreUnavailable`, and `ConfigurationError` where there is no such store.
    """
    objects = open_objects(settings.results)
    published = publish(objects, settings, datetime.now(UTC))
    where = objects.describe(INDEX_KEY)
    if as_json:
        told = {
            "dashboard": where,
            "roots": published.roots,
            "pages": published.pages,
            "removed": published.removed,
        }
        stdout.write(json.dumps(told) + "\n")
    else:
        stdout.write(f"dashboard: {harmless(shown(where))}\n")
    stdout.flush()
    return 0


def report_of_scan(settings: Settings, display: Display) -> None:
    """Make the pages after a scan, and say where they are. What is in the way is only told."""
    if not settings.report.enabled:
        return
    try:
        objects = open_objects(settings.results)
        publish(objects, settings, datetime.now(UTC))
    except DriftfleetError as error:
        display.message(f"warning: the dashboard was not made: {error.message}")
    except Exception as error:
        # The scan is done, and its exit code is that of what it found.
        told = f"{type(error).__name__}: {error}"
        display.message(f"warning: the dashboard was not made, by a fault of driftfleet's: {told}")
    else:
        display.dashboard(shown(objects.describe(INDEX_KEY)))


def shown(where: str) -> str:
    """A path from the current folder on, where it is below that; a URL as it is."""
    try:
        here = Path.cwd()
    except OSError:
        return where
    below = os.path.isabs(where) and Path(where).is_relative_to(here)
    return str(Path(where).relative_to(here)) if below else where
