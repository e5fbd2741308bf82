"""Stores in S3 as settings: what is one, and what contradicts itself."""

from pathlib import Path

import pytest

from driftfleet.configuration import environment_of, load_settings
from driftfleet.errors import ConfigurationError
from driftfleet.s3_settings import place_of
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import open_objects
from producer.options import kept_in, settings_from

ROLE = "arn:aws:iam::123456789012:role/results"


def load(store: str = "s3://results/fleet", s3: str = "") -> Settings:
    return load_settings(
        environment={"DRIFTFLEET_RESULTS__STORE": store, "DRIFTFLEET_RESULTS__S3": s3}
    )


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://results", "results", ""),
        ("s3://results/", "results", ""),
        ("s3://results/fleet", "results", "fleet/"),
        ("s3://results/fleet/prod/", "results", "fleet/prod/"),
        ("s3://my.results-1/a_b=c", "my.results-1", "a_b=c/"),
    ],
)
def test_a_bucket_and_what_keys_in_it_begin_with(url: str, bucket: str, prefix: str) -> None:
    assert place_of(url) == (bucket, prefix)
    assert load(url).results.store == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://", "'' can't be a bucket"),
        ("s3://ab", "3 to 63"),
        ("s3://Results/x", "lower-case"),
        ("s3://my_results/x", "can't be a bucket"),
        ("s3://-results", "can't be a bucket"),
        ("s3://a..b", "can't be a bucket"),
        ("s3://10.0.0.1/x", "no IP address"),
        ("s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/x", "can't be a bucket"),
        ("s3://results//x", "this prefix can't be one"),
        ("s3://results/a/../b", "this prefix can't be one"),
        ("s3://results/a b", "without blanks"),
        ("s3://results/x?region=eu-central-1", "without blanks, '\\\\', '?'"),
        ("s3://results/" + "x" * 201, "at most 200 characters"),
    ],
)
def test_what_can_be_no_place_is_refused_at_the_start(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(url)
    assert words.replace("\\\\", "\\") in caught.value.message
    assert "DRIFTFLEET_RESULTS__STORE: 'results.store': must be s3://BUCKET" in caught.value.message


@pytest.mark.parametrize(
    "url", ["s3://AKIA:hunter2@bucket/x", "S3://AKIA:hunter2@bucket", "https://me:hunter2@host/x"]
)
def test_keys_in_the_place_are_not_repeated(url: str) -> None:
    for s3 in ("", "{region: eu-central-1}"):
        with pytest.raises(ConfigurationError) as caught:
            open_objects(load(url, s3).results)
        assert "hunter2" not in caught.value.message
        assert "s3://BUCKET" in caught.value.message


def test_a_home_folder_that_nobody_knows_is_told() -> None:
    with pytest.raises(ConfigurationError, match="nobody knows the home folder"):
        kept_in("~nobody-is-called-so/x")


def test_by_default_it_is_reached_as_awss_own_tools_do() -> None:
    s3 = load().results.s3
    assert (s3.endpoint, s3.region, s3.path_style, s3.encryption) == (None, None, None, "none")


def test_another_process_gets_the_same() -> None:
    settings = load(
        s3="{endpoint: 'http://minio:9000', region: eu-central-1, path_style: false, encryption: "
        f"'aws:kms', kms_key: alias/drift, assume_role: '{ROLE}', external_id: fleet-1}}"
    )
    assert settings.results.s3.kms_key == "alias/drift"
    assert load_settings(environment=environment_of(settings)) == settings


@pytest.mark.parametrize(
    ("s3", "words"),
    [
        ("{kms_key: alias/x}", "'encryption' is none: only aws:kms uses a key"),
        ("{kms_key: alias/x, encryption: AES256}", "'encryption' is AES256"),
        ("{encryption: kms}", "must be 'none', 'AES256' or 'aws:kms'"),
        ("{external_id: abc}", "without 'assume_role'"),
        (f"{{assume_role: '{ROLE}', external_id: 'a b'}}", "must be 2 to 1224 letters"),
        ("{assume_role: results}", "such as arn:aws:iam::123456789012:role/results"),
        ("{endpoint: 'minio:9000'}", "must be http://HOST:PORT or https://HOST"),
        ("{endpoint: 'https://'}", "must be http://HOST:PORT"),
        ("{endpoint: 'https://minio/?x=1'}", "without '?'"),
        ("{region: 'eu central'}", "'results.s3.region': must be a region's name"),
        ("{regoin: eu-central-1}", "did you mean 'region'?"),
    ],
)
def test_what_contradicts_itself_is_refused_at_the_start(s3: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(s3=s3)
    assert words in caught.value.message


def test_keys_in_an_endpoint_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="without keys") as caught:
        load(s3="{endpoint: 'https://AKIA:s3cr3t@minio'}")
    assert "s3cr3t" not in caught.value.message


def test_a_folder_that_a_command_names_goes_before_a_bucket_and_how_it_is_reached(
    tmp_path: Path,
) -> None:
    (tmp_path / "fleet.yaml").write_text(
        "results: {store: 's3://results', s3: {region: eu-central-1}}\n"
    )

    def told(store: str | None) -> ResultSettings:
        return settings_from(tmp_path / "fleet.yaml", {"results.store": store}).results

    assert told("file:///here").store == "file:///here"
    assert told("s3://others").s3.region == "eu-central-1"
    assert told(None).store == "s3://results"


def test_how_s3_is_reached_is_of_no_use_to_a_folder(tmp_path: Path) -> None:
    store = f"file://{tmp_path}"
    assert load(store).results.store == store
    with pytest.raises(ConfigurationError, match=r"has 's3', and 'store' is no s3://BUCKET"):
        load(store, "{region: eu-central-1}")
