"""What /metrics shows: sums, distributions, and gauges as long as somebody sets them."""

from prometheus_client import CollectorRegistry, generate_latest

from driftfleet.metrics.meter import Meter
from driftfleet.metrics.outlet import Kept
from driftfleet.metrics.prometheus import FRESH_SECONDS, Exposition
from driftfleet.metrics.table import METRICS
from driftfleet.results import ErrorKind, Verdict
from tests.scrape import read


class World:
    """A meter and its exposition, and a clock that only `pass_` moves."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._kept = Kept()
        self.meter = Meter(self._kept)
        self._exposition = Exposition(lambda: self._now)
        self._registry = CollectorRegistry()
        self._registry.register(self._exposition)

    def pass_(self, seconds: float) -> None:
        self.show()
        self._now += seconds

    def show(self) -> dict[str, float]:
        self._exposition.take(self._kept.samples)
        self._kept.samples.clear()
        return read(generate_latest(self._registry).decode())


def test_counters_and_histograms_are_there_from_the_start_and_gauges_are_not() -> None:
    shown = World().show()
    assert shown["driftfleet_checks_total{error_kind=timeout}{verdict=error}"] == 0
    assert shown["driftfleet_plan_seconds_count"] == 0
    assert {name.partition("{")[0] for name in shown} == {
        f"{metric.full_name}{end}"
        for metric in METRICS.values()
        for end in {"counter": [""], "histogram": ["_bucket", "_sum", "_count"]}.get(
            metric.kind, []
        )
    }


def test_checks_are_counted_by_verdict_and_error_and_plans_by_their_time() -> None:
    world = World()
    for seconds in (0.5, 1.0, 7.0, 4000.0):
        world.meter.check_answered(Verdict.CLEAN, plan_seconds=seconds)
    world.meter.check_answered(Verdict.ERROR, ErrorKind.HCL)
    shown = world.show()
    assert shown["driftfleet_checks_total{error_kind=}{verdict=clean}"] == 4
    assert shown["driftfleet_checks_total{error_kind=hcl}{verdict=error}"] == 1
    assert shown["driftfleet_plan_seconds_count"] == 4
    assert shown["driftfleet_plan_seconds_sum"] == 4008.5
    buckets = [shown[f"driftfleet_plan_seconds_bucket{{le={le}}}"] for le in
               ("1.0", "2.0", "5.0", "10.0", "1800.0", "+Inf")]  # fmt: skip
    assert buckets == [2, 2, 2, 3, 3, 4]


def test_sums_go_on() -> None:
    world = World()
    world.meter.checks_put_back(2)
    world.pass_(10 * FRESH_SECONDS)
    world.meter.checks_put_back(3)
    assert world.show()["driftfleet_checks_put_back_total"] == 5


def test_a_gauge_is_its_last_value_and_vanishes_when_nobody_sets_it() -> None:
    world = World()
    world.meter.roots_by_verdict({Verdict.CLEAN: 8, Verdict.DRIFTED: 1})
    world.meter.heartbeat(age_seconds=3)
    world.pass_(FRESH_SECONDS - 1)
    world.meter.heartbeat(age_seconds=4)
    shown = world.show()
    assert shown["driftfleet_roots{verdict=clean}"] == 8
    assert shown["driftfleet_roots{verdict=error}"] == 0
    assert "driftfleet_heartbeat_latency_seconds" not in shown
    world.pass_(1)
    shown = world.show()
    assert "driftfleet_roots{verdict=clean}" not in shown
    assert shown["driftfleet_heartbeat_age_seconds"] == 4
