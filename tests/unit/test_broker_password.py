"""Redis' password from a secret."""

from pathlib import Path

import pytest

from driftfleet.broker_password import with_broker_password
from driftfleet.configuration import environment_of, load_settings
from driftfleet.errors import ConfigurationError
from driftfleet.redaction.names import secrets_in
from driftfleet.redaction.redactor import Redactor
from driftfleet.settings import Settings
from worker.github_connection import withheld_variables

_PLACE = {"DRIFTFLEET_BROKER__PASSWORD": "env://REDIS"}


def _settings(url: str) -> Settings:
    return load_settings(environment={"DRIFTFLEET_BROKER__URL": url, **_PLACE})


def _url(settings: Settings) -> str:
    assert settings.broker.url is not None
    return settings.broker.url.get_secret_value()


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("redis://redis:6379/0", "redis://:pa%2Fs%20s%40@redis:6379/0"),
        ("rediss://fleet@redis/1?a=b", "rediss://fleet:pa%2Fs%20s%40@redis/1?a=b"),
        ("redis+socket:///run/r.sock", "redis+socket://:pa%2Fs%20s%40@/run/r.sock"),
    ],
)
def test_it_becomes_a_part_of_the_url(url: str, known: str) -> None:
    settings = with_broker_password(_settings(url), {"REDIS": "pa/s s@\n"})
    assert _url(settings) == known
    assert with_broker_password(settings, {}) is settings


def test_no_plan_sees_the_variable_that_it_is_kept_in() -> None:
    settings = with_broker_password(_settings("redis://redis:6379/0"), {"REDIS": "word"})
    assert withheld_variables(settings) == {"REDIS"}


def test_it_is_masked_as_it_is_and_as_the_url_has_it() -> None:
    settings = with_broker_password(_settings("redis://redis/0"), {"REDIS": "pa/s s@1"})
    redact = Redactor(secrets_in({"broker": _url(settings)}))
    assert redact("saw pa/s s@1 and pa%2Fs%20s%401") == "saw *** and ***"


def test_nothing_changes_where_no_place_is_named() -> None:
    settings = load_settings(environment={"DRIFTFLEET_BROKER__URL": "redis://:x@redis/0"})
    assert with_broker_password(settings, {}) is settings


def test_what_another_process_is_told_is_the_place_and_not_the_password() -> None:
    told = environment_of(_settings("redis://redis/0"))
    assert told["DRIFTFLEET_BROKER__PASSWORD"] == "env://REDIS"
    assert told["DRIFTFLEET_BROKER__URL"] == "redis://redis/0"


def test_a_missing_one_is_told_with_its_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"broker\.password .* REDIS is not set"):
        with_broker_password(_settings("redis://redis/0"), {})


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DRIFTFLEET_BROKER__URL": "redis://:x@redis/0", **_PLACE}, "one in 'url'"),
        ({"DRIFTFLEET_BROKER__URL": "redis://redis/0?password=x", **_PLACE}, "one in 'url'"),
        (_PLACE, "no 'url'"),
        (
            {
                "DRIFTFLEET_BROKER__URL": "redis://redis/0",
                "DRIFTFLEET_BROKER__PASSWORD": "hunter22",
            },
            "never the password itself",
        ),
    ],
)
def test_what_can_not_be_meant_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(environment=environment)
    assert words in raised.value.message
    assert "hunter22" not in raised.value.message


def test_a_relative_file_counts_from_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("broker: {url: redis://redis/0, password: file://secrets/redis}\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "redis").write_text("word\n")
    settings = with_broker_password(load_settings(file, {}), {})
    assert _url(settings) == "redis://:word@redis/0"
