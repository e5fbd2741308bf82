"""Metrics at CloudWatch, which moto's server stands for, and at endpoints that are of no use."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from structlog.testing import capture_logs

from driftfleet.metrics_settings import CloudWatchSettings, MetricsSettings, PrometheusSettings
from driftfleet.results import ErrorKind, Verdict
from tests.e2e.aws import REGION, running_moto
from tests.measuring import measuring
from tests.scrape import scrape, served_at
from tests.workers import wait_until

NAMESPACE = "fleet/checks"
FLEET = ("fleet", "prod")
TOLD = "metrics_not_published"


@pytest.fixture(autouse=True)
def _no_aws_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_moto(tmp_path_factory.mktemp("moto") / "log") as endpoint:
        yield endpoint


@pytest.fixture
def cloud(endpoint: str) -> Any:
    client = boto3.client("cloudwatch", endpoint_url=endpoint, region_name=REGION)
    # Its first answer takes moto long, and a meter waits for seconds alone: what it gave up would
    # count, and be sent again.
    client.list_metrics()
    return client


def to(endpoint: str, **cloudwatch: Any) -> MetricsSettings:
    """Both sides, CloudWatch each second."""
    told = {"endpoint_url": endpoint, "every_seconds": 1, "namespace": NAMESPACE, **cloudwatch}
    return MetricsSettings(
        prometheus=PrometheusSettings(port=0), cloudwatch=CloudWatchSettings(**told)
    )


def statistics(cloud: Any, metric: str, *dimensions: tuple[str, str]) -> dict[str, Any]:
    now = datetime.now(UTC)
    points = cloud.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=3600,
        Statistics=["Sum", "Minimum", "Maximum", "SampleCount"],
    )["Datapoints"]
    # An hour may end in the middle of a test.
    return {
        "Sum": sum(one["Sum"] for one in points),
        "Minimum": min((one["Minimum"] for one in points), default=None),
        "Maximum": max((one["Maximum"] for one in points), default=None),
        "SampleCount": sum(one["SampleCount"] for one in points),
        "Unit": {one["Unit"] for one in points},
    }


def test_what_was_measured_is_there_with_its_unit_and_dimensions(endpoint: str, cloud: Any) -> None:
    settings = to(endpoint, region=REGION, dimensions=dict([FLEET]))
    with capture_logs() as logs, measuring(settings) as meter:
        for seconds in (2.0, 3.0, 10.0):
            meter.check_answered(Verdict.CLEAN, plan_seconds=seconds)
        meter.check_answered(Verdict.ERROR, ErrorKind.TIMEOUT)
        meter.disk(used_bytes=10, free_bytes=1 << 40)
        # The whole, by verdict twice, and by kind of error: moto adds up all that have these
        # dimensions and more. CloudWatch would say 4.
        parts = 4 + 3 + 1 + 1
        assert wait_until(lambda: statistics(cloud, "Checks", FLEET)["Sum"] == parts, 60), logs
    assert statistics(cloud, "Checks", FLEET, ("Verdict", "clean"))["Sum"] == 3
    assert statistics(cloud, "Checks", FLEET, ("ErrorKind", "timeout"))["Sum"] == 1
    assert statistics(cloud, "Checks", FLEET)["Unit"] == {"Count"}
    assert statistics(cloud, "PlanDuration", FLEET) == {
        "Sum": 15.0, "Minimum": 2.0, "Maximum": 10.0, "SampleCount": 3.0, "Unit": {"Seconds"}
    }  # fmt: skip
    free = statistics(cloud, "DiskFree", FLEET)
    assert (free["Maximum"], free["Unit"]) == (float(1 << 40), {"Bytes"})
    listed = cloud.list_metrics(Namespace=NAMESPACE)["Metrics"]
    assert all({"Name": "fleet", "Value": "prod"} in one["Dimensions"] for one in listed)
    assert [one["event"] for one in logs] == ["metrics_served"]


def test_what_is_left_is_published_at_the_end(endpoint: str, cloud: Any) -> None:
    told = CloudWatchSettings(endpoint_url=endpoint, namespace=NAMESPACE)
    with measuring(MetricsSettings(cloudwatch=told), {"AWS_REGION": REGION}) as meter:
        meter.checks_put_back(7)
    assert statistics(cloud, "ChecksPutBack")["Sum"] == 7


def test_credentials_that_come_later_are_found(
    endpoint: str, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore's client keeps what it found first, and that may be nothing."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    settings = to(endpoint, region=REGION, namespace="later")
    with capture_logs() as logs, measuring(settings) as meter:
        meter.checks_put_back(7)
        assert wait_until(lambda: TOLD in [one["event"] for one in logs], 60)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        assert wait_until(lambda: "metrics_published_again" in [one["event"] for one in logs], 60)
    assert [one["kind"] for one in logs if one["event"] == TOLD] == ["NoCredentialsError"]
    assert cloud.list_metrics(Namespace="later")["Metrics"]


def test_without_a_region_it_says_so_and_the_other_side_goes_on(endpoint: str) -> None:
    with capture_logs() as logs, measuring(to(endpoint)) as meter:
        meter.checks_put_back(7)
        assert wait_until(lambda: len(logs) == 2, 60)
        url = served_at(logs)
        assert wait_until(lambda: scrape(url)["driftfleet_checks_put_back_total"] == 7, 60)
    assert [one["kind"] for one in logs if one["event"] == TOLD] == ["NoRegionError"]


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("refuses", "EndpointConnectionError"),
        ("hangs", "ReadTimeoutError"),
        ("answers 500", "500"),
        ("answers nonsense", ""),
    ],
)
def test_checks_go_on_whatever_cloudwatch_does_and_the_log_says_it_once(
    behaviour: str, kind: str
) -> None:
    clean = "driftfleet_checks_total{error_kind=}{verdict=clean}"
    with (
        trouble(behaviour) as (endpoint, requests),
        capture_logs() as logs,
        measuring(to(endpoint, region=REGION)) as meter,
    ):
        meter.check_answered(Verdict.CLEAN)
        assert wait_until(lambda: {TOLD, "metrics_served"} <= {one["event"] for one in logs}, 60)
        for _ in range(100):
            meter.check_answered(Verdict.CLEAN)
        assert wait_until(lambda: scrape(served_at(logs))[clean] == 101, 60)
        # It is tried again, and nothing is told of that.
        assert behaviour == "refuses" or wait_until(lambda: len(requests) >= 2, 60)
    kinds = [one["kind"] for one in logs if one["event"] == TOLD]
    assert len(kinds) == 1
    assert kind in kinds[0]
    assert {one["event"] for one in logs} == {TOLD, "metrics_served"}


@contextlib.contextmanager
def trouble(behaviour: str) -> Iterator[tuple[str, list[socket.socket]]]:
    """An endpoint that is of no use, and the connections that were made to it."""
    answers = {
        "hangs": b"",
        "answers 500": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "answers nonsense": b"\x00\x01\x02\r\n\r\n",
    }
    connections: list[socket.socket] = []
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if behaviour in answers:
        listener.listen()
    # Else it refuses; and nobody else gets the port.
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                # Whoever asked may have given up by now; it comes again.
                with contextlib.suppress(OSError):
                    if answer := answers[behaviour]:
                        connection.recv(1 << 16)
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_WR)

    with listener:
        if behaviour in answers:
            threading.Thread(target=serve, daemon=True).start()
        try:
            yield endpoint, connections
        finally:
            if behaviour in answers:
                listener.shutdown(socket.SHUT_RDWR)
            for one in connections:
                one.close()
