"""Roles of AWS that are assumed with the credentials that this process has."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from botocore import session as botocore_session
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    DeferredRefreshableCredentials,
)
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
from botocore.parsers import ResponseParserError

from driftfleet.aws_client import EXPIRED, OwnClient, code_of, patient, says, status_of
from driftfleet.errors import (
    ConfigurationError,
    DriftfleetError,
    RoleRefused,
    RoleUnavailable,
)
from driftfleet.role_name import LEAST_SECONDS, MOST_SECONDS
from driftfleet.secrets import keep_out_of_logs

SESSION_NAME = "driftfleet"
_WHO = "to whom this runs as"
_NOT_TAKEN = frozenset({*EXPIRED, "InvalidClientTokenId", "UnrecognizedClientException"})
_PASSING = frozenset(
    {
        "InternalFailure", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
        "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException",
        *EXPIRED,
    }
)  # fmt: skip


class Role(NamedTuple):
    """A role's ARN, and what its trust policy may ask for."""

    arn: str
    external_id: str | None = None

    def told(self, session_name: str) -> dict[str, str]:
        """What STS is told of it besides its ARN."""
        told = {"RoleSessionName": session_name, "ExternalId": self.external_id}
        return {name: value for name, value in told.items() if value is not None}


class AssumedRole(CredentialProvider):  # type: ignore[misc]
    """A role, as botocore assumes one that a profile names (``botocore.credentials``,
    ``AssumeRoleProvider``): when it is first needed, and again before it ends.
    """

    METHOD = "assume-role"

    def __init__(self, role: Role, region: str | None) -> None:
        super().__init__()
        self._role = role
        self._region = region

    def load(self) -> Any:
        source = botocore_session.Session()
        credentials = source.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        fetcher = AssumeRoleCredentialFetcher(
            functools.partial(source.create_client, region_name=self._region, config=patient()),
            credentials,
            self._role.arn,
            extra_args=self._role.told(SESSION_NAME),
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)


class Keys(NamedTuple):
    """What STS gave: good for a while."""

    access_key_id: str
    secret_access_key: str
    session_token: str

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id})"


class Sts:
    """Gives keys of one role. ``setting`` is how the settings that name it begin."""

    def __init__(self, role: Role, setting: str, environment: Mapping[str, str]) -> None:
        self._role = role
        self._setting = setting
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None
        self._client: OwnClient[Any] = OwnClient(functools.partial(_connect, region))

    def assume(self, session_name: str, seconds: float) -> Keys:
        """Keys that are good for so long, as far as STS gives them.

        Raises
        ------
        RoleRefused
            The role may not be assumed.
        ConfigurationError
            There is nothing to assume it with.
        RoleUnavailable
            STS does not answer, or wants us to wait; or our own credentials have just ended.
        """
        duration = int(min(max(seconds, LEAST_SECONDS), MOST_SECONDS))
        try:
            answer = self._client.get().assume_role(
                RoleArn=self._role.arn,
                DurationSeconds=duration,
                **self._role.told(session_name),
            )
            given = answer["Credentials"]
            return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        except ClientError as error:
            failure = self._refused(error)
        except (BotoCoreError, ResponseParserError, LookupError, OSError, ValueError) as error:
            failure = self._silent(error)
        # Credentials that weren't there, or have ended, are looked for again.
        self._client.forget()
        # Raised out here: botocore's errors carry the request.
        raise failure

    def _refused(self, error: ClientError) -> DriftfleetError:
        said = why_refused(self._role, error, self._setting)
        if code_of(error) in _PASSING or status_of(error) == 429 or status_of(error) >= 500:
            return RoleUnavailable(said)
        return RoleRefused(said)

    def _silent(self, error: Exception) -> DriftfleetError:
        where = f"the role {self._role.arn} ({self._setting}role) can't be assumed"
        if isinstance(error, NoCredentialsError):
            return ConfigurationError(
                f"{where}: no AWS credentials were found to do it with: give this process keys, a "
                "profile, or a role"
            )
        if isinstance(error, NoRegionError):
            return ConfigurationError(f"{where}: which region? Set AWS_REGION")
        if isinstance(error, SSLError):
            return ConfigurationError(
                f"{where}: the certificate of STS is refused: is AWS_CA_BUNDLE needed?"
            )
        kind = type(error).__name__
        if isinstance(error, _SILENT):
            return RoleUnavailable(f"{where}: STS does not answer ({kind})")
        return ConfigurationError(f"{where}: STS can't be asked with these settings ({kind})")


# What a proxy answers in its place is no answer, either.
_SILENT = (
    ConnectionError,
    HTTPClientError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    ResponseParserError,
    LookupError,
    OSError,
)


def why_refused(role: Role, error: ClientError, setting: str) -> str:
    """What STS said, and what it takes; ``setting`` is such as ``results.s3.``."""
    said = f"the role {role.arn} can't be assumed: {says('STS', error)}"
    code = code_of(error)
    if code in ("SignatureDoesNotMatch", "RequestExpired"):
        return f"{said}; are the AWS secret key and this machine's clock right (NTP)?"
    if code in _NOT_TAKEN:
        return f"{said}; the AWS credentials that this runs with have ended, or are not valid"
    if status_of(error) != 403:
        return said
    return (
        f"{said}; allow sts:AssumeRole on it {_WHO}, and whoever that is in the role's trust "
        f"policy (with the same {setting}external_id, if any)"
    )


def _connect(region: str | None) -> Any:
    # At debug level it tells what it was given.
    keep_out_of_logs("botocore")
    return botocore_session.Session().create_client("sts", region_name=region, config=patient())
