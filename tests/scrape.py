"""What a service's /metrics says."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families


def scrape(url: str) -> dict[str, float]:
    """``name{label=value}{...}`` -> value, as Prometheus's own parser reads it."""
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200
    return read(answer.text)


def read(text: str) -> dict[str, float]:
    """The samples of an exposition's text."""
    return {
        one.name + "".join(f"{{{k}={v}}}" for k, v in sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def served_at(log: Sequence[Mapping[str, Any]]) -> str:
    """The URL in the line of a log that tells it."""
    line = next(one for one in log if one["event"] == "metrics_served")
    return f"http://{line['host']}:{line['port']}{line['path']}"
