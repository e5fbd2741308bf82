"""What S3's refusals and silences mean, and what to do about them, in words for a person."""

import re
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from driftfleet.assumed_role import Role, why_refused
from driftfleet.aws_client import code_of, says, status_of
from driftfleet.redaction.redactor import Redactor
from driftfleet.s3_settings import S3Place, S3Settings

_WHO = "to whom this runs as"
_CREDENTIALS = "the AWS credentials"
_REGION = "set results.s3.region to the bucket's"


class Asked(NamedTuple):
    """Which method of boto3's client was called for which object, and of which store."""

    operation: str
    where: str
    place: S3Place
    settings: S3Settings


class _Operation(NamedTuple):
    failed: str
    action: str


_OPERATIONS = {
    "put_object": _Operation("was not written", "s3:PutObject"),
    "get_object": _Operation("can't be read", "s3:GetObject"),
    "delete_object": _Operation("was not removed", "s3:DeleteObject"),
    "list_objects_v2": _Operation("can't be listed", "s3:ListBucket"),
}
# What S3 says when it is asked for too much, or is not well; botocore has tried again by then.
_PASSING = frozenset(
    {
        "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeoutException",
        "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests",
    }
)  # fmt: skip
_MENDS = {
    "NoSuchBucket": "there is no such bucket: make it, or correct results.store",
    "InvalidBucketName": "this server takes no such bucket name: correct results.store",
    "AllAccessDisabled": "the bucket was closed by AWS: ask its owner",
    "InvalidAccessKeyId": f"{_CREDENTIALS} are not known there: another AWS_ACCESS_KEY_ID, or "
    "another results.s3.endpoint, is needed",
    "SignatureDoesNotMatch": "are the AWS secret key, results.s3.region and this machine's clock "
    "right?",
    "ExpiredToken": f"{_CREDENTIALS} have expired: give this process new ones, or a role that it "
    "assumes itself (results.s3.assume_role, a profile, an instance's or a pod's)",
    "ExpiredTokenException": f"{_CREDENTIALS} have expired: give this process new ones",
    "TokenRefreshRequired": f"{_CREDENTIALS} have to be renewed",
    "InvalidToken": f"{_CREDENTIALS} are not valid: AWS_SESSION_TOKEN belongs to other keys",
    "InvalidClientTokenId": f"{_CREDENTIALS} are not valid",
    "PermanentRedirect": f"the bucket is elsewhere: {_REGION}, or correct results.s3.endpoint",
    "TemporaryRedirect": "the bucket is new and its name not known everywhere yet: it passes",
    "AuthorizationHeaderMalformed": f"another region is the bucket's: {_REGION}",
    "IllegalLocationConstraintException": f"another region is the bucket's: {_REGION}",
    "InvalidRegionName": "no region has that name: correct results.s3.region",
    "RegionDisabledException": "the region is not enabled for this account",
    "NotImplemented": "this server doesn't know what it was asked for: a result store needs "
    "conditional writes (If-None-Match and If-Match on PutObject)",
    "EntityTooLarge": "this server takes no object of that size",
    "XMinioStorageFull": "the disk of the server is full",
    "QuotaExceeded": "the bucket's quota is used up",
    "KMS.DisabledException": "the KMS key is disabled: enable it, or name another in "
    "results.s3.kms_key",
    "KMS.NotFoundException": "there is no such KMS key in the bucket's region: correct "
    "results.s3.kms_key",
    "KMS.KMSInvalidStateException": "the KMS key is not usable now: is it about to be deleted?",
    "KMS.InvalidStateException": "the KMS key is not usable now: is it about to be deleted?",
}  # fmt: skip
_ACTION = re.compile(r"\b(?:s3|kms|sts):[A-Za-z]+")
_REDACT = Redactor()


def explain(error: Exception, asked: Asked) -> str:
    """What failed, where, what S3 said, and what to do. Nothing of the request is in it."""
    said = _refused(error, asked) if isinstance(error, ClientError) else _silent(error, asked)
    return f"{asked.where} {_OPERATIONS[asked.operation].failed}: {said}"


def _silent(error: Exception, asked: Asked) -> str:
    said = next((said for kind, said in _SILENCES if isinstance(error, kind)), None)
    if said is None:
        return f"S3 can't be asked with these settings ({type(error).__name__})"
    return said.format(
        server=asked.settings.endpoint or "S3",
        kind=type(error).__name__,
        reason=getattr(error, "strerror", None) or type(error).__name__,
    )


