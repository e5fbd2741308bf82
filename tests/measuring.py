"""A meter that is open for the time of a block."""

import contextlib
import threading
from collections.abc import Iterator, Mapping

from driftfleet.metrics import Meter, open_meter
from driftfleet.metrics_settings import MetricsSettings
from tests.workers import wait_until


@contextlib.contextmanager
def measuring(
    settings: MetricsSettings, environment: Mapping[str, str] | None = None
) -> Iterator[Meter]:
    """As a worker's main process has it. Afterwards none of its threads is left."""
    meter = open_meter(settings, "worker", environment)
    meter.start()
    try:
        yield meter
    finally:
        meter.close()
        # It doesn't wait for a request that hangs; whoever captures logs next has to.
        assert wait_until(lambda: _threads() == [], 30), _threads()


def _threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("metrics-")]
