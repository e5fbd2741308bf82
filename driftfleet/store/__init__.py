"""Result stores by URL."""

from pathlib import Path
from urllib.parse import urlsplit

from driftfleet.errors import ConfigurationError
from driftfleet.store.files import FileObjects
from driftfleet.store.records import ResultStore

__all__ = ["ResultStore", "open_store"]


def open_store(url: str) -> ResultStore:
    """Open the store that ``url`` names: ``file:///absolute/folder``.

    Raises
    ------
    ConfigurationError
        No store has this scheme.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return ResultStore(FileObjects(Path(parts.netloc + parts.path)))
    raise ConfigurationError(f"results.store: '{url}' has no known scheme; use file://DIR")
