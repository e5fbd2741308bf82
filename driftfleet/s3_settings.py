"""How a store in S3 is reached: a part of the settings. Nothing of it is needed on AWS."""

import ipaddress
import re
from typing import Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from driftfleet.model import Record
from driftfleet.role_name import require_external_id, require_role

SCHEME = "s3://"
_FORM = "s3://BUCKET or s3://BUCKET/PREFIX"
# docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX_SEGMENT = re.compile(r"[^\x00-\x20\x7f\\?#*]+")
# A key has 1,024 bytes at most, and what we append has a few hundred.
_PREFIX_LENGTH = 200
_REGION = re.compile(r"[a-z0-9-]{1,64}")


class S3Place(NamedTuple):
    """A bucket, and what every key in it begins with: nothing, or a path that ends in ``/``."""

    bucket: str
    prefix: str


def place_of(url: str) -> S3Place:
    """The place that ``s3://BUCKET/PREFIX`` names. Raises ``ValueError``, for the settings."""
    bucket, _, rest = url.removeprefix(SCHEME).partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _is_address(bucket):
        # What stands before an "@" would be keys.
        told = "what is named" if "@" in bucket else f"'{bucket[:80]}'"
        raise ValueError(
            f"must be {_FORM}, and {told} can't be a bucket: its name has 3 to 63 "
            "lower-case letters, digits, '-' or '.', begins and ends with a letter or digit, and "
            "is no IP address"
        )
    prefix = rest.removesuffix("/")
    segments = prefix.split("/") if prefix else []
    if len(prefix) > _PREFIX_LENGTH or not all(map(_is_segment, segments)):
        raise ValueError(
            f"must be {_FORM}, and this prefix can't be one: at most {_PREFIX_LENGTH} characters "
            "without blanks, '\\', '?', '#' or '*', and no part of it empty, '.' or '..'"
        )
    return S3Place(bucket, f"{prefix}/" if prefix else "")


class S3Settings(Record):
    """Of a store that is ``s3://BUCKET/PREFIX``; what isn't named is as AWS' own tools have it.

    ``endpoint`` is another server than AWS', which is then asked by path (``path_style``).
    ``encryption`` is what is asked for with each object; ``none``: what the bucket does by default.
    ``assume_role`` is the role that the store is used with, assumed with the credentials that this
    process has, and again before it ends.
    """

    endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    encryption: Literal["none", "AES256", "aws:kms"] = "none"
    kms_key: str | None = Field(default=None, min_length=1, max_length=2048)
    assume_role: str | None = None
    external_id: str | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_a_server(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            # Not quoted: it may hold a key.
            raise ValueError("must be http://HOST:PORT or https://HOST, without keys")
        if parts.query or parts.fragment:
            raise ValueError("must be http://HOST:PORT or https://HOST, without '?' or '#'")
        return endpoint

    @field_validator("region")
    @classmethod
    def _is_a_region(cls, region: str | None) -> str | None:
        if region is not None and not _REGION.fullmatch(region):
            raise ValueError("must be a region's name, such as eu-central-1")
        return region

    @field_validator("assume_role")
    @classmethod
    def _is_a_role(cls, role: str | None) -> str | None:
        return None if role is None else require_role(role, "results")

    @field_validator("external_id")
    @classmethod
    def _can_be_sent(cls, external_id: str | None) -> str | None:
        return None if external_id is None else require_external_id(external_id)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.kms_key is not None and self.encryption != "aws:kms":
            raise ValueError(
                f"has 'kms_key', and 'encryption' is {self.encryption}: only aws:kms uses a key"
            )
        if self.external_id is not None and self.assume_role is None:
            raise ValueError("has 'external_id' without 'assume_role', which is what it is for")
        return self


def _is_address(bucket: str) -> bool:
    try:
        ipaddress.ip_address(bucket)
    except ValueError:
        return False
    return True


def _is_segment(segment: str) -> bool:
    return bool(_PREFIX_SEGMENT.fullmatch(segment)) and segment not in (".", "..")
