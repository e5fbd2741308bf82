"""Metrics for Prometheus: one registry and one port in the main process of a service."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from driftfleet.metrics.sample import Sample
from driftfleet.metrics.table import METRICS, Metric
from driftfleet.metrics.tally import Tally

log = structlog.get_logger()

# A gauge that nobody sets any more would be shown as true for ever.
FRESH_SECONDS = 300.0
_AGAIN_SECONDS = 10.0
_REQUEST_SECONDS = 10.0
_POLL_SECONDS = 0.5
_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Exposition(Collector):
    """What /metrics shows. Nothing of it is on a disk or in another process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tally = Tally()
        for metric in METRICS.values():
            self._tally.begin(metric)

    def take(self, samples: Iterable[Sample]) -> None:
        """Add samples to what is shown."""
        with self._lock:
            for sample in samples:
                self._tally.add(sample, self._clock())

    def collect(self) -> Iterable[_Family]:
        with self._lock:
            return [family for row in METRICS.values() if (family := self._family(row)).samples]

    def _family(self, metric: Metric) -> _Family:
        name, about, labels = metric.full_name, metric.about, metric.labels
        if metric.kind == "counter":
            counter = CounterMetricFamily(name, about, labels=labels)
            for values in metric.series:
                counter.add_metric(values, self._tally.sums[metric.name, values])
            return counter
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(name, about, labels=labels)
            for values in metric.series:
                found = self._tally.distributions[metric.name, values]
                buckets = [(_bound(bound), float(count)) for bound, count in found.cumulative()]
                histogram.add_metric(values, buckets, sum_value=found.total)
            return histogram
        gauge = GaugeMetricFamily(name, about, labels=labels)
        for values in metric.series:
            value, set_at = self._tally.values.get((metric.name, values), (0.0, float("-inf")))
            if self._clock() - set_at < FRESH_SECONDS:
                gauge.add_metric(values, value)
        return gauge


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)


class PrometheusPort:
    """Serves an exposition on one port. A port that is taken is tried again, and told once."""

    def __init__(
        self, host: str, port: int, exposition: Exposition, again_seconds: float = _AGAIN_SECONDS
    ) -> None:
        registry = CollectorRegistry()
        registry.register(exposition)
        self._application = make_wsgi_app(registry)
        self._place = (host, port)
        self._again_seconds = again_seconds
        self._exposition = exposition
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-port", daemon=True)

    def start(self) -> None:
        """Begin to listen, in a thread."""
        self._thread.start()

    def take(self, samples: Iterable[Sample]) -> None:
        """Add samples to what is shown."""
        self._exposition.take(samples)

    def close(self) -> None:
        """Listen no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_POLL_SECONDS * 2)

    def _run(self) -> None:
        told = False
        while not self._ended.is_set():
            try:
                self._serve()
            except OSError as error:
                if not told:
                    # Not fatal: checks matter more, and who scrapes sees that nobody is here.
                    host, port = self._place
                    log.error(
                        "metrics_not_served",
                        address=f"{host}:{port}",
                        reason=error.strerror or str(error),
                        again_in_seconds=self._again_seconds,
                    )
                told = True
                self._ended.wait(self._again_seconds)

    def _serve(self) -> None:
        with _Server(self._place, self._application) as server:
            host, port = server.server_address[:2]
            log.info("metrics_served", host=str(host), port=port, path="/metrics")
            while not self._ended.is_set():
                server.handle_request()


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, *_: Any) -> None:
        """A scrape each few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    timeout = _POLL_SECONDS

    def __init__(self, place: tuple[str, int], application: Any) -> None:
        self.address_family = _family_of(*place)
        super().__init__(place, _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        # WSGIServer's own looks this machine's name up, which can take as long as DNS likes.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, *_: Any) -> None:
        """Who goes away in the middle of an answer is no traceback on stderr."""


def _family_of(host: str, port: int) -> Any:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
