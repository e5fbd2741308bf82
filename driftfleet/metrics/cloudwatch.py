"""Metrics for CloudWatch: added up for a minute, then put in one request by a thread of its own."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from driftfleet.aws_client import OwnClient, lacks_credentials
from driftfleet.metrics.sample import Sample
from driftfleet.metrics.table import METRICS, Labels
from driftfleet.metrics.tally import Distribution, Series, Tally
from driftfleet.metrics_settings import CloudWatchSettings
from driftfleet.secrets import keep_out_of_logs

log = structlog.get_logger()

Datum = dict[str, Any]
# PutMetricData takes 1,000 data and 1 MB.
_MOST_DATA = 500
# A quarter of an hour without CloudWatch loses nothing.
_MOST_WAITING = 15
_CONNECT_SECONDS, _READ_SECONDS = 3.0, 5.0
_END_SECONDS = 3.0
# Data that are refused as such would be refused again, and hold up all others.
_REFUSED = frozenset(
    {
        "InvalidFormat", "InvalidParameterCombination", "InvalidParameterValue",
        "MissingParameter", "MissingRequiredParameter", "ValidationError",
    }
)  # fmt: skip


class Client(Protocol):
    """The one method of boto3's client that is used."""

    def put_metric_data(self, *, Namespace: str, MetricData: Sequence[Datum]) -> object:  # noqa: N803
        """Take data. Raises boto's errors."""


class CloudWatchPublisher:
    """Publishes what it takes every ``every_seconds``. ``lose`` is told how many data were lost."""

    def __init__(
        self,
        settings: CloudWatchSettings,
        client: OwnClient[Client],
        lose: Callable[[int], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client
        self._lose = lose
        self._clock = clock
        self._lock = threading.Lock()
        self._tally = Tally()
        self._waiting: deque[list[Datum]] = deque()
        self._troubles: Counter[str] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-cloudwatch", daemon=True)

    def start(self) -> None:
        """Begin to publish, in a thread."""
        self._thread.start()

    def take(self, samples: Iterable[Sample]) -> None:
        """Add samples to what is published next."""
        with self._lock:
            for sample in samples:
                self._tally.add(sample, self._clock())

    def close(self) -> None:
        """Publish once more, and wait for that a little."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)

    def publish(self) -> None:
        """Put what was added up since the last time, and what could not be put then."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        data = list(data_of(tally, self._settings.dimensions, self._clock()))
        for start in range(0, len(data), _MOST_DATA):
            self._waiting.append(data[start : start + _MOST_DATA])
        while len(self._waiting) > _MOST_WAITING:
            self._lose(len(self._waiting.popleft()))
        while self._waiting and self._put(self._waiting[0]):
            self._waiting.popleft()

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(self._settings.every_seconds)
            try:
                self.publish()
            except Exception as error:  # this thread is nobody's child: it outlives all of them
                self._tell(type(error).__name__, error)

    def _put(self, data: list[Datum]) -> bool:
        """Whether they are done with: taken, or of no use."""
        try:
            client = self._client.get()
            client.put_metric_data(Namespace=self._settings.namespace, MetricData=data)
        except (BotoCoreError, ClientError, OSError) as error:
            code = _kind(error)
            if lacks_credentials(error):
                self._client.forget()
            self._tell(code, error)
            if code in _REFUSED:
                self._lose(len(data))
            return code in _REFUSED
        if self._troubles:
            log.info("metrics_published_again", to="cloudwatch", failures=dict(self._troubles))
            self._troubles.clear()
        return True

    def _tell(self, kind: str, error: Exception) -> None:
        self._troubles[kind] += 1
        if self._troubles[kind] == 1:
            # botocore's own words hold the endpoint, and no secret.
            log.error("metrics_not_published", to="cloudwatch", kind=kind, reason=str(error)[:500])


def connect(settings: CloudWatchSettings, environment: Mapping[str, str]) -> Client:
    """A client; keys and profile are found by botocore's own chain. Nothing is asked yet.

    Raises ``BotoCoreError`` or ``ValueError`` where no client can be made of the settings.
    """
    # At debug level it tells what it sends, and with which key.
    keep_out_of_logs("botocore")
    keep_out_of_logs("boto3")
    region = settings.region or environment.get("AWS_REGION")
    client: Client = boto3.Session(region_name=region or None).client(
        "cloudwatch",
        endpoint_url=settings.endpoint_url,
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            # The next minute tries again: a second try could also count twice.
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )
    return client


def data_of(tally: Tally, dimensions: Mapping[str, str], now: float) -> Iterator[Datum]:
    """A tally as PutMetricData takes it.

    CloudWatch adds nothing up over dimensions, so each metric is put as a whole, and once more for
    each single value of a label: `Checks`, `Checks` by Verdict, `Checks` by ErrorKind.
    """
    own = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    common = {"Timestamp": datetime.fromtimestamp(now, UTC)}
    gauges = {series: value for series, (value, _) in tally.values.items()}
    for (name, labels), value in _parts({**tally.sums, **gauges}):
        yield {**common, **_head(name, own, labels), "Value": value}
    for (name, labels), found in tally.distributions.items():
        yield {**common, **_head(name, own, labels), "StatisticValues": _statistics(found)}


def _parts(values: Mapping[Series, float]) -> Iterable[tuple[Series, float]]:
    """The whole of each metric, and the part of each value of each of its labels."""
    parts: dict[Series, float] = {}
    for (name, labels), value in values.items():
        shown = [(label, of) for label, of in zip(METRICS[name].labels, labels, strict=True) if of]
        for part in [(), *shown]:
            parts[name, part] = parts.get((name, part), 0.0) + value
    return parts.items()


def _head(name: str, own: list[Datum], part: Labels) -> Datum:
    metric = METRICS[name]
    extra = [{"Name": _camel(part[0]), "Value": part[1]}] if part else []
    return {"MetricName": metric.cloudwatch, "Unit": metric.unit, "Dimensions": [*own, *extra]}


def _statistics(found: Distribution) -> dict[str, float]:
    return {
        "SampleCount": float(found.count),
        "Sum": found.total,
        "Minimum": found.smallest,
        "Maximum": found.largest,
    }


def _camel(label: str) -> str:
    return "".join(word.capitalize() for word in label.split("_"))


def _kind(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "no code"))[:80]
    return type(error).__name__
