"""Why a request or an answer is not what GitHub's description of its API says."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_schema_validator import OAS30Validator
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.standin.answers import Answer, Request
from tests.standin.openapi import DESCRIPTION, Noted

_BASE = "/api/v3"
_RAW = "application/vnd.github.raw+json"
# GitHub's guides tell of these once for all operations, whose descriptions mostly leave them out:
# moved repositories, conditional requests, versions, credentials, hidden resources, limits.
_EVERYWHERE = frozenset({301, 304, 400, 401, 403, 404, 429})
_FITS = "fits"


@cache
def _description() -> tuple[dict[str, Any], Any]:
    text = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    plain: dict[str, Any] = {"application/vnd.github.sha": lambda content, **_: content.decode()}
    return text, OpenAPI.from_dict(text, config=Config(extra_media_type_deserializers=plain))


def explain(noted: Noted) -> str:
    """What is wrong with a request or an answer; empty for nothing."""
    text, api = _description()
    method = noted.request.method.lower()
    described = text["paths"].get(noted.operation.template, {}).get(method)
    if described is None:
        return f"the description has no {noted.request.method} {noted.operation.template}"
    request = _described_request(noted)
    try:
        if noted.answer is None:
            api.validate_request(request)
            return _undescribed_parameters(text, described, noted.request)
        if reason := _by_hand(text, described, noted.answer, noted.body):
            return reason if reason != _FITS else ""
        api.validate_response(request, _described_response(noted.answer, noted.body))
    except OpenAPIError as error:
        causes = getattr(error.__cause__, "schema_errors", ()) or getattr(
            error, "schema_errors", ()
        )
        details = [f"{cause.json_path}: {cause.message[:300]}" for cause in causes]
        return "; ".join([str(error)[:300], *details])
    return ""


def _undescribed_parameters(
    text: dict[str, Any], described: dict[str, Any], request: Request
) -> str:
    shared = text["components"]["parameters"]
    listed = described.get("parameters", ())
    whole = [shared[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in listed]
    known = {p["name"] for p in whole if p["in"] == "query"}
    if unknown := sorted(set(request.parameters) - known):
        return f"the operation has no query parameter {', '.join(unknown)}"
    return ""


def _by_hand(text: dict[str, Any], described: dict[str, Any], answer: Answer, body: bytes) -> str:
    """Answers that GitHub documents elsewhere than in the operation's responses.

    `_FITS` for one that is all right, empty for one that the description knows.
    """
    if str(answer.status) not in described["responses"]:
        if answer.status not in _EVERYWHERE:
            return f"the description knows no answer {answer.status}"
        if answer.status == 304:
            return "a 304 has no body" if body else _FITS
        return _as_error(text, body)
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if answer.status == 200 and kind == _RAW:
        return _FITS if _RAW in described["description"] else f"the operation doesn't answer {_RAW}"
    return ""


def _as_error(text: dict[str, Any], body: bytes) -> str:
    problems = OAS30Validator(text["components"]["schemas"]["basic-error"]).iter_errors(
        json.loads(body)
    )
    return "; ".join(problem.message for problem in problems) or _FITS


@dataclass(frozen=True)
class _Described:
    """A request as the validating library wants to see one."""

    method: str
    path: str
    parameters: Any
    content_type: str
    body: bytes | None
    host_url: str = "http://HOSTNAME"


@dataclass(frozen=True)
class _DescribedResponse:
    """An answer as the validating library wants to see one."""

    status_code: int
    content_type: str
    headers: Headers
    data: bytes


def _described_request(noted: Noted) -> _Described:
    asked = noted.request
    query = parse_qsl(asked.query, keep_blank_values=True)
    return _Described(
        method=asked.method.lower(),
        path=_BASE + noted.operation.path,
        parameters=RequestParameters(
            query=ImmutableMultiDict(query), header=Headers(list(asked.headers.items()))
        ),
        content_type=asked.headers.get("content-type", ""),
        body=asked.body or None,
    )


def _described_response(answer: Answer, body: bytes) -> _DescribedResponse:
    return _DescribedResponse(
        status_code=answer.status,
        content_type=answer.headers.get("Content-Type", ""),
        headers=Headers(list(answer.headers.items())),
        data=body,
    )
