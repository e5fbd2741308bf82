"""Clients of S3: which credentials, which server, how long they wait; one a process."""

import functools
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import boto3
from botocore import session as botocore_session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError

from driftfleet.s3_settings import S3Settings
from driftfleet.secrets import keep_out_of_logs

# A server that hangs is an error after 4 times 5 s. botocore's standard mode tries 500, 502, 503,
# 504, SlowDown and its like, time-outs and broken connections again, with growing pauses:
# boto3's guide, "Retries".
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 3.0, 5.0, 4
# Records are read sixteen at a time.
_CONNECTIONS = 32
_SESSION_NAME = "driftfleet"


class Client(Protocol):
    """What is used of boto3's client; parameters and answers are S3's own."""

    def put_object(self, **parameters: Any) -> Any: ...
    def get_object(self, **parameters: Any) -> Any: ...
    def delete_object(self, **parameters: Any) -> Any: ...
    def list_objects_v2(self, **parameters: Any) -> Any: ...


class OwnClient:
    """The client of the process that asks, made when it first does.

    A pool child must not use the sockets of the process that it was forked from, nor wait for a
    lock that a thread of that one held.
    """

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._own = _Own()

    def get(self) -> Client:
        own = self._own
        if own.process != os.getpid():
            own = self._own = _Own()
        with own.lock:
            if own.client is None:
                own.client = self._make()
            return own.client


class _Own:
    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.client: Client | None = None


def connect(
    settings: S3Settings, environment: Mapping[str, str], read_seconds: float = _READ_SECONDS
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
    return _patient(read_seconds).merge(
        Config(
            s3={"addressing_style": "path" if style else "auto"},
            max_pool_connections=_CONNECTIONS,
            # Not every server knows the checksums that botocore sends by default (boto/boto3
            # issue 4392). Each write has its MD5, which all of them do, and so does Object Lock.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
    )


def _patient(read_seconds: float = _READ_SECONDS) -> Config:
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )


def _session(settings: S3Settings, region: str | None) -> Any:
    session = botocore_session.Session()
    if settings.assume_role is not None:
        provider = _AssumedRole(settings, region)
        session.register_component("credential_provider", CredentialResolver([provider]))
    return session


class _AssumedRole(CredentialProvider):  # type: ignore[misc]
    """A role, as botocore assumes one that a profile names (``botocore.credentials``,
    ``AssumeRoleProvider``): when it is first needed, and again before it ends.
    """

    METHOD = "assume-role"

    def __init__(self, settings: S3Settings, region: str | None) -> None:
        super().__init__()
        self._settings = settings
        self._region = region

    def load(self) -> Any:
        source = botocore_session.Session()
        credentials = source.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        told = {"RoleSessionName": _SESSION_NAME, "ExternalId": self._settings.external_id}
        fetcher = AssumeRoleCredentialFetcher(
            functools.partial(source.create_client, region_name=self._region, config=_patient()),
            credentials,
            self._settings.assume_role,
            extra_args={name: value for name, value in told.items() if value is not None},
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)
