"""What a person is told of S3's refusals."""

from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from driftfleet.s3_settings import S3Settings, place_of
from driftfleet.store.s3_errors import Asked, explain

SETTINGS = S3Settings(encryption="aws:kms", kms_key="alias/drift")
PLACE = place_of("s3://results/fleet")


def asked(operation: str = "put_object", settings: S3Settings = SETTINGS) -> Asked:
    return Asked(operation, "s3://results/fleet/latest/x.json", PLACE, settings)


def refusal(code: str, status: int = 403, message: str = "", **headers: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "RequestId": "4442587FB7D0A2F9",
            "HTTPHeaders": headers,
        },
    }
    return ClientError(answer, "PutObject")


def test_what_failed_where_what_s3_said_and_what_to_do() -> None:
    assert explain(refusal("NoSuchBucket", 404), asked()) == (
        "s3://results/fleet/latest/x.json was not written: S3 says NoSuchBucket (request "
        "4442587FB7D0A2F9); there is no such bucket: make it, or correct results.store"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal("InvalidAccessKeyId"), "another AWS_ACCESS_KEY_ID"),
        (refusal("SignatureDoesNotMatch"), "are the AWS secret key, results.s3.region"),
        (refusal("ExpiredToken", 400), "have expired: give this process new ones"),
        (refusal("InvalidToken", 400), "AWS_SESSION_TOKEN"),
        (refusal("RequestTimeTooSkewed"), "set this machine's clock (NTP)"),
        (refusal("PermanentRedirect", 301), "set results.s3.region to the bucket's"),
        (
            refusal("PermanentRedirect", 301, **{"x-amz-bucket-region": "eu-west-1"}),
            "set results.s3.region to the bucket's (eu-west-1), or correct results.s3.endpoint",
        ),
        (refusal("AuthorizationHeaderMalformed", 400), "another region is the bucket's"),
        (refusal("KMS.DisabledException", 400), "the KMS key is disabled"),
        (refusal("KMS.NotFoundException", 400), "correct results.s3.kms_key"),
        (
            refusal("AccessDenied", message="not authorized to perform: kms:GenerateDataKey on x"),
            "allow kms:GenerateDataKey on alias/drift",
        ),
        (
            refusal("AccessDenied", message="Access Denied"),
            "allow s3:PutObject on arn:aws:s3:::results/fleet/*",
        ),
        (refusal("NotImplemented", 501), "conditional writes"),
        (refusal("SlowDown", 503), "it is asked too often, or is not well"),
        (refusal("Oddity", 400, "is odd"), "S3 says Oddity (request 4442587FB7D0A2F9): is odd"),
        (exceptions.NoCredentialsError(), "no AWS credentials were found"),
        (
            exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            "the AWS credentials are incomplete",
        ),
        (exceptions.ProfileNotFound(profile="x"), "no profile such as AWS_PROFILE names"),
        (
            exceptions.CredentialRetrievalError(provider="x", error_msg="y"),
            "can't be had from where they are kept",
        ),
        (
            exceptions.EndpointConnectionError(endpoint_url="https://x/key?X-Amz-Signature=s3cr3t"),
            "S3 can't be reached: is results.s3.endpoint right",
        ),
        (exceptions.ConnectTimeoutError(endpoint_url="x"), "no connection in time"),
        (exceptions.ReadTimeoutError(endpoint_url="x"), "doesn't answer in time"),
        (exceptions.ConnectionClosedError(endpoint_url="x"), "connection to S3 broke"),
        (exceptions.SSLError(endpoint_url="x", error="y"), "AWS_CA_BUNDLE"),
        (exceptions.NoRegionError(), "results.s3.region"),
        (FileNotFoundError(2, "No such file or directory"), "No such file or directory"),
        (exceptions.BotoCoreError(), "these settings (BotoCoreError)"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_each_is_told_with_its_mend(error: Exception, words: str) -> None:
    said = explain(error, asked())
    assert words in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("get_object", "allow s3:GetObject on arn:aws:s3:::results/fleet/*"),
        ("get_object", "and s3:ListBucket on arn:aws:s3:::results"),
        ("delete_object", "allow s3:DeleteObject on arn:aws:s3:::results/fleet/*"),
        ("list_objects_v2", "allow s3:ListBucket on arn:aws:s3:::results to whom"),
    ],
)
def test_the_right_that_is_missing_is_named_where_s3_doesnt(operation: str, words: str) -> None:
    assert words in explain(refusal("AccessDenied"), asked(operation))


def test_a_message_that_may_hold_anything_is_masked_and_bounded() -> None:
    hostile = f"key AKIAIOSFODNN7EXAMPLE {'x' * 1000}"
    said = explain(refusal("Oddity", 400, hostile), asked())
    assert "AKIA" not in said
    assert len(said) < 400
    assert "\n" not in explain(refusal("Oddity", 400, "two\nlines"), asked())
