"""The one table: names that both sides accept, a known number of series, and the page on it."""

import re
from pathlib import Path

import pytest

from driftfleet.metrics import Kept, Meter
from driftfleet.metrics.cloudwatch import data_of
from driftfleet.metrics.table import METRICS, Metric
from driftfleet.metrics.tally import Tally
from driftfleet.metrics_settings import OUR_DIMENSIONS
from driftfleet.results import ErrorKind, Verdict

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
ALL = pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)


def everything(meter: Meter) -> None:
    """Call each method that measures."""
    for verdict in Verdict:
        if verdict is not Verdict.ERROR:
            meter.check_answered(verdict)
    for kind in ErrorKind:
        meter.check_answered(Verdict.ERROR, kind)
    meter.check_answered(
        Verdict.CLEAN,
        plan_seconds=1,
        total_seconds=2,
        wait_seconds=3,
        cpu_seconds=4,
        peak_memory_bytes=5,
    )
    meter.checks_put_back(1)
    meter.heartbeat(age_seconds=1, latency_seconds=2)
    meter.roots_by_verdict({Verdict.CLEAN: 3})
    meter.staleness(1)
    meter.sweeps(open_now=1, overdue=0)
    meter.sweep_closed()
    meter.sweep_closed(by_deadline=True)
    meter.queue(waiting=1, running=2, later=3, age_seconds=4)
    meter.tick(1)
    meter.slots(busy=1, total=2)
    meter.disk(used_bytes=1, free_bytes=2)


@ALL
def test_names_are_those_of_prometheus_and_of_cloudwatch(metric: Metric) -> None:
    assert re.fullmatch(r"driftfleet_[a-z]+(_[a-z]+)*", metric.full_name)
    assert re.fullmatch(r"([A-Z][a-z]+)+", metric.cloudwatch)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert (metric.unit == "Seconds") == ("_seconds" in metric.name)
    assert (metric.unit == "Bytes") == ("_bytes" in metric.name)
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)
    assert not (metric.kind == "histogram" and metric.labels)


@ALL
def test_the_page_has_it_with_its_labels(metric: Metric) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{metric.full_name}` |")]
    assert f"| `{metric.cloudwatch}` |" in row
    assert f"| {metric.kind} |" in row
    for label in metric.labels:
        assert f"`{label}`" in row


def test_the_page_has_no_other() -> None:
    named = set(re.findall(r"driftfleet_[a-z_]+", PAGE))
    suffixes = ("_bucket", "_sum", "_count", "")
    known = {f"{metric.full_name}{end}" for metric in METRICS.values() for end in suffixes}
    assert named <= known


def test_no_series_is_told_apart_by_a_repository_a_root_or_a_worker() -> None:
    labels = {label for metric in METRICS.values() for label in metric.labels}
    assert labels == {"closed_by", "error_kind", "state", "verdict", "where"}
    assert sum(len(metric.series) for metric in METRICS.values()) < 80
    assert all(len(one) == len(m.labels) for m in METRICS.values() for one in m.series)


def test_cloudwatch_names_are_told_apart_and_so_are_the_dimensions() -> None:
    assert len({metric.cloudwatch for metric in METRICS.values()}) == len(METRICS)
    kept, tally = Kept(), Tally()
    everything(Meter(kept))
    for sample in kept.samples:
        tally.add(sample, 0.0)
    tally.begin(METRICS["metrics_lost_total"])
    used = {one["Name"] for datum in data_of(tally, {}, 0.0) for one in datum["Dimensions"]}
    assert used == OUR_DIMENSIONS


def test_every_method_measures_what_the_table_knows_and_every_row_has_a_method() -> None:
    kept = Kept()
    everything(Meter(kept))
    for name, _, labels in kept.samples:
        assert labels in METRICS[name].series, (name, labels)
    told = {(sample.name, sample.labels) for sample in kept.samples}
    known = {(m.name, labels) for m in METRICS.values() for labels in m.series}
    assert {name for name, _ in known - told} == {"metrics_lost_total"}


def test_a_meter_without_an_outlet_takes_everything_and_opens_nothing() -> None:
    meter = Meter()
    everything(meter)
    meter.start()
    meter.close()
