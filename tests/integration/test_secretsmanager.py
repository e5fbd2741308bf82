"""Secrets in AWS Secrets Manager, which moto's server stands for."""

import json
import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest

from driftfleet.errors import ConfigurationError, SecretUnavailable
from driftfleet.secrets import open_secret
from tests.e2e.aws import REGION, running_moto
from tests.scripted import everything_logged

SECRET = "ghp_" + "s3cr3t" * 6


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The variables that lead to a running server, and to no other."""
    with running_moto(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        yield {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


@pytest.fixture
def manager(environment: Mapping[str, str]) -> Any:
    return boto3.client(
        "secretsmanager",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(autouse=True)
def _no_aws_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


def value(url: str, environment: Mapping[str, str]) -> str:
    return open_secret(url, environment).read().get_secret_value()


def test_a_key_of_a_secret_by_name_and_by_arn(manager: Any, environment: Mapping[str, str]) -> None:
    text = json.dumps({"token": SECRET, "other": "x"})
    made = manager.create_secret(Name="ci/github/reader", SecretString=text)
    assert value("secretsmanager://ci/github/reader#token", environment) == SECRET
    elsewhere = {**environment, "AWS_REGION": "us-east-1"}
    assert value(f"secretsmanager://{made['ARN']}#token", elsewhere) == SECRET


def test_a_secret_that_is_plain_text(manager: Any, environment: Mapping[str, str]) -> None:
    manager.create_secret(Name="plain", SecretString=f"{SECRET}\n")
    assert value("secretsmanager://plain", environment) == SECRET


def test_a_rotated_secret_is_read_again(manager: Any, environment: Mapping[str, str]) -> None:
    manager.create_secret(Name="rotating", SecretString="one")
    secret = open_secret("secretsmanager://rotating", environment)
    assert secret.read().get_secret_value() == "one"
    manager.put_secret_value(SecretId="rotating", SecretString="two")
    assert secret.read().get_secret_value() == "one"
    assert secret.renew().get_secret_value() == "two"


@pytest.mark.parametrize(
    "form",
    [
        ("json-1", json.dumps({"token": SECRET}), "", "holds a JSON object"),
        ("json-2", json.dumps({"token": SECRET}), "#tokens", "it has 'token'"),
        ("json-3", json.dumps({"token": 17}), "#token", "is no text"),
        ("json-4", json.dumps({"token": " "}), "#token", "is empty"),
        ("json-5", json.dumps([SECRET]), "#token", "no JSON object"),
        ("text-1", SECRET, "#token", "no JSON object"),
        ("bytes-1", SECRET.encode(), "#token", "holds bytes"),
    ],
)
def test_a_secret_of_another_form_is_told_without_its_content(
    manager: Any, environment: Mapping[str, str], form: tuple[str, str | bytes, str, str]
) -> None:
    name, content, key, words = form
    if isinstance(content, bytes):
        manager.create_secret(Name=name, SecretBinary=content)
    else:
        manager.create_secret(Name=name, SecretString=content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        value(f"secretsmanager://{name}{key}", environment)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_secret_that_is_not_there_or_is_deleted(
    manager: Any, environment: Mapping[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match="ResourceNotFoundException"):
        value("secretsmanager://nowhere", environment)
    manager.create_secret(Name="deleted", SecretString="x")
    manager.delete_secret(SecretId="deleted", RecoveryWindowInDays=7)
    with pytest.raises(ConfigurationError, match="deletion"):
        value("secretsmanager://deleted", environment)


def test_without_region_or_credentials_the_error_says_so(environment: Mapping[str, str]) -> None:
    without = {k: v for k, v in environment.items() if k != "AWS_REGION"}
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        value("secretsmanager://x", without)


def test_nobody_answers_soon_enough(environment: Mapping[str, str]) -> None:
    begun = time.monotonic()
    with pytest.raises(SecretUnavailable, match="did not answer"):
        value("secretsmanager://x", {**environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert time.monotonic() - begun < 60


def test_no_log_has_the_secret(manager: Any, environment: Mapping[str, str]) -> None:
    manager.create_secret(Name="logged", SecretString=SECRET)
    session = {**environment, "AWS_SESSION_TOKEN": f"session{SECRET}"}
    with everything_logged("boto3", "botocore", "urllib3") as lines:
        assert value("secretsmanager://logged", session) == SECRET
    assert not [line for line in lines if SECRET in line]


def test_this_would_have_told_the_secret(manager: Any) -> None:
    """What the test above looks for is really there when nobody keeps it out."""
    manager.create_secret(Name="told", SecretString=SECRET)
    logger = logging.getLogger("botocore")
    kept, logger.propagate = logger.propagate, True
    try:
        with everything_logged("botocore") as lines:
            manager.get_secret_value(SecretId="told")
    finally:
        logger.propagate = kept
    assert [line for line in lines if SECRET in line]
