"""Clients of S3: which credentials, which server, how long they wait."""

from collections.abc import Mapping
from typing import Any, Protocol

import boto3
from botocore import session as botocore_session
from botocore.config import Config
from botocore.credentials import CredentialResolver

from driftfleet.assumed_role import AssumedRole, Role
from driftfleet.aws_client import READ_SECONDS, patient
from driftfleet.s3_settings import S3Settings
from driftfleet.secrets import keep_out_of_logs

# Records are read sixteen at a time.
_CONNECTIONS = 32


class Client(Protocol):
    """What is used of boto3's client; parameters and answers are S3's own."""

    def put_object(self, **parameters: Any) -> Any: ...
    def get_object(self, **parameters: Any) -> Any: ...
    def delete_object(self, **parameters: Any) -> Any: ...
    def list_objects_v2(self, **parameters: Any) -> Any: ...


def connect(
    settings: S3Settings, environment: Mapping[str, str], read_seconds: float = READ_SECONDS
) -> Client:
    """A client; keys, profile and what else isn't in the settings are found by botocore's chain.

    ``read_seconds`` is how long the server may be silent. Nothing is asked yet. Raises
    ``BotoCoreError`` or ``ValueError`` where none can be made.
    """
    # At debug level they tell what they send, and with which key.
    keep_out_of_logs("botocore")
    keep_out_of_logs("boto3")
    region = settings.region or environment.get("AWS_REGION") or None
    client: Client = boto3.Session(
        botocore_session=_session(settings, region), region_name=region
    ).client(
        "s3", endpoint_url=settings.endpoint, config=_config(settings, environment, read_seconds)
    )
    return client


def _config(settings: S3Settings, environment: Mapping[str, str], read_seconds: float) -> Config:
    style = settings.path_style
    if style is None:
        # `bucket.localhost` is no host's name.
        named = (
            settings.endpoint,
            *map(environment.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")),
        )
        style = any(named)
    return patient(read_seconds).merge(
        Config(
            s3={"addressing_style": "path" if style else "auto"},
            max_pool_connections=_CONNECTIONS,
            # Not every server knows the checksums that botocore sends by default (boto/boto3
            # issue 4392). Each write has its MD5, which all of them do, and so does Object Lock.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
    )


def _session(settings: S3Settings, region: str | None) -> Any:
    session = botocore_session.Session()
    if settings.assume_role is not None:
        role = Role(settings.assume_role, settings.external_id)
        provider = AssumedRole(role, region)
        session.register_component("credential_provider", CredentialResolver([provider]))
    return session
