"""Objects in a bucket of S3, or of a server that speaks its protocol."""

import base64
import hashlib
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from driftfleet.aws_client import OwnClient, code_of, lacks_credentials, status_of
from driftfleet.configuration import process_environment
from driftfleet.content_types import content_type_of
from driftfleet.errors import StoreUnavailable
from driftfleet.s3_settings import S3Place, S3Settings, place_of
from driftfleet.settings import ResultSettings
from driftfleet.store.objects import Listed
from driftfleet.store.s3_client import Client, connect
from driftfleet.store.s3_errors import Asked, explain

# By what keys begin with, the first that fits. Names of assets hold a hash of what is in them.
_CACHE = {
    "site/assets/": "public, max-age=31536000, immutable",
    "site/": "no-cache",
}
# Whose write an object is of: what alone tells, after a lost answer, whether it was ours.
_WRITE = "driftfleet-write"
_MISSING = "NoSuchKey"
# What every answer of S3 has: a page to log in says "200", too, and has taken nothing.
_SIGNS = {"put_object": "ETag", "get_object": "ETag", "list_objects_v2": "IsTruncated"}
_OF_ONE = ("get_object", "delete_object")
_CONDITIONS = frozenset({"IfMatch", "IfNoneMatch"})
# 304 is what MinIO said before 2024: minio/minio issue 19442.
_UNMET = (412, 304)
_CONFLICT = 409
_CONFLICT_TRIES = 6
_FIRST_PAUSE_SECONDS = 0.05
_READ_TRIES = 3


class _Refusal(NamedTuple):
    """S3's "no", where that is an answer and no failure. ``retried``: it was asked before."""

    status: int
    retried: bool


def open_s3(settings: ResultSettings) -> "S3Objects":
    """The objects of a store that is ``s3://BUCKET/PREFIX``."""
    environment = process_environment()
    own = OwnClient(lambda: connect(settings.s3, environment))
    return S3Objects(place_of(settings.store), settings.s3, own)


class S3Objects:
    """An `ObjectStore` in a bucket; keys come after the place's prefix."""

    def __init__(
        self,
        place: S3Place,
        settings: S3Settings,
        client: OwnClient[Client],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._place = place
        self._settings = settings
        self._client = client
        self._sleep = sleep

    def put(self, key: str, body: bytes) -> None:
        self._ask("put_object", key, **self._written(key, body))

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        write = secrets.token_hex(8)
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        told = {**condition, **self._written(key, body), "Metadata": {_WRITE: write}}
        retried = False
        for tried in range(_CONFLICT_TRIES):
            if tried:
                # Somebody else wrote it at that moment: S3 asks to try again.
                pause = _FIRST_PAUSE_SECONDS * 2.0 ** (tried - 1)
                self._sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            answer = self._ask("put_object", key, **told)
            if not isinstance(answer, _Refusal):
                return True
            retried = retried or answer.retried
            if answer.status != _CONFLICT:
                # The answer to an earlier try may have been lost, and this be what it wrote.
                return retried and self._is_of(key, write)
            retried = True
        raise StoreUnavailable(
            f"{self.describe(key)} is being written by others each of {_CONFLICT_TRIES} times"
        )

    def get(self, key: str) -> bytes | None:
        found = self._read(key)
        return None if found is None else found[0]

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        found = self._read(key)
        return None if found is None else (found[0], str(found[1]["ETag"]))

    def delete(self, key: str) -> None:
        self._ask("delete_object", key, Key=self._place.prefix + key)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        return (listed.key for listed in self.listing(prefix, after))

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        is_more = True
        while is_more:
            # By the last key and not by S3's token: whoever comes back late finds the next page.
            start = {"StartAfter": self._place.prefix + after} if after else {}
            page = self._ask("list_objects_v2", prefix, Prefix=self._place.prefix + prefix, **start)
            for one in page.get("Contents", ()):
                after = one["Key"].removeprefix(self._place.prefix)
                if not after.endswith("/"):
                    # One that does is what AWS' console makes for a folder.
                    yield Listed(after, one["ETag"].strip('"'))
            is_more = bool(page.get("IsTruncated") and page.get("Contents"))

    def describe(self, key: str) -> str:
        return f"s3://{self._place.bucket}/{self._place.prefix}{key}"

    def _written(self, key: str, body: bytes) -> dict[str, Any]:
        """What is sent with an object."""
        md5 = hashlib.md5(body, usedforsecurity=False).digest()
        told: dict[str, Any] = {
            "Key": self._place.prefix + key,
            "Body": body,
            "ContentMD5": base64.b64encode(md5).decode(),
            "ContentType": content_type_of(key),
        }
        if cache := next((how for start, how in _CACHE.items() if key.startswith(start)), None):
            told["CacheControl"] = cache
        if self._settings.encryption != "none":
            told["ServerSideEncryption"] = self._settings.encryption
        if self._settings.kms_key is not None:
            told["SSEKMSKeyId"] = self._settings.kms_key
        return told

    def _is_of(self, key: str, write: str) -> bool:
        found = self._read(key)
        return found is not None and found[1].get("Metadata", {}).get(_WRITE) == write

    def _read(self, key: str) -> tuple[bytes, dict[str, Any]] | None:
        for tries_left in reversed(range(_READ_TRIES)):
            answer = self._ask("get_object", key, Key=self._place.prefix + key)
            if isinstance(answer, _Refusal):
                return None
            try:
                return answer["Body"].read(), answer
            except BotoCoreError as error:
                # botocore tries again only what comes before the body.
                failure = self._explained("get_object", key, error)
                if not tries_left:
                    break
            finally:
                answer["Body"].close()
        raise failure

    def _ask(self, operation: str, key: str, **parameters: Any) -> Any:
        """What S3 answers, or a `_Refusal`. Raises `StoreUnavailable`."""
        try:
            client = self._client.get()
            answer = getattr(client, operation)(Bucket=self._place.bucket, **parameters)
            if operation in _SIGNS and _SIGNS[operation] not in answer:
                raise ResponseParserError(f"{operation} without {_SIGNS[operation]}")
            return answer
        except ClientError as error:
            if (refusal := _refusal(error, operation, parameters)) is not None:
                return refusal
            failure = self._explained(operation, key, error)
        except (BotoCoreError, ResponseParserError, ValueError, OSError) as error:
            failure = self._explained(operation, key, error)
        # Raised out here: botocore's errors carry the request, and no reader needs them.
        raise failure

    def _explained(self, operation: str, key: str, error: Exception) -> StoreUnavailable:
        if lacks_credentials(error):
            self._client.forget()
        asked = Asked(operation, self.describe(key), self._place, self._settings)
        return StoreUnavailable(explain(error, asked))


def _refusal(error: ClientError, operation: str, parameters: Mapping[str, Any]) -> _Refusal | None:
    status, conditions = status_of(error), _CONDITIONS & parameters.keys()
    is_missing = code_of(error) == _MISSING and (operation in _OF_ONE or "IfMatch" in conditions)
    if not is_missing and not (conditions and status in (*_UNMET, _CONFLICT)):
        return None
    retries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    return _Refusal(status, retries > 0)
