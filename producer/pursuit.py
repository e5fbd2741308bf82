"""Follows a scan's checks to the last answer, and mends its worker and its queue on the way."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job
from driftfleet.results import Result
from producer.broker import Broker
from producer.crew import Crew
from producer.display import Display
from producer.follow import Follower
from producer.recovery import Action, Observation, Recovery

_POLL_SECONDS = 0.125
_BROKER_POLL_SECONDS = 1.0
# Past a check's own limit and Celery's hard one.
_MARGIN_SECONDS = 300


@dataclass(frozen=True)
class Pursuit:
    """All that it takes to get every check of a scan answered.

    ``send`` puts jobs into the queue; ``answered`` gets each result, in the order they come.
    """

    follower: Follower
    broker: Broker
    crew: Crew
    display: Display
    send: Callable[[list[Job]], None]
    answered: Callable[[Result], None]
    timeout_seconds: int

    def run(self) -> None:
        """Return when every check is answered, if need be with an error of ours.

        Raises
        ------
        StoreUnavailable
            An error of ours could not be stored.
        """
        try:
            self._follow()
        except BrokerUnavailable as error:
            self._give_up(f"the scan's own Redis is gone: {error.message}")

    def _follow(self) -> None:
        recovery = Recovery(time.monotonic(), self.timeout_seconds + _MARGIN_SECONDS)
        looked = 0.0
        queued = True
        while True:
            for result in self.follower.poll():
                self.answered(result)
            if not self.follower.pending:
                return
            self.display.running(self.follower.running().values())
            now = time.monotonic()
            if now - looked >= _BROKER_POLL_SECONDS:
                queued, looked = self.broker.holds_messages(), now
            seen = Observation(
                alive=self.crew.alive, queued=queued, progress=self.follower.progress()
            )
            if not self._act(recovery.decide(now, seen), recovery):
                return
            time.sleep(_POLL_SECONDS)

    def _act(self, action: Action, recovery: Recovery) -> bool:
        """Do what was decided; False where that is the end."""
        if action is Action.GIVE_UP:
            self._give_up(f"{recovery.reason}, so this root was not checked")
            return False
        if action is Action.RESTART:
            self.display.message("the worker process died and is started again")
            self._ask_again()
            self.crew.start()
        if action is Action.RESEND:
            self.display.message("the queue lost a message; what is pending is asked for again")
            self._ask_again()
        return True

    def _ask_again(self) -> None:
        # A dead worker's messages would come back by themselves, after the visibility time-out.
        self.broker.forget_messages()
        self.send(list(self.follower.pending.values()))

    def _give_up(self, reason: str) -> None:
        self.crew.end()
        if said := self.crew.last_words():
            self.display.message(f"the worker's log ends with:\n{said}")
            reason = f"{reason}; the worker's last words: {said.splitlines()[-1].strip()}"
        for result in self.follower.abandon(reason):
            self.answered(result)
