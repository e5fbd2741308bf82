"""Where secrets are kept, and what is said where they are not."""

import logging
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)

from driftfleet import secretsmanager
from driftfleet.errors import ConfigurationError, DriftfleetError, SecretUnavailable
from driftfleet.secrets import keep_out_of_logs, open_secret, variable_of
from tests.scripted import chain, everything_logged

SECRET = "ghp_" + "s3cr3t" * 6


def test_a_variable() -> None:
    secret = open_secret("env://GH_TOKEN", {"GH_TOKEN": f" {SECRET}\n"})
    assert secret.read().get_secret_value() == SECRET


def test_a_secret_is_read_once_and_again_when_it_is_renewed() -> None:
    environment = {"GH": "one"}
    secret = open_secret("env://GH", environment)
    first = secret.read()
    environment["GH"] = "two"
    assert secret.read() is first
    assert secret.renew().get_secret_value() == "two"
    assert secret.read().get_secret_value() == "two"


def test_nothing_is_read_before_it_is_needed() -> None:
    open_secret("env://NOT_SET", {})
    open_secret("file:///nowhere", {})
    open_secret("secretsmanager://nothing", {})


@pytest.mark.parametrize("environment", [{}, {"GH": ""}, {"GH": " \n"}])
def test_a_variable_that_holds_nothing_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="GH"):
        open_secret("env://GH", environment).read()


def test_a_file_also_through_a_link_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    (tmp_path / "data").write_text(f"{SECRET}\n")
    (tmp_path / "token").symlink_to(tmp_path / "data")
    secret = open_secret(f"file://{tmp_path}/token", {})
    assert secret.read().get_secret_value() == SECRET
    (tmp_path / "data").write_text("rotated")
    assert secret.renew().get_secret_value() == "rotated"


@pytest.mark.parametrize("written", [f"{SECRET}\r\n", f"\ufeff{SECRET}\n", f" {SECRET} \t\n\n"])
def test_what_editors_put_around_a_secret_is_no_part_of_it(tmp_path: Path, written: str) -> None:
    (tmp_path / "token").write_bytes(written.encode())
    secret = open_secret(f"file://{tmp_path}/token", {})
    assert secret.read().get_secret_value() == SECRET


def test_the_setting_that_names_a_secret_is_named() -> None:
    for environment, url in (({}, "env://GH"), ({}, "gopher://x")):
        with pytest.raises(ConfigurationError, match=r"github\.token"):
            open_secret(url, environment, "github.token").read()


def test_files_that_hold_no_secret_are_named_and_never_quoted(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    (tmp_path / "large").write_text("x" * 70_000)
    (tmp_path / "empty").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "binary", "large", "empty", "pipe", ".", "absent/below", "nul\x00"):
        with pytest.raises(ConfigurationError) as caught:
            open_secret(f"file://{tmp_path}/{name}", {}).read()
        assert str(tmp_path) in str(caught.value)
        assert all(SECRET not in repr(vars(e)) + repr(e) for e in chain(caught.value))
        assert all(isinstance(e, DriftfleetError) for e in chain(caught.value))


@pytest.mark.parametrize(
    "url",
    [SECRET, f"https://{SECRET}", f"vault://{SECRET}", "env://", "env://A B", "file://relative",
     "file://", "secretsmanager://", "secretsmanager://#key", "", f"{SECRET}://x"],
)  # fmt: skip
def test_a_place_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="secretsmanager://NAME#KEY") as caught:
        open_secret(url, {})
    assert SECRET not in str(caught.value)


def test_a_secret_shows_where_it_is_and_not_what_it_is() -> None:
    secret = open_secret("env://GH", {"GH": SECRET})
    secret.read()
    assert repr(secret) == "<secret env://GH>"
    assert SECRET not in repr(secret.read())


def test_the_variable_that_no_plan_may_see() -> None:
    assert variable_of("env://GH_TOKEN") == "GH_TOKEN"
    assert variable_of("file:///x") is None
    assert variable_of("env://") is None


