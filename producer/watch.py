"""Watches sweeps that workers elsewhere answer, to the last answer; mends and closes nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from driftfleet.errors import BrokerUnavailable, StoreUnavailable
from driftfleet.ledger import Running
from driftfleet.results import Result
from producer.display import Display
from producer.follow import Follower

_POLL_SECONDS = 0.5
# Redis may be restarted meanwhile: what it has is persistent, or is rebuilt from the store.
_PATIENCE_SECONDS = 300.0
# A sweep may be closed without a word to who follows it: its deadline, a Redis without its memory.
_STORE_SECONDS = 30.0
# A worker that is free takes a job within a second.
_NOBODY_AT_FIRST_SECONDS = 8.0
_NOBODY_SECONDS = 60.0
_NOBODY = (
    "no worker has {done} for {seconds:.0f} seconds: does `driftfleet worker` run anywhere with "
    "this broker.url, or are all busy with other sweeps? (Ctrl-C stops the waiting alone)"
)


@dataclass
class Watch:
    """All that it takes to see sweeps to their end. ``answered`` gets each result as it comes."""

    followers: Sequence[Follower]
    display: Display
    answered: Callable[[Result], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _told: set[str] = field(default_factory=set)
    _begun: bool = False

    def run(self) -> None:
        """Return when every check is answered, or its sweep closed.

        Raises
        ------
        BrokerUnavailable
            Redis did not answer for five minutes.
        """
        left = list(self.followers)
        moved = heard = looked = self.clock()
        while left:
            try:
                moving = self._poll(left)
                heard = self.clock()
            except BrokerUnavailable as error:
                if self.clock() - heard > _PATIENCE_SECONDS:
                    raise
                self._tell("redis", f"{error.message}; it is asked again for a while")
                moving = False
            if self.clock() - looked > _STORE_SECONDS:
                looked = self.clock()
                self._catch_up(left)
            still = [follower for follower in left if follower.pending]
            if moving or len(still) < len(left):
                moved, self._begun = self.clock(), True
            left = still
            self._tell_of_nobody(self.clock() - moved)
            if left:
                self.sleep(_POLL_SECONDS)

    def _poll(self, followers: Sequence[Follower]) -> bool:
        """Take what came; whether somebody works on any of it."""
        running: list[Running] = []
        for follower in followers:
            for result in follower.poll():
                self.answered(result)
            running += follower.running().values()
        self.display.running(running)
        return bool(running) or any(follower.is_worked_on() for follower in followers)

    def _catch_up(self, followers: Sequence[Follower]) -> None:
        for follower in followers:
            try:
                for result in follower.catch_up() or ():
                    self.answered(result)
            except StoreUnavailable as error:
                self._tell("store", f"{error.message}; it is asked again for a while")

    def _tell_of_nobody(self, seconds: float) -> None:
        patience = _NOBODY_SECONDS if self._begun else _NOBODY_AT_FIRST_SECONDS
        if seconds > patience:
            done = "begun anything" if self._begun else "taken a job yet,"
            self._tell("nobody", _NOBODY.format(done=done, seconds=patience))

    def _tell(self, what: str, message: str) -> None:
        """Once is enough."""
        if what not in self._told:
            self._told.add(what)
            self.display.message(message)
