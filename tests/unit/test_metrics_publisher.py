"""What CloudWatch is sent, and what happens to what it does not take."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from structlog.testing import capture_logs

from driftfleet.aws_client import OwnClient
from driftfleet.metrics.cloudwatch import CloudWatchPublisher
from driftfleet.metrics.meter import Meter
from driftfleet.metrics.outlet import Kept
from driftfleet.metrics_settings import CloudWatchSettings
from driftfleet.results import ErrorKind, Verdict

NOW = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)


class Cloud:
    """CloudWatch that remembers what it took; ``trouble`` is what it raises instead."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.requests = 0
        self.trouble: Exception | None = None

    def put_metric_data(
        self,
        *,
        Namespace: str,  # noqa: N803 - boto3's names
        MetricData: Sequence[dict[str, Any]],  # noqa: N803
    ) -> object:
        self.requests += 1
        if self.trouble is not None:
            raise self.trouble
        self.taken += [{**datum, "Namespace": Namespace} for datum in MetricData]
        return {}


class World:
    def __init__(self, **settings: Any) -> None:
        self.cloud = Cloud()
        self.clients = 0
        self.lost: list[int] = []
        self.kept = Kept()
        self.meter = Meter(self.kept)
        self._publisher = CloudWatchPublisher(
            CloudWatchSettings(**settings),
            OwnClient(self._connect),
            self.lost.append,
            NOW.timestamp,
        )

    def _connect(self) -> Cloud:
        self.clients += 1
        return self.cloud

    def publish(self) -> None:
        self._publisher.take(self.kept.samples)
        self.kept.samples.clear()
        self._publisher.publish()

    def values(self, metric: str) -> dict[tuple[str, ...], Any]:
        """By the values of the dimensions."""
        return {
            tuple(one["Value"] for one in datum["Dimensions"]): datum.get("Value")
            or datum.get("StatisticValues")
            for datum in self.cloud.taken
            if datum["MetricName"] == metric
        }


def refusal(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutMetricData")


def test_a_metric_is_put_as_a_whole_and_by_each_label() -> None:
    world = World(namespace="mine", dimensions={"fleet": "prod"})
    world.meter.check_answered(Verdict.CLEAN)
    world.meter.check_answered(Verdict.ERROR, ErrorKind.HCL)
    world.meter.check_answered(Verdict.ERROR, ErrorKind.TIMEOUT)
    world.publish()
    assert world.values("Checks") == {
        ("prod",): 3.0,
        ("prod", "clean"): 1.0,
        ("prod", "error"): 2.0,
        ("prod", "hcl"): 1.0,
        ("prod", "timeout"): 1.0,
    }
    first = world.cloud.taken[0]
    assert (first["Namespace"], first["Unit"], first["Timestamp"]) == ("mine", "Count", NOW)
    assert first["Dimensions"][0] == {"Name": "fleet", "Value": "prod"}
    assert world.cloud.taken[1]["Dimensions"][1] == {"Name": "Verdict", "Value": "clean"}


def test_many_plans_are_one_set_of_statistics() -> None:
    world = World()
    for seconds in (1.0, 4.0, 2.5):
        world.meter.check_answered(Verdict.CLEAN, plan_seconds=seconds)
    world.publish()
    assert world.values("PlanDuration") == {
        (): {"SampleCount": 3.0, "Sum": 7.5, "Minimum": 1.0, "Maximum": 4.0}
    }


def test_each_time_only_what_is_new_and_nothing_when_nothing_is() -> None:
    world = World()
    world.meter.check_answered(Verdict.CLEAN)
    world.meter.staleness(17)
    world.publish()
    world.publish()
    assert world.cloud.requests == 1
    world.meter.check_answered(Verdict.CLEAN)
    world.publish()
    assert [d["Value"] for d in world.cloud.taken if d["MetricName"] == "Checks"] == [1.0] * 4
    assert [d["Value"] for d in world.cloud.taken if d["MetricName"] == "Staleness"] == [17.0]


def test_a_quarter_of_an_hour_without_cloudwatch_loses_nothing_and_is_told_once() -> None:
    world = World()
    world.cloud.trouble = EndpointConnectionError(endpoint_url="https://x")
    with capture_logs() as logs:
        for _ in range(15):
            world.meter.checks_put_back(1)
            world.publish()
        world.cloud.trouble = None
        world.meter.checks_put_back(1)
        # The sixteenth pushes the first out.
        world.publish()
    assert sum(datum["Value"] for datum in world.cloud.taken) == 15
    assert world.lost == [1]
    assert [(one["event"], one["log_level"]) for one in logs] == [
        ("metrics_not_published", "error"),
        ("metrics_published_again", "info"),
    ]
    assert logs[1]["failures"] == {"EndpointConnectionError": 15}


def test_each_kind_of_failure_is_told_once_until_it_works_again() -> None:
    world = World()
    with capture_logs() as logs:
        for trouble in (refusal("Throttling", 400), refusal("AccessDenied", 403), None) * 2:
            world.cloud.trouble = trouble
            world.meter.tick(1)
            world.publish()
            world.publish()
    kinds = [one["kind"] for one in logs if one["event"] == "metrics_not_published"]
    assert kinds == ["Throttling", "AccessDenied"] * 2


def test_data_that_are_refused_as_such_do_not_hold_up_the_next() -> None:
    world = World()
    world.cloud.trouble = refusal("InvalidParameterValue", 400)
    world.meter.tick(1)
    world.publish()
    assert world.lost == [1]
    world.cloud.trouble = None
    world.meter.tick(2)
    world.publish()
    assert world.values("TickDuration")[()]["Sum"] == 2.0


@pytest.mark.parametrize("code", ["Throttling", "AccessDenied", "InternalFailure", "ExpiredToken"])
def test_what_may_pass_is_tried_again(code: str) -> None:
    world = World()
    world.cloud.trouble = refusal(code, 400)
    world.meter.tick(1)
    world.publish()
    world.cloud.trouble = None
    world.publish()
    assert world.values("TickDuration")[()]["Sum"] == 1.0
    assert world.lost == []


@pytest.mark.parametrize(
    ("trouble", "clients"),
    [(NoCredentialsError(), 2), (refusal("ExpiredToken", 400), 2), (refusal("Throttling", 400), 1)],
)
def test_a_client_that_lacks_credentials_is_not_asked_again(
    trouble: Exception, clients: int
) -> None:
    world = World()
    world.cloud.trouble = trouble
    world.meter.tick(1)
    world.publish()
    world.cloud.trouble = None
    world.publish()
    assert world.clients == clients
    assert world.values("TickDuration")[()]["Sum"] == 1.0
