"""An event of the AWS Lambda function, and the job that it becomes."""

import difflib
import hashlib
import json
import re
from typing import Any

from pydantic import Field, ValidationError, field_validator

from driftfleet.errors import ContractError
from driftfleet.jobs import Job, Limits, RelativePath, Source, Variant, decode_job
from driftfleet.model import Record
from driftfleet.names import is_ref, is_repository
from driftfleet.settings import Settings
from driftfleet.variants import variants_of

# The answer repeats the job, and Lambda takes no answer over 6 MB.
_MOST_BYTES = 1 << 20
_MOST_EXPLAINED = 10
_JOB_KEYS = ("schema_version", "sweep_id", "source")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,57}")
_FORMS = (
    'send {"repo": "owner/name", "root": "path"}, with "ref" and "variant" if need be, or a whole '
    "job (docs/schemas/job.schema.json)"
)


class CheckRequest(Record):
    """One root of a repository: at ``ref`` ("": the default branch), as the variant called
    ``variant`` ("": the only one)."""

    repo: str = Field(max_length=201)
    root: RelativePath
    ref: str = ""
    variant: str = ""

    @field_validator("repo")
    @classmethod
    def _is_a_repository(cls, repo: str) -> str:
        if not is_repository(repo):
            raise ValueError("is no repository's name: it is owner/name")
        return repo

    @field_validator("ref")
    @classmethod
    def _is_a_ref(cls, ref: str) -> str:
        if ref and not is_ref(ref):
            raise ValueError("is no branch, tag or commit")
        return ref


def decode_event(event: Any) -> CheckRequest | Job:
    """Validate an event.

    Raises
    ------
    ContractError
        It is of neither form; names each key that is missing, unknown or wrong, and no value.
    """
    if not isinstance(event, dict):
        raise ContractError(f"the event is no JSON object: {_FORMS}", event)
    if len(json.dumps(event)) > _MOST_BYTES:
        raise ContractError(f"the event is larger than {_MOST_BYTES:,} bytes")
    try:
        json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ContractError("the event holds half a character (a lone surrogate)") from None
    if "detail-type" in event:
        raise ContractError(
            f"the event is EventBridge's own: give the rule's target an input of its own: {_FORMS}",
            event,
        )
    if any(key in event for key in _JOB_KEYS):
        return decode_job(event)
    try:
        return CheckRequest.model_validate(event)
    except ValidationError as error:
        details = error.errors(include_url=False)
        wrong = "; ".join(_explain(detail) for detail in details[:_MOST_EXPLAINED])
        more = len(details) - _MOST_EXPLAINED
        also = f"; and {more:,} more" if more > 0 else ""
        raise ContractError(
            f"the event asks for no check: {wrong}{also}. {_FORMS}", event
        ) from None


def job_of(request: CheckRequest, request_id: str, settings: Settings) -> Job:
    """The job that a request asks for, as yet at no commit.

    A redelivered event has the same ``request_id``, and so the same sweep.

    Raises
    ------
    ContractError
        The root has no variant of that name, or several and none is named.
    """
    return Job(
        sweep_id=_sweep_id(request_id),
        source=Source(kind="github", repo=request.repo, ref=request.ref),
        root=request.root,
        variant=_variant_of(request, settings),
        limits=Limits(**settings.limits.model_dump()),
    )


def _variant_of(request: CheckRequest, settings: Settings) -> Variant:
    variants = {one.name: one for one in variants_of(request.root, settings.variants)}
    names = ", ".join(variants)
    if not request.variant and len(variants) > 1:
        raise ContractError(
            f"the root {request.root} has several variants: name one of them as 'variant' ({names})"
        )
    found = variants.get(request.variant or names)
    if found is None:
        raise ContractError(
            f"the settings know no variant of that name for the root {request.root}, but: {names}"
        )
    return found


def _sweep_id(request_id: str) -> str:
    if not _REQUEST_ID.fullmatch(request_id):
        # An emulator's; Lambda's own are UUIDs.
        request_id = hashlib.sha256(request_id.encode("utf-8", "replace")).hexdigest()[:32]
    return f"lambda-{request_id}"


def _explain(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"'{key}' is missing"
    if detail["type"] == "extra_forbidden":
        # No key that we know is longer, and a key may be anything.
        near = difflib.get_close_matches(key, CheckRequest.model_fields, n=1)
        hint = f" (did you mean '{near[0]}'?)" if near else ""
        return f"the key '{key[:64]}' is unknown{hint}"
    words = str(detail["msg"]).removeprefix("Value error, ").replace("Input should", "must")
    return f"'{key}' {words}"
