"""Where metrics go, and what is no place for them."""

from typing import Any

import pytest

from driftfleet.configuration import environment_of, load_settings
from driftfleet.errors import ConfigurationError
from driftfleet.metrics import port_of
from driftfleet.metrics_settings import PrometheusSettings


def load(**variables: str) -> Any:
    return load_settings(
        environment={f"DRIFTFLEET_METRICS__{name.upper()}": v for name, v in variables.items()}
    )


def test_by_default_metrics_go_nowhere() -> None:
    metrics = load().metrics
    assert (metrics.cloudwatch, metrics.prometheus) == (None, None)


def test_an_empty_section_is_one_with_its_defaults_and_null_is_none() -> None:
    metrics = load(cloudwatch="{}", prometheus="null").metrics
    assert metrics.cloudwatch.namespace == "driftfleet"
    assert metrics.cloudwatch.every_seconds == 60
    assert metrics.prometheus is None


def test_another_process_gets_the_same() -> None:
    settings = load(
        cloudwatch="{namespace: a/b, dimensions: {fleet: prod}, every_seconds: 30}",
        prometheus="{host: 0.0.0.0, port: 9000}",
    )
    assert load_settings(environment=environment_of(settings)) == settings


def test_each_service_has_a_port_of_its_own() -> None:
    told = PrometheusSettings(port=9808)
    assert [port_of(told, one) for one in ("worker", "producer")] == [9808, 9809]
    assert port_of(PrometheusSettings(port=0), "producer") == 0


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("cloudwatch", "{namespace: AWS/mine}", "not begin with 'AWS/'"),
        ("cloudwatch", "{namespace: ''}", "must be letters"),
        ("cloudwatch", "{namespace: a b}", "must be letters"),
        ("cloudwatch", "{dimensions: {fleet: ''}}", "such as {fleet: prod}"),
        ("cloudwatch", "{dimensions: {fleet: prüd}}", "such as {fleet: prod}"),
        ("cloudwatch", "{dimensions: {fleet: 1}}", "needs quotes"),
        ("cloudwatch", "{dimensions: {" + ", ".join(f"d{n}: x" for n in range(30)) + "}}", "29"),
        ("cloudwatch", "{dimensions: {Verdict: clean}}", "driftfleet sets itself"),
        ("cloudwatch", "{endpoint_url: localhost}", "begin with https://"),
        ("cloudwatch", "{every_seconds: 0}", "at least 1"),
        ("cloudwatch", "{namepsace: a}", "did you mean 'namespace'?"),
        ("cloudwatch", "true", "must be a mapping"),
        ("prometheus", "{port: 70000}", "at most 65534"),
        ("prometheus", "9808", "must be a mapping"),
    ],
)
def test_what_does_not_fit_is_told_with_its_variable(key: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**{key: value})
    assert caught.value.message.startswith(f"DRIFTFLEET_METRICS__{key.upper()}: ")
    assert words in caught.value.message
