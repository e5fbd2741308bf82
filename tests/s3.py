"""Stores in an S3 that moto's server stands for."""

import contextlib
import functools
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from driftfleet.s3_settings import S3Settings
from driftfleet.settings import ResultSettings
from tests import s3_moto
from tests.e2e.aws import REGION, running_moto


@dataclass
class S3:
    """A running server at ``endpoint``."""

    endpoint: str

    @functools.cached_property
    def client(self) -> Any:
        """As whoever looks into the bucket."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @functools.cached_property
    def bucket(self) -> str:
        """A bucket that everybody uses."""
        return self.make_bucket()

    def through(self, endpoint: str) -> "S3":
        """The same, by way of another endpoint."""
        other = S3(endpoint)
        other.bucket = self.bucket
        return other

    def make_bucket(self) -> str:
        """A new bucket's name."""
        name = f"results-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name)
        return name

    def settings(
        self, bucket: str = "", endpoint: str | None = None, prefix: str = "", **s3: Any
    ) -> ResultSettings:
        """The settings of a store, by default a new one."""
        told = {"endpoint": endpoint or self.endpoint, "region": REGION, **s3}
        place = f"s3://{bucket or self.bucket}/{prefix or f'fleet/{secrets.token_hex(6)}'}"
        return ResultSettings(store=place, s3=S3Settings(**told))


@contextlib.contextmanager
def running_s3(folder: Path) -> Iterator[S3]:
    """A server whose log is in ``folder``."""
    with running_moto(folder / "s3.log", [sys.executable, str(s3_moto.__file__)]) as endpoint:
        yield S3(endpoint)


def have_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have keys of nothing, and whatever this machine has of AWS not count."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3 that this process has keys for."""
    have_keys(monkeypatch)
    return s3_server
