"""Samples, added up."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from driftfleet.metrics.sample import Sample
from driftfleet.metrics.table import METRICS, Labels, Metric

Series = tuple[str, Labels]


@dataclass
class Distribution:
    """``counts`` by bucket, the last one for what is above all bounds."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    count: int = 0
    total: float = 0.0
    smallest: float = float("inf")
    largest: float = float("-inf")

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count one value; a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.total += value
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound with the count of what is not above it; infinity last."""
        so_far = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            so_far += count
            yield bound, so_far


class Tally:
    """Sums, last values and distributions by series. It has no lock."""

    def __init__(self) -> None:
        self.sums: dict[Series, float] = {}
        self.values: dict[Series, tuple[float, float]] = {}  # and when it was set
        self.distributions: dict[Series, Distribution] = {}

    def begin(self, metric: Metric) -> None:
        """Know all series of a counter or histogram at 0, so that the first event is a change."""
        for labels in metric.series:
            if metric.kind == "counter":
                self.sums.setdefault((metric.name, labels), 0.0)
            elif metric.kind == "histogram":
                self.distributions.setdefault((metric.name, labels), Distribution(metric.buckets))

    def add(self, sample: Sample, now: float) -> None:
        """Take one sample, which the table knows."""
        metric, series = METRICS[sample.name], (sample.name, sample.labels)
        if metric.kind == "counter":
            self.sums[series] = self.sums.get(series, 0.0) + sample.value
        elif metric.kind == "gauge":
            self.values[series] = (sample.value, now)
        else:
            self.distributions.setdefault(series, Distribution(metric.buckets)).add(sample.value)
