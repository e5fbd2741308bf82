"""Where metrics go: a section of the settings. Nowhere by default."""

import re

from pydantic import Field, field_validator

from driftfleet.model import Record

_NAMESPACE = re.compile(r"[A-Za-z0-9._/#:-]{1,255}")
# Thirty are CloudWatch's most for one metric, and one is ours: the verdict, the kind of error, ...
_MOST_DIMENSIONS = 29
# ... and these are its names: one of the settings' would be there twice, which CloudWatch refuses.
OUR_DIMENSIONS = frozenset({"ClosedBy", "ErrorKind", "State", "Verdict", "Where"})
_WORD = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")


class CloudWatchSettings(Record):
    """``region`` and the credentials are the environment's where none is named.

    ``dimensions`` are on every metric; two fleets in one namespace need one to be told apart.
    """

    namespace: str = "driftfleet"
    region: str | None = None
    endpoint_url: str | None = None
    dimensions: dict[str, str] = Field(default_factory=dict)
    every_seconds: float = Field(default=60, ge=1, le=3600)

    @field_validator("namespace")
    @classmethod
    def _is_ours(cls, namespace: str) -> str:
        if not _NAMESPACE.fullmatch(namespace) or namespace.startswith(("AWS/", ":")):
            raise ValueError(
                "must be letters, digits and '.', '_', '/', '#', ':' or '-', and not begin with "
                "'AWS/' or ':'"
            )
        return namespace

    @field_validator("dimensions")
    @classmethod
    def _are_words(cls, dimensions: dict[str, str]) -> dict[str, str]:
        if len(dimensions) > _MOST_DIMENSIONS:
            raise ValueError(f"must be at most {_MOST_DIMENSIONS}")
        if taken := OUR_DIMENSIONS & dimensions.keys():
            raise ValueError(f"has '{min(taken)}', which driftfleet sets itself")
        for name, value in dimensions.items():
            if not (_WORD.fullmatch(name) and _WORD.fullmatch(value)) or name.startswith(":"):
                raise ValueError(
                    "must be names with values, each of 1 to 255 printable ASCII characters, such "
                    "as {fleet: prod}"
                )
        return dimensions

    @field_validator("endpoint_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with https:// or http://")
        return url


class PrometheusSettings(Record):
    """Where a worker is scraped; a producer takes the port after it."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=9808, ge=0, le=65534)


class MetricsSettings(Record):
    """Either, both or none; ``{}`` takes one with its defaults."""

    cloudwatch: CloudWatchSettings | None = None
    prometheus: PrometheusSettings | None = None
