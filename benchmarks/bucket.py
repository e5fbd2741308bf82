"""A bucket in moto's S3 that is filled from within, and what a command has to know to use it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from driftfleet.s3_settings import S3Settings
from driftfleet.settings import ResultSettings
from tests.e2e.aws import REGION

BUCKET = "results"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def settings_of(endpoint: str) -> ResultSettings:
    """A store in the bucket of the server at ``endpoint``, for which this process gets keys."""
    os.environ.update(KEYS)
    s3 = S3Settings(endpoint=endpoint, region=REGION)
    return ResultSettings(store=f"s3://{BUCKET}/fleet", s3=s3)


def environment_of(settings: ResultSettings) -> dict[str, str]:
    """What a command needs to use a store, whatever it is."""
    told = {"PATH": os.environ["PATH"], "DRIFTFLEET_RESULTS__STORE": settings.store, **KEYS}
    if settings.s3.endpoint:
        s3 = {"endpoint": settings.s3.endpoint, "region": REGION}
        told["DRIFTFLEET_RESULTS__S3"] = json.dumps(s3)
    return told


def new_text(log: Path) -> Callable[[], str]:
    """What a server has written into its log since the last call."""
    read = 0

    def since() -> str:
        nonlocal read
        text = log.read_text(errors="replace")
        new, read = text[read:], len(text)
        return new

    return since


def serve(fill: Callable[[Callable[[str, bytes], Any]], None], arguments: list[str]) -> None:
    """Be moto's server. ``fill`` gets what puts an object under a key of the store."""
    from moto import server  # noqa: PLC0415 - a server's own
    from moto.s3.models import s3_backends  # noqa: PLC0415

    backend = s3_backends["123456789012"]["aws"]
    backend.create_bucket(BUCKET, REGION)
    fill(lambda key, body: backend.put_object(BUCKET, f"fleet/{key}", body))
    server.main(arguments)
