"""The lease of a running check: renewed, lost, and whose holder is dead."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from driftfleet.errors import BrokerUnavailable
from driftfleet.jobs import Job
from driftfleet.ledger import LEASE_SECONDS, RENEW_SECONDS, MemoryLedger
from tests.ledgers import NO_CAPS, ask, job
from worker.lease import Lease, is_dead, new_token


class Flaky(MemoryLedger):
    """A ledger that may be out of reach, and counts."""

    away = False
    asked = 0

    def renew(self, job: Job, token: str) -> bool:
        self.asked += 1
        if self.away:
            raise BrokerUnavailable("Redis did not answer: refused")
        return super().renew(job, token)


@dataclass
class World:
    """A lease whose thread waits in no time; ``acts`` happen after so many seconds of it."""

    seconds: float = 100.0
    acts: dict[float, Callable[[], None]] = field(default_factory=dict)
    now: float = 0.0
    over: bool = False

    def __post_init__(self) -> None:
        self.ledger = Flaky(lambda: self.now)
        self.job = job("a")
        self.reasons: list[tuple[str, float]] = []
        ask(self.ledger, self.job)
        self.ledger.begin(self.job, "t1", NO_CAPS)

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        for at in [at for at in sorted(self.acts) if at <= self.now]:
            self.acts.pop(at)()
        return self.now >= self.seconds

    def run(self) -> "World":
        with Lease(
            self.job,
            "t1",
            self.ledger,
            lambda: self.over,
            lambda reason: self.reasons.append((reason, self.now)),
            wait=self.wait,
        ):
            pass
        return self


def test_a_lease_is_renewed_well_before_it_ends_for_as_long_as_the_check_takes() -> None:
    world = World(seconds=30 * LEASE_SECONDS).run()
    assert world.ledger.leased([world.job.identity]) == {world.job.identity}
    assert world.ledger.asked == pytest.approx(30 * LEASE_SECONDS / RENEW_SECONDS, abs=2)
    assert world.reasons == []


def test_who_has_lost_it_is_told_within_a_renewal_and_asks_no_more() -> None:
    world = World()
    world.acts[20] = lambda: world.ledger.release(world.job, "t1")
    world.acts[21] = lambda: world.ledger.begin(world.job, "t2", NO_CAPS) and None
    world.run()
    assert {reason for reason, _ in world.reasons} == {"somebody else works on it"}
    assert 21 <= world.reasons[0][1] <= 21 + RENEW_SECONDS
    assert world.ledger.asked == 2


def test_the_end_of_the_worker_interrupts_at_once() -> None:
    world = World()
    world.acts[3.2] = lambda: setattr(world, "over", True)
    world.run()
    assert world.reasons[0] == ("the worker ends", 3.5)


def test_who_does_not_hear_is_told_again_until_the_check_ends() -> None:
    world = World(seconds=10)
    world.acts[3.2] = lambda: setattr(world, "over", True)
    world.run()
    assert [at for _, at in world.reasons] == [3.5 + n / 2 for n in range(13)]


def test_a_redis_that_is_away_ends_nothing_and_is_asked_again_soon() -> None:
    """Its job is redelivered when it is back: by then the lease is to be ours again."""
    world = World(seconds=4 * LEASE_SECONDS)
    world.acts[10] = lambda: setattr(world.ledger, "away", True)
    back = 10 + 2 * LEASE_SECONDS
    world.acts[back] = lambda: setattr(world.ledger, "away", False)
    held: list[bool] = []
    world.acts[back + 2] = lambda: held.append(
        world.ledger.begin(world.job, "t2", NO_CAPS).outcome == "held"
    )
    world.run()
    assert world.reasons == []
    assert held == [True]


def test_what_was_found_out_may_be_written_by_its_holder_alone() -> None:
    world = World()

    def ours() -> bool:
        return Lease(world.job, "t1", world.ledger, bool, lambda _: None).is_ours()

    assert ours()
    world.now += LEASE_SECONDS + 1
    assert ours()  # nobody has taken it
    world.now += LEASE_SECONDS + 1
    world.ledger.begin(world.job, "t2", NO_CAPS)
    assert not ours()
    world.ledger.away = True
    assert ours()


# Who is dead.


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Another process of this host, and a token of it."""
    code = "from worker.lease import new_token as n; print(n(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        yield started, started.stdout.readline().decode().strip()
        started.kill()


def test_the_living_are_not_dead(other: tuple[subprocess.Popen[bytes], str]) -> None:
    assert not is_dead(other[1])
    assert not is_dead(new_token())
    assert new_token() != new_token()


def test_who_was_killed_is_dead_even_before_anybody_took_notice(
    other: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, token = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie still
    assert is_dead(token)
    process.wait()
    assert is_dead(token)


def test_who_is_frozen_is_not_dead(other: tuple[subprocess.Popen[bytes], str]) -> None:
    process, token = other
    process.send_signal(signal.SIGSTOP)
    assert not is_dead(token)


def test_another_process_that_got_its_number_is_not_the_one() -> None:
    place, pid, started, rest = new_token().split("|")
    assert is_dead("|".join((place, pid, str(int(started) - 1), rest)))


@pytest.mark.parametrize("number", ["1", "12", "9" * 5000, "²", "-1", "1/../self"])
def test_of_another_host_nobody_is_known_to_be_dead(number: str) -> None:
    _, _, started, rest = new_token().split("|")
    assert not is_dead("|".join(("another-boot/pid:[1]", number, started, rest)))


@pytest.mark.parametrize("number", ["9" * 5000, "²", "-1", "1/../self", ""])
def test_a_token_that_somebody_made_up_is_nobodys(number: str) -> None:
    place, _, started, rest = new_token().split("|")
    assert not is_dead("|".join((place, number, started, rest)))
    for odd in ("", "|", "|||", "x" * 100_000, f"{place}|1|2", f"{place}|1|2|3|4"):
        assert not is_dead(odd)
