"""The port for Prometheus: what is in its way, and who dawdles there."""

import contextlib
import socket

import httpx
from structlog.testing import capture_logs

from driftfleet.metrics import Kept, Meter
from driftfleet.metrics.prometheus import Exposition, PrometheusPort
from driftfleet.metrics_settings import MetricsSettings, PrometheusSettings
from tests.measuring import measuring
from tests.scrape import scrape, served_at
from tests.workers import wait_until


def test_a_port_that_is_taken_is_told_once_and_served_when_it_is_free() -> None:
    kept, taken = Kept(), socket.create_server(("127.0.0.1", 0))
    with capture_logs() as logs:
        port = PrometheusPort("127.0.0.1", taken.getsockname()[1], Exposition(), 0.05)
        port.start()
        try:
            assert wait_until(lambda: logs != [], 60)
            Meter(kept).checks_put_back(3)
            port.take(kept.samples)
            taken.close()
            assert wait_until(lambda: logs[-1]["event"] == "metrics_served", 60)
            assert scrape(served_at(logs))["driftfleet_checks_put_back_total"] == 3
        finally:
            port.close()
    assert [one["event"] for one in logs] == ["metrics_not_served", "metrics_served"]
    assert logs[0]["reason"] == "Address already in use"


def test_an_address_that_is_not_this_machines_fails_nothing() -> None:
    settings = MetricsSettings(prometheus=PrometheusSettings(host="192.0.2.1"))
    with capture_logs() as logs, measuring(settings) as meter:
        meter.tick(1)
        assert wait_until(lambda: logs != [], 60)
    assert logs[0]["event"] == "metrics_not_served"
    assert logs[0]["address"] == "192.0.2.1:9808"


def test_who_connects_and_asks_nothing_holds_up_nobody() -> None:
    settings = MetricsSettings(prometheus=PrometheusSettings(port=0))
    with capture_logs() as logs, measuring(settings) as meter, contextlib.ExitStack() as stack:
        assert wait_until(lambda: logs != [], 60)
        url = httpx.URL(served_at(logs))
        for _ in range(20):
            idle = socket.create_connection((url.host, url.port or 0), timeout=5)
            stack.enter_context(idle)
        meter.slots(busy=1, total=4)
        assert wait_until(lambda: scrape(str(url)).get("driftfleet_slots") == 4, 60)


def test_a_port_is_free_again_once_the_meter_is_closed() -> None:
    settings = MetricsSettings(prometheus=PrometheusSettings(port=0))
    with capture_logs() as logs, measuring(settings):
        assert wait_until(lambda: logs != [], 60)
        url = httpx.URL(served_at(logs))
    with socket.create_server((url.host, url.port or 0)):
        pass