def _refused(error: ClientError, asked: Asked) -> str:
    code, status = code_of(error), status_of(error)
    if error.operation_name == "AssumeRole":
        role = Role(str(asked.settings.assume_role), asked.settings.external_id)
        return why_refused(role, error, "results.s3.")
    said = says("S3", error)
    if code == "RequestTimeTooSkewed":
        return f"{said}: {_off(error)}; set this machine's clock (NTP)"
    if code in ("AccessDenied", "403") or code.endswith("AccessDeniedException"):
        return f"{said}; {_allow(error, asked)}"
    if mend := _MENDS.get(code):
        return f"{said}; {mend.replace(_REGION, _REGION + _region(error))}"
    if code in _PASSING or status == 429 or status >= 500:
        return f"{said}, though it was asked again: it is asked too often, or is not well"
    message = _REDACT(str(error.response.get("Error", {}).get("Message", "")))[:200]
    return f"{said}: {message}" if message.isprintable() and message else said


def _allow(error: ClientError, asked: Asked) -> str:
    message = str(error.response.get("Error", {}).get("Message", ""))
    named = _ACTION.search(message)
    action = named[0] if named else _OPERATIONS[asked.operation].action
    bucket, prefix = asked.place
    if action.startswith("kms:"):
        return f"allow {action} on {asked.settings.kms_key or 'the KMS key of the bucket'} {_WHO}"
    on_bucket = f"arn:aws:s3:::{bucket}"
    if action == "s3:ListBucket":
        return f"allow {action} on {on_bucket} {_WHO}"
    allow = f"allow {action} on {on_bucket}/{prefix}* {_WHO}"
    if asked.operation == "get_object":
        # What isn't there is answered so to who may not list.
        allow += f", and s3:ListBucket on {on_bucket}"
    return allow + " (and look at the bucket's own policy)"


def _off(error: ClientError) -> str:
    told = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        seconds = time.time() - parsedate_to_datetime(told).timestamp()
    except (TypeError, ValueError):
        return "this machine's clock is off"
    return f"this machine's clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"


def _region(error: ClientError) -> str:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(headers.get("x-amz-bucket-region", ""))
    return f" ({region})" if re.fullmatch(r"[a-z0-9-]{1,64}", region) else ""


_KEYS = "give this process AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
_NOT_NOW = f"{_CREDENTIALS} can't be had from where they are kept just now"
_SIGN_ON = "the session of AWS' single sign-on has ended: log in again (aws sso login)"
_AGAIN = "though it was asked again"
# The first that fits: some are kinds of later ones.
_SILENCES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NoCredentialsError, f"no AWS credentials were found: {_KEYS}"),
    (exceptions.PartialCredentialsError, f"{_CREDENTIALS} are incomplete: {_KEYS}"),
    (
        exceptions.ProfileNotFound,
        "AWS' configuration file has no profile such as AWS_PROFILE names",
    ),
    (exceptions.ConfigParseError, "AWS' configuration file can't be read: correct it"),
    (exceptions.CredentialRetrievalError, _NOT_NOW),
    (exceptions.MetadataRetrievalError, _NOT_NOW),
    (exceptions.UnauthorizedSSOTokenError, _SIGN_ON),
    (exceptions.TokenRetrievalError, _SIGN_ON),
    (
        exceptions.SSLError,
        "the certificate of {server} is refused: is AWS_CA_BUNDLE needed?",
    ),
    (
        exceptions.ProxyConnectionError,
        "the proxy can't be reached: are HTTPS_PROXY and NO_PROXY right?",
    ),
    (
        exceptions.EndpointConnectionError,
        "{server} can't be reached: is results.s3.endpoint right, and the network there?",
    ),
    (exceptions.ConnectTimeoutError, "{server} doesn't answer: no connection in time"),
    (exceptions.ReadTimeoutError, f"{{server}} doesn't answer in time, {_AGAIN}"),
    (exceptions.HTTPClientError, f"the connection to {{server}} broke ({{kind}}), {_AGAIN}"),
    (exceptions.IncompleteReadError, f"the connection to {{server}} broke ({{kind}}), {_AGAIN}"),
    (
        ResponseParserError,
        "{server} answers with something else than S3's XML: is results.s3.endpoint right?",
    ),
    (exceptions.NoRegionError, "which region? Set results.s3.region, or AWS_REGION"),
    (OSError, "{reason}"),
)
