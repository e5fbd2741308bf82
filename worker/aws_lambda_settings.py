"""What has another default on AWS Lambda, where the temporary directory is all the disk."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from driftfleet.errors import ConfigurationError
from driftfleet.model import Record
from driftfleet.settings import Settings

# A plan must not see where invocations are fetched and answered.
_OWN_VARIABLES = "AWS_LAMBDA_"
_LEAST_CACHE_BYTES = 1 << 20
SectionT = TypeVar("SectionT", bound=Record)


def function_settings(settings: Settings) -> Settings:
    """The settings with what nobody has set fitted to the disk of `worker.writable_root`.

    A half of it is for the check, a fourth each for the cache and for installed versions, which go
    without a time of grace: nobody else's check is about to use them.

    Raises
    ------
    ConfigurationError
        The writable root can't be made, or ``results.store`` is not named, or lasts no longer than
        an invocation.
    """
    if "store" not in settings.results.model_fields_set:
        raise ConfigurationError(
            "results.store (DRIFTFLEET_RESULTS__STORE) is not set: a Lambda function has no disk "
            "that lasts, so name the store that all of the fleet writes to"
        )
    _refuse_passing_store(settings.results.store)
    size = _disk_bytes(settings)
    return settings.model_copy(
        update={
            "limits": _fitted(settings.limits, workspace_bytes=max(1, size // 2)),
            "cache": _fitted(settings.cache, limit_bytes=max(_LEAST_CACHE_BYTES, size // 4)),
            "installs": _fitted(settings.installs, limit_bytes=size // 4, unused_seconds=0.0),
        }
    )


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """A function's environment without what is Lambda's own business."""
    return {
        name: value for name, value in environment.items() if not name.startswith(_OWN_VARIABLES)
    }


def worker_name(environment: Mapping[str, str]) -> str:
    """``FUNCTION/LOG-STREAM``: who answered, and where its log is."""
    function = environment.get("AWS_LAMBDA_FUNCTION_NAME", "lambda")
    stream = environment.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
    return f"{function}/{stream}" if stream else function


def _refuse_passing_store(store: str) -> None:
    scheme, _, path = store.partition("://")
    if scheme == "file" and Path(path).is_relative_to(tempfile.gettempdir()):
        raise ConfigurationError(
            f"results.store: '{store}' is in the temporary directory, which is cleared after each "
            "invocation: name a file system that is mounted below /mnt, or a store elsewhere"
        )


def _disk_bytes(settings: Settings) -> int:
    """The size of the file system that the writable root is on."""
    root = settings.worker.writable_root
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.statvfs(root)
    except OSError as error:
        raise ConfigurationError(
            f"worker.writable_root: {root} can't be made: {error.strerror}; a Lambda function can "
            "write below /tmp only (DRIFTFLEET_WORKER__WRITABLE_ROOT)"
        ) from error
    return status.f_blocks * status.f_frsize


def _fitted(section: SectionT, **defaults: object) -> SectionT:
    unset = {key: value for key, value in defaults.items() if key not in section.model_fields_set}
    return section.model_copy(update=unset)
