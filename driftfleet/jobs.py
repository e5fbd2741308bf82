"""The job: the message that asks for one check.

It never holds a secret: Flower shows it to whoever looks. Whoever can write to Redis can send one,
so every field is validated here and names things; it never is a command.
"""

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from driftfleet.errors import ContractError
from driftfleet.model import Record, wrong_with

CHECK_TASK = "driftfleet.check"
# A fixed number, so that workers know them all; a repository's jobs are all in one of them, and
# workers take from each in turn: a repository of thousands doesn't hold back the others.
CHECK_QUEUES = tuple(f"driftfleet.checks.{number:02d}" for number in range(32))
_MOST_CAPS = 8

_VARIANT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _relative_path(value: str) -> str:
    """Accept ``.`` or a normalised relative path that stays inside its base."""
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or str(path) != value or "\0" in value:
        raise ValueError("must be a normalised relative path without '..'")
    return value


def _variant_name(value: str) -> str:
    if not _VARIANT_NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-'")
    return value


def _backend_setting(value: str) -> str:
    """Accept ``KEY=VALUE`` or a path inside the repository, as ``-backend-config`` does."""
    if re.match(r"[A-Za-z_][A-Za-z0-9_.]*=", value):
        return value
    return _relative_path(value)


def is_cap(value: str) -> bool:
    """Whether it is what a cap counts, such as ``repository:owner/name``: a part of a key."""
    return re.fullmatch(r"(repository|bucket|account):[\x21-\x7e]{1,300}", value) is not None


def _cap_name(value: str) -> str:
    if not is_cap(value):
        raise ValueError("must be repository:NAME, bucket:NAME or account:NAME in plain ASCII")
    return value


SweepId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CapName = Annotated[str, AfterValidator(_cap_name)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
BackendSetting = Annotated[str, AfterValidator(_backend_setting)]


class Source(Record):
    """Where the files are: ``repo`` is ``owner/name``, or a folder's absolute path for `local`.

    ``sha`` is a commit, or for a local folder a digest of its Terraform files at discovery.
    """

    kind: Literal["local", "github"]
    repo: str = Field(min_length=1)
    ref: str = ""
    sha: str = ""

    @property
    def slug(self) -> str:
        """``owner/name`` for people and for store keys.

        A local folder becomes ``local/NAME-DIGEST``: two folders of one name stay apart.
        """
        if self.kind == "github":
            return self.repo
        digest = hashlib.sha256(self.repo.encode()).hexdigest()[:8]
        return f"local/{PurePosixPath(self.repo).name or 'root'}-{digest}"


class Variant(Record):
    """One way to plan a root. Paths are relative to the repository's top."""

    name: Annotated[str, AfterValidator(_variant_name)] = "default"
    workspace: Annotated[str, AfterValidator(_variant_name)] | None = None
    var_files: tuple[RelativePath, ...] = ()
    backend_config: tuple[BackendSetting, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)


class Limits(Record):
    """What one check may take."""

    timeout_seconds: int = Field(default=1800, gt=0, le=7 * 86_400)
    workspace_bytes: int = Field(default=1 << 30, gt=0, le=1 << 50)


class Job(Record):
    """The message that asks for one plan of one variant of one root at one commit.

    ``attempt`` counts how often it was put into the queue. ``caps`` names what this check uses
    and may only be used by so many at once; workers know how many.
    """

    schema_version: Literal[1] = 1
    sweep_id: SweepId
    source: Source
    root: RelativePath
    variant: Variant = Variant()
    limits: Limits = Limits()
    attempt: int = Field(default=1, ge=1)
    caps: tuple[CapName, ...] = Field(default=(), max_length=_MOST_CAPS)

    @property
    def identity(self) -> str:
        """What makes two jobs ask for the same check: source, sha, root and variant."""
        return _digest([self.source.model_dump(), self.root, self.variant.model_dump()])

    @property
    def target(self) -> str:
        """What two checks of one root and variant at different commits have in common."""
        place = self.source.model_dump(exclude={"sha"})
        return _digest([place, self.root, self.variant.model_dump()])

    @property
    def queue(self) -> str:
        """The queue of its repository."""
        digest = hashlib.sha256(self.source.slug.lower().encode()).digest()
        return CHECK_QUEUES[int.from_bytes(digest[:4], "big") % len(CHECK_QUEUES)]

    def wire(self) -> dict[str, Any]:
        """The message: without what is the default anyway, for a hundred thousand may wait."""
        shortened = self.model_dump(mode="json", exclude_defaults=True)
        return {"schema_version": self.schema_version, **shortened}

    @property
    def title(self) -> str:
        """``owner/repo root variant``, as Flower and the logs show it."""
        return f"{self.source.slug} {self.root} {self.variant.name}"


def _digest(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def decode_job(payload: Any) -> Job:
    """Validate a received message.

    Raises
    ------
    ContractError
        The payload is no job of schema 1; its message names the fields that are wrong.
    """
    try:
        return Job.model_validate(payload)
    except ValidationError as error:
        raise ContractError(f"not a job of schema 1: {wrong_with(error)}", payload) from error
