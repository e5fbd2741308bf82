"""Secrets in AWS Secrets Manager."""

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    SSLError,
)

from driftfleet.errors import ConfigurationError, DriftfleetError, SecretUnavailable
from driftfleet.secrets import keep_out_of_logs

# The code of an answer that may be another one later; every answer with 429 or 5xx is one as well.
_PASSING = frozenset(
    {
        "InternalFailure", "InternalServiceError", "InternalServiceErrorException",
        "LimitExceededException", "RequestLimitExceeded", "RequestTimeout",
        "RequestTimeoutException", "ServiceUnavailable", "SlowDown", "Throttling",
        "ThrottlingException", "TooManyRequestsException",
    }
)  # fmt: skip
_MENDS = {
    "AccessDeniedException": "allow secretsmanager:GetSecretValue on it (and kms:Decrypt on its "
    "key) to whom this runs as",
    "ResourceNotFoundException": "is the name right, and the account, and the region?",
    "DecryptionFailure": "is its KMS key enabled, and may this use it (kms:Decrypt)?",
    "InvalidRequestException": "is it marked for deletion?",
    "ExpiredTokenException": "the AWS credentials have expired",
    "UnrecognizedClientException": "the AWS credentials are not valid",
    "InvalidClientTokenId": "the AWS credentials are not valid",
    "InvalidSignatureException": "are the AWS secret key and this machine's clock right?",
}


def fetch(name: str, key: str, environment: Mapping[str, str]) -> str:
    """The current value of a secret, or of ``key`` in one that holds a JSON object.

    ``name`` may be an ARN: its region is then the one that is asked. Keys, profile, region and
    endpoint come from ``environment``; where it has no keys botocore's own chain finds them.

    Raises
    ------
    ConfigurationError
        There is no such secret or key, or it may not be read.
    SecretUnavailable
        Secrets Manager did not answer, or is asked too often.
    """
    # Its debug log holds the answer.
    keep_out_of_logs("botocore")
    keep_out_of_logs("boto3")
    where = f"secretsmanager://{name}"
    try:
        answer = _client(name, environment).get_secret_value(SecretId=name)
    except ClientError as error:
        failure = _refused(where, error)
    except (BotoCoreError, ValueError) as error:
        failure = _unreachable(where, error)
    else:
        return _select(answer, key, where)
    # Raised out here: botocore's errors carry the request, and no reader needs them.
    raise failure


def _client(name: str, environment: Mapping[str, str]) -> Any:
    keys = _keys(environment)
    session = boto3.Session(
        **keys,
        profile_name=None if keys else environment.get("AWS_PROFILE") or None,
        region_name=_region(name, environment),
    )
    endpoint = environment.get("AWS_ENDPOINT_URL_SECRETS_MANAGER")
    return session.client(
        "secretsmanager",
        endpoint_url=endpoint or environment.get("AWS_ENDPOINT_URL") or None,
        config=Config(
            connect_timeout=5,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
        ),
    )


def _keys(environment: Mapping[str, str]) -> dict[str, str]:
    found = {
        "aws_access_key_id": environment.get("AWS_ACCESS_KEY_ID"),
        "aws_secret_access_key": environment.get("AWS_SECRET_ACCESS_KEY"),
        "aws_session_token": environment.get("AWS_SESSION_TOKEN"),
    }
    named = {key: value for key, value in found.items() if value}
    return named if {"aws_access_key_id", "aws_secret_access_key"} <= named.keys() else {}


def _region(name: str, environment: Mapping[str, str]) -> str | None:
    parts = name.split(":")
    if len(parts) > 3 and parts[0] == "arn":
        return parts[3]
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None


def _refused(where: str, error: ClientError) -> DriftfleetError:
    code = str(error.response.get("Error", {}).get("Code", "no code"))[:80]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _PASSING or status == 429 or status >= 500:
        return SecretUnavailable(f"{where}: AWS Secrets Manager does not give it now: {code}")
    mend = _MENDS.get(code)
    return ConfigurationError(f"{where}: can't be read: {code}" + (f"; {mend}" if mend else ""))


def _unreachable(where: str, error: Exception) -> DriftfleetError:
    kind = type(error).__name__
    if isinstance(error, NoRegionError):
        return ConfigurationError(f"{where}: which region? Set AWS_REGION, or name it by its ARN")
    if isinstance(error, NoCredentialsError):
        return ConfigurationError(f"{where}: no AWS credentials were found to read it with")
    if isinstance(error, SSLError):
        return ConfigurationError(
            f"{where}: the certificate of the endpoint can't be verified; is AWS_CA_BUNDLE needed?"
        )
    passing = (ConnectionError, HTTPClientError, CredentialRetrievalError, MetadataRetrievalError)
    if isinstance(error, passing):
        return SecretUnavailable(f"{where}: AWS Secrets Manager did not answer ({kind})")
    return ConfigurationError(f"{where}: AWS can't be asked with these settings ({kind})")


def _select(answer: Mapping[str, Any], key: str, where: str) -> str:
    text = answer.get("SecretString")
    if not isinstance(text, str):
        raise ConfigurationError(f"{where}: holds bytes, and a text is needed")
    keys = _object(text)
    if not key:
        if keys is not None:
            raise ConfigurationError(
                f"{where}: holds a JSON object; say which key is meant, as in {where}#KEY "
                f"({_names(keys)})"
            )
        return text
    if keys is None:
        raise ConfigurationError(f"{where}: is no JSON object, and '#{key}' asks for a key in one")
    if key not in keys:
        raise ConfigurationError(f"{where}: has no key '{key}' ({_names(keys)})")
    if not isinstance(keys[key], str):
        raise ConfigurationError(f"{where}#{key}: is no text")
    return str(keys[key])


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _names(keys: Mapping[str, Any]) -> str:
    shown = ", ".join(repr(key[:40]) for key in sorted(keys)[:10])
    return f"it has {shown}" if shown else "it has none"
