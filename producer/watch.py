"""Watches sweeps that workers elsewhere answer, to the last answer; restarts nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from driftfleet.errors import BrokerUnavailable
from driftfleet.ledger import Running
from driftfleet.results import Result, SweepRecord
from driftfleet.store import ResultStore
from producer.display import Display
from producer.follow import Follower
from producer.sweep import close_record

_POLL_SECONDS = 0.5
# Redis may be restarted meanwhile: what it has is persistent, or the jobs are lost for everyone.
_PATIENCE_SECONDS = 300.0
# A worker that is free takes a job within a second.
_NOBODY_AT_FIRST_SECONDS = 8.0
_NOBODY_SECONDS = 60.0
_NOBODY = (
    "no worker has {done} for {seconds:.0f} seconds: does `driftfleet worker` run anywhere with "
    "this broker.url, or are all busy with other sweeps? (Ctrl-C stops the waiting alone)"
)


@dataclass(frozen=True)
class Sweep:
    """A sweep that was asked for, and who follows it."""

    record: SweepRecord
    follower: Follower


@dataclass(frozen=True)
class Watch:
    """All that it takes to see sweeps to their end. ``answered`` gets each result as it comes."""

    sweeps: Sequence[Sweep]
    store: ResultStore
    display: Display
    answered: Callable[[Result], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> None:
        """Return when every check is answered; each sweep's record is closed with its last one.

        Raises
        ------
        BrokerUnavailable
            Redis did not answer for five minutes.
        StoreUnavailable
            A sweep's record could not be closed.
        """
        left = list(self.sweeps)
        told_of_redis = told_of_nobody = begun = False
        moved = heard = self.clock()
        while left:
            try:
                running = self._poll(left)
                heard = self.clock()
            except BrokerUnavailable as error:
                if self.clock() - heard > _PATIENCE_SECONDS:
                    raise
                if not told_of_redis:
                    self.display.message(f"{error.message}; it is asked again for a while")
                told_of_redis, running = True, None
            if running is not None:
                self.display.running(running)
                closed = [sweep for sweep in left if not sweep.follower.pending]
                left = [sweep for sweep in left if sweep.follower.pending]
                self._close(closed)
                if running or closed:
                    moved, begun = self.clock(), True
            patience = _NOBODY_SECONDS if begun else _NOBODY_AT_FIRST_SECONDS
            if not told_of_nobody and self.clock() - moved > patience:
                done = "begun anything" if begun else "taken a job yet,"
                self.display.message(_NOBODY.format(done=done, seconds=patience))
                told_of_nobody = True
            if left:
                self.sleep(_POLL_SECONDS)

    def _poll(self, sweeps: Sequence[Sweep]) -> list[Running]:
        running: list[Running] = []
        for sweep in sweeps:
            for result in sweep.follower.poll():
                self.answered(result)
            running += sweep.follower.running().values()
        return running

    def _close(self, sweeps: Sequence[Sweep]) -> None:
        for sweep in sweeps:
            record = close_record(sweep.record, sweep.follower.verdicts, datetime.now(UTC))
            self.store.put_sweep(record)
