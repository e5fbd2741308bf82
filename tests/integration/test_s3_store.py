"""A store in S3: what is sent with each object, and as whom it is asked."""

import re
import traceback

import pytest

from driftfleet.errors import StoreUnavailable
from driftfleet.store import open_objects
from driftfleet.store.s3 import S3Objects
from tests.s3 import S3
from tests.s3_proxy import Asked, Fault, S3Proxy
from tests.scripted import everything_logged
from tests.sts import Sts

ROLE = "arn:aws:iam::123456789012:role/results"
ENCRYPTION = "x-amz-server-side-encryption"


def sent(proxy: S3Proxy) -> Asked:
    """The only object that was written."""
    (asked,) = proxy.calls("PUT")
    return asked


class TestWhatIsSent:
    @pytest.mark.parametrize(
        ("key", "kind", "cache"),
        [
            ("results/a/b.json", "application/json", None),
            ("site/index.html", "text/html; charset=utf-8", "no-cache"),
            ("site/data.json", "application/json", "no-cache"),
            ("site/assets/a-12ab.css", "text/css; charset=utf-8", "max-age=31536000"),
            ("site/assets/a-12ab.js", "text/javascript; charset=utf-8", "immutable"),
            ("site/trend.svg", "image/svg+xml", "no-cache"),
            ("site/robots.txt", "text/plain; charset=utf-8", "no-cache"),
            ("state/status.json.gz", "application/gzip", None),
            ("state/odd", "application/octet-stream", None),
            ("websites/x.html", "text/html; charset=utf-8", None),
        ],
    )
    def test_browsers_are_told_what_it_is_and_for_how_long(
        self, impatient: S3Objects, proxy: S3Proxy, key: str, kind: str, cache: str | None
    ) -> None:
        impatient.put(key, b"x")
        headers = sent(proxy).headers
        assert headers["content-type"] == kind
        if cache is None:
            assert "cache-control" not in headers
        else:
            assert cache in headers["cache-control"]

    def test_what_awss_console_makes_for_a_folder_is_no_object(self, impatient: S3Objects) -> None:
        for key in ("latest/", "latest/acme/", "latest/acme/b"):
            impatient.put(key, b"")
        assert list(impatient.keys("latest/")) == ["latest/acme/b"]
        assert list(impatient.keys("latest/", after="latest/acme/")) == ["latest/acme/b"]

    def test_no_checksum_but_md5_which_all_servers_know(
        self, impatient: S3Objects, proxy: S3Proxy
    ) -> None:
        impatient.put("a", b"x")
        headers = sent(proxy).headers
        assert headers["content-md5"] == "ndTkYSaMgDT1yFZOFVxnpg=="
        assert not [name for name in headers if "checksum" in name or "crc" in name]

    @pytest.mark.parametrize(
        ("told", "how", "key"),
        [
            ({}, None, None),
            ({"encryption": "AES256"}, "AES256", None),
            ({"encryption": "aws:kms"}, "aws:kms", None),
            ({"encryption": "aws:kms", "kms_key": "alias/drift"}, "aws:kms", "alias/drift"),
        ],
    )
    def test_encryption_is_asked_for_with_each_object(
        self, proxied_s3: S3, proxy: S3Proxy, told: dict[str, str], how: str, key: str
    ) -> None:
        objects = open_objects(proxied_s3.settings(**told))
        objects.put("a", b"x")
        assert objects.put_if("b", b"x", None)
        for asked in proxy.requests("PUT"):
            assert asked.headers.get(ENCRYPTION) == how
            assert asked.headers.get(f"{ENCRYPTION}-aws-kms-key-id") == key

    def test_the_bucket_is_in_the_path_of_another_server(
        self, proxied_s3: S3, proxy: S3Proxy
    ) -> None:
        told = proxied_s3.settings(prefix="a/b")
        open_objects(told).put("c", b"x")
        assert sent(proxy).key == "a/b/c"

    def test_an_endpoint_of_the_environment_counts_as_for_awss_own_tools(
        self, s3: S3, proxied_s3: S3, proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = proxied_s3.settings(prefix="a/b")
        without = told.s3.model_copy(update={"endpoint": None})
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        open_objects(told.model_copy(update={"s3": without})).put("c", b"x")
        assert sent(proxy).key == "a/b/c"


def keys_used(proxy: S3Proxy) -> list[str]:
    """The access key ids of the calls, in their order."""
    found = [re.search(r"Credential=(\w+)/", one.headers["authorization"]) for one in proxy.calls()]
    return [match[1] for match in found if match]


class TestRoles:
    """`results.s3.assume_role`: other credentials than the process has."""

    def test_a_role_is_assumed_once_while_its_keys_are_good(
        self, proxied_s3: S3, proxy: S3Proxy, sts: Sts
    ) -> None:
        objects = open_objects(proxied_s3.settings(assume_role=ROLE, external_id="fleet-1"))
        assert sts.asked == []
        for key in "abc":
            objects.put(key, b"")
        assert keys_used(proxy) == ["ASIA0000000000000001"] * 3
        (asked,) = sts.asked
        assert (asked["RoleArn"], asked["ExternalId"]) == (ROLE, "fleet-1")
        assert asked["RoleSessionName"] == "driftfleet"

    def test_it_is_assumed_again_before_they_end(
        self, proxied_s3: S3, proxy: S3Proxy, sts: Sts
    ) -> None:
        sts.lasts_seconds = 300
        objects = open_objects(proxied_s3.settings(assume_role=ROLE))
        for key in "abc":
            objects.put(key, b"")
        assert keys_used(proxy) == [f"ASIA{number:016}" for number in (1, 2, 3)]

    def test_a_role_that_may_not_be_assumed_is_named_with_what_it_takes(
        self, proxied_s3: S3, sts: Sts
    ) -> None:
        sts.refuses = "AccessDenied"
        objects = open_objects(proxied_s3.settings(assume_role=ROLE))
        with pytest.raises(StoreUnavailable) as caught:
            objects.put("a", b"")
        said = caught.value.message
        assert f"the role {ROLE} can't be assumed: STS says AccessDenied (request sts-req" in said
        assert "allow sts:AssumeRole" in said
        # It is asked anew the next time: somebody may have allowed it.
        sts.refuses = ""
        objects.put("a", b"")


def test_credentials_that_come_later_are_found_without_a_restart(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the service that an instance asks for them was slow once."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    objects = open_objects(s3.settings())
    with monkeypatch.context() as early:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            early.delenv(name)
        with pytest.raises(StoreUnavailable, match="no AWS credentials were found"):
            objects.put("a", b"")
    objects.put("a", b"")


def test_without_credentials_the_error_says_how_to_give_them(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for told in ({}, {"assume_role": ROLE}):
        with pytest.raises(StoreUnavailable, match="no AWS credentials were found: give"):
            open_objects(s3.settings(**told)).get("a")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreUnavailable, match="AWS_PROFILE"):
        open_objects(s3.settings()).get("a")


def test_nothing_secret_is_in_logs_or_errors(
    proxied_s3: S3, proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLETOKEN",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    objects = open_objects(proxied_s3.settings())
    proxy.faults = [
        Fault(
            status=403,
            code="SignatureDoesNotMatch",
            message=f"no {secrets['AWS_SECRET_ACCESS_KEY']}",
            method="GET",
        ),
        Fault(
            status=400,
            code="OddError",
            message=f"key {secrets['AWS_ACCESS_KEY_ID']} is odd",
            method="GET",
        ),
    ]
    told = []
    with everything_logged("boto3", "botocore", "urllib3") as lines:
        objects.put("a", b"the body")
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as caught:
                objects.get("a")
            told += traceback.format_exception(caught.value)
    assert "S3 says OddError" in "".join(told)
    for value in secrets.values():
        assert not [line for line in (*lines, *told) if value in line]