def test_what_a_library_logs_stays_out_whatever_the_levels_are() -> None:
    child = logging.getLogger("chatty_library.wire")
    keep_out_of_logs("chatty_library")
    with everything_logged("chatty_library") as lines:
        child.debug(SECRET)
        logging.getLogger("chatty_library").error(SECRET)
        logging.getLogger("another_library").error("heard")
    assert [line for line in lines if "heard" in line]
    assert not [line for line in lines if SECRET in line]


# Secrets Manager, without a network: what botocore raises


class Refusing:
    """A Secrets Manager's client, where botocore's own would raise."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_secret_value(self, **arguments: Any) -> Any:
        raise self._error


class Session:
    """Stands where boto3's session does."""

    error: Exception
    arguments: dict[str, Any]

    def __init__(self, **arguments: Any) -> None:
        type(self).arguments = arguments

    def client(self, *names: Any, **arguments: Any) -> Refusing:
        type(self).arguments = {**type(self).arguments, **arguments}
        return Refusing(self.error)


def refused(code: str, status: int = 400) -> ClientError:
    answer = {
        "Error": {"Code": code, "Message": SECRET},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "GetSecretValue")


def botocore_errors() -> list[type[Exception]]:
    waiting, found = [BotoCoreError], []
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return found


def raised(monkeypatch: pytest.MonkeyPatch, error: Exception) -> DriftfleetError:
    monkeypatch.setattr(secretsmanager.boto3, "Session", Session)
    Session.error = error
    with pytest.raises(DriftfleetError) as caught:
        open_secret("secretsmanager://ci/github#token", {"AWS_REGION": "eu-central-1"}).read()
    assert "secretsmanager://ci/github" in str(caught.value)
    assert all(isinstance(e, DriftfleetError) for e in chain(caught.value))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException"),
        refused("InternalServiceError", 500),
        refused("InternalServiceError"),
        refused("Whatever", 503),
        refused("Whatever", 429),
        refused("RequestTimeout"),
        EndpointConnectionError(endpoint_url="x"),
        ConnectTimeoutError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        CredentialRetrievalError(provider="x", error_msg="x"),
    ],
    ids=repr,
)
def test_what_may_pass(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    assert isinstance(raised(monkeypatch, error), SecretUnavailable)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refused("ResourceNotFoundException"), "region"),
        (refused("AccessDeniedException"), "GetSecretValue"),
        (refused("DecryptionFailure"), "kms:Decrypt"),
        (refused("InvalidRequestException"), "deletion"),
        (refused("ExpiredTokenException"), "expired"),
        (refused("UnrecognizedClientException", 403), "not valid"),
        (refused("Whatever"), "Whatever"),
        (NoRegionError(), "AWS_REGION"),
        (NoCredentialsError(), "credentials"),
        (PartialCredentialsError(provider="x", cred_var="y"), "settings"),
        (ProfileNotFound(profile="x"), "settings"),
        (SSLError(endpoint_url="x", error="y"), "AWS_CA_BUNDLE"),
        (ValueError("Invalid endpoint: x"), "settings"),
    ],
    ids=repr,
)
def test_what_somebody_must_mend(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    found = raised(monkeypatch, error)
    assert isinstance(found, ConfigurationError)
    assert words in found.message


def test_every_error_of_botocore_becomes_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = botocore_errors()
    assert len(kinds) > 80
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, SECRET)
        assert isinstance(raised(monkeypatch, error), ConfigurationError | SecretUnavailable), kind


def test_an_arn_names_its_own_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secretsmanager.boto3, "Session", Session)
    Session.error = NoCredentialsError()
    arn = "arn:aws:secretsmanager:us-east-2:123456789012:secret:ci/github-AbCdEf"
    environment = {
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_PROFILE": "p",
    }
    with pytest.raises(ConfigurationError):
        open_secret(f"secretsmanager://{arn}#token", environment).read()
    assert Session.arguments["region_name"] == "us-east-2"
    assert Session.arguments["endpoint_url"] == "http://127.0.0.1:1"
    assert Session.arguments["aws_access_key_id"] == "id"
    assert Session.arguments["profile_name"] is None
