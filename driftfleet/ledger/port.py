"""What a ledger can do, whatever it is kept in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from driftfleet.jobs import Job
from driftfleet.ledger.records import (
    Answer,
    Ask,
    Begun,
    Counts,
    Judged,
    Opened,
    OpenSweep,
    Recent,
    Running,
    Settled,
    WorkerSeen,
)


class Ledger(Protocol):
    """What is asked for, waits, runs and was answered. Everything raises `BrokerUnavailable`.

    A check is *wanted* from the first sweep that asks for it to its answer, *leased* while somebody
    works on it, and *pending* in every sweep that waits for it. Times are Redis', since clocks of
    workers differ.
    """

    # What sweeps ask for.

    def open(self, sweep_id: str, asks: Sequence[Ask], *, urgent: bool = False) -> Opened:
        """Note what a sweep asks for.

        A check that somebody wants already is joined; one of the same root at another commit that
        waits is replaced by whichever was asked for later, and one that runs is left alone, but
        doesn't begin again. ``urgent`` ones are to be sent even where they wait already.
        """

    def seal(self, sweep: OpenSweep) -> bool:
        """Say that all of a sweep was asked for; True where all of it is answered already.

        One of which Redis has forgotten what was asked for isn't among the open ones then: whoever
        mends asks for all of it again.
        """

    def open_sweeps(self) -> list[OpenSweep]:
        """The sweeps that were sealed and not closed, oldest deadline first."""

    def close(self, sweep_id: str, identities: Iterable[str] = ()) -> None:
        """Forget a sweep that was closed; ``identities`` are checks it no longer waits for."""

    def forget(self, sweep_id: str) -> None:
        """Know nothing any more of what a sweep waits for: the store does, and it is asked for."""

    # What workers do.

    def begin(self, job: Job, token: str, caps: Mapping[str, int], over: str = "") -> Begun:
        """Lease a check for ``token``; ``over`` is the token of a holder that is known to be dead.

        ``caps`` says how many may run at once of what the job's own caps name.
        """

    def note(self, sweep_id: str, check: str, running: Running) -> None:
        """Note that a check runs, or has come to another phase."""

    def renew(self, job: Job, token: str) -> bool:
        """Hold the lease for longer; False where somebody else has it by now."""

    def release(self, job: Job, token: str, *, innocent: bool = True) -> None:
        """Give the lease back without an answer; ``innocent``: that this start doesn't count."""

    def put_off(self, job: Job, seconds: float) -> None:
        """Have a check put into the queue again after a while."""

    def due(self, most: int) -> list[Job]:
        """Take jobs that were put off until now. What isn't sent then is lost to the queue."""

    def answer(
        self,
        job: Job,
        answer: Answer,
        token: str = "",
        recent: Recent | None = None,
        peak_memory_bytes: int = 0,
    ) -> Settled:
        """Note an answer for every sweep that waits for it, and give the lease back."""

    # What who follows and mends looks at.

    def pending(self, sweep_id: str) -> set[str]:
        """The identities of the checks that were not answered yet."""

    def running(self, sweep_id: str) -> dict[str, Running]:
        """The checks that run now, by identity."""

    def answers(self, sweep_id: str, start: int = 0) -> list[Answer]:
        """The answers from the ``start``-th on, in the order in which they came."""

    def counts(self, sweep_ids: Sequence[str]) -> list[Counts]:
        """Of each sweep how much is pending, runs, and was answered; cheap, however much it is."""

    def leased(self, identities: Sequence[str]) -> set[str]:
        """Those of the checks that somebody works on."""

    def put_back(self, sweep_id: str, ask: Ask) -> int:
        """Want a check again that the queue has lost, and return how often that was so.

        0 where it is pending no more, runs, or is replaced: else whoever asks sends it.
        """

    def parked(self) -> list[str]:
        """The caps for which checks wait."""

    def unpark(self, cap: str, limit: int) -> None:
        """Let go on what waits for a cap whose holders have died."""

    def recent(self) -> list[Recent]:
        """The last answers of the fleet, newest first."""

    def note_roots(self, slug: str, judged: Mapping[str, Judged]) -> None:
        """Keep what is known of all roots of a repository, by `Judged.name`; others are gone.

        What has no verdict keeps the time at which it was met first.
        """

    def roots(self, slugs: Iterable[str]) -> list[Judged]:
        """What is known of all roots of these repositories, in no order."""

    def want_report(self) -> None:
        """Note that there is something new to show, of which pages are to be made soon."""

    def say(self, worker: WorkerSeen) -> None:
        """Note what a worker says of itself."""

    def workers(self) -> list[WorkerSeen]:
        """The workers that have said something within two minutes."""

    def now(self) -> float:
        """The time, in seconds since the epoch."""

    def heal(self, *, everywhere: bool) -> int:
        """Remove keys of ours that somebody else has written; how many.

        ``everywhere`` takes its time; else it looks at those of which there is one.
        """
