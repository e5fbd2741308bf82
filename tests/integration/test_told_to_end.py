"""A worker that is told to end keeps no job from others while its plans run on."""

import signal
import time

import pytest

from tests import providers
from tests.integration.test_worker import BUILTIN, fleet
from tests.workers import Fleet, wait_until

__all__ = ["fleet"]


# It goes on to ask Redis for a moment; what it gets then it takes, or doesn't even read.
@pytest.mark.parametrize("later_seconds", [0, 0.3])
def test_what_comes_with_the_word_to_end_is_done_by_another(
    fleet: Fleet, later_seconds: float
) -> None:
    fleet.environment = {"DRIFTFLEET_WORKER__DRAIN_SECONDS": "80"}
    fleet.environment["DRIFTFLEET_BROKER__VISIBILITY_TIMEOUT_SECONDS"] = "120"
    providers.write_root(fleet.repository / "slow", providers.fault_root("slow", seconds=120))
    providers.write_root(fleet.repository / "quick", BUILTIN)
    fleet.send([fleet.job("slow", sweep_id="other")])
    ending = fleet.start_worker()
    assert wait_until(lambda: fleet.planning() != [], 60)
    ending.terminate()
    time.sleep(later_seconds)
    fleet.send([fleet.job("quick")])
    fleet.start_worker()
    fleet.wait(1, 60)
    assert ending.poll() is None
    providers.write_root(fleet.repository / "slow", BUILTIN)
    ending.send_signal(signal.SIGQUIT)
    fleet.wait(1, 60, "other")
