"""Result stores by URL."""

from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.s3_settings import SCHEME as S3_SCHEME
from driftfleet.settings import ResultSettings
from driftfleet.store.catalog import FleetReader
from driftfleet.store.files import FileObjects
from driftfleet.store.objects import ObjectStore
from driftfleet.store.records import ResultStore

__all__ = ["FleetReader", "ResultStore", "open_objects", "open_store"]


def open_store(settings: ResultSettings) -> ResultStore:
    """Open the store that the settings name. Raises as `open_objects` does."""
    return ResultStore(open_objects(settings))


def open_objects(settings: ResultSettings) -> ObjectStore:
    """The objects of the store that the settings name; nothing is asked of it yet.

    Raises
    ------
    ConfigurationError
        No store has this scheme.
    """
    scheme, _, place = settings.store.partition("://")
    if scheme == "file":
        # Taken as it is: a folder may be called `a#b`.
        return FileObjects(Path(place))
    if settings.store.startswith(S3_SCHEME):
        # Imported where it is used: boto3 takes half a second and 20 MB.
        from driftfleet.store.s3 import open_s3  # noqa: PLC0415

        return open_s3(settings)
    # Not quoted beyond its scheme: it may hold a password.
    raise ConfigurationError(
        f"results.store: '{scheme[:40]}' is no known scheme; use file://DIR or s3://BUCKET/PREFIX"
    )
