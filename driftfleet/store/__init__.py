"""Result stores by URL."""

from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.store.catalog import FleetReader
from driftfleet.store.files import FileObjects
from driftfleet.store.objects import ObjectStore
from driftfleet.store.records import ResultStore

__all__ = ["FleetReader", "ResultStore", "open_objects", "open_store"]


def open_store(url: str) -> ResultStore:
    """Open the store that ``url`` names. Raises as `open_objects` does."""
    return ResultStore(open_objects(url))


def open_objects(url: str) -> ObjectStore:
    """The objects of the store that ``url`` names: ``file:///absolute/folder``.

    Raises
    ------
    ConfigurationError
        No store has this scheme.
    """
    scheme, _, place = url.partition("://")
    if scheme == "file":
        # Taken as it is: a folder may be called `a#b`.
        return FileObjects(Path(place))
    raise ConfigurationError(f"results.store: '{url}' has no known scheme; use file://DIR")
