"""Whether a worker has room for one plan more."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftfleet.settings import WorkerSettings
from worker.machine import Disk
from worker.room import Refusal, Room, Ticket, expected_memory

MIB = 1 << 20
GIB = 1 << 30


class Scripted:
    """A machine as the test says; ``resident`` is by process."""

    def __init__(self) -> None:
        self.available = 2000 * MIB
        self.resident: dict[int, int] = {}
        self.free = Disk(100 * GIB, 50 * GIB)

    def available_memory_bytes(self) -> int:
        return self.available

    def resident_bytes(self, pid: int) -> int:
        return self.resident.get(pid, 0)

    def disk(self, folder: Path) -> Disk:
        return self.free


@pytest.fixture
def machine() -> Scripted:
    return Scripted()


@pytest.fixture
def room(machine: Scripted) -> Room:
    return room_of(machine)


def room_of(machine: Scripted, **settings: int) -> Room:
    return Room(WorkerSettings(writable_root=Path("/w"), **settings), machine)


class Child:
    """A process that is admitted and then plans until it is told to end, or is killed."""

    def __init__(self, room: Room, expected_bytes: int | None, *, wait: bool = True) -> None:
        ours, theirs = os.pipe()
        go, self._go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            answer = room.admit(expected_bytes)
            os.write(theirs, b"r" if isinstance(answer, Refusal) else b"t")
            os.read(go, 1)
            if isinstance(answer, Ticket):
                answer.give_back()
            os.write(theirs, b"g")
            signal.pause()
        os.close(theirs)
        os.close(go)
        self._answers = ours
        if wait:
            self.wait()

    def wait(self) -> None:
        self.is_admitted = os.read(self._answers, 1) == b"t"

    def give_back(self) -> None:
        os.write(self._go, b"g")
        assert os.read(self._answers, 1) == b"g"

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._answers)
        os.close(self._go)


@pytest.fixture
def child(room: Room) -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def start(expected_bytes: int | None, of: Room | None = None, *, wait: bool = True) -> Child:
        made.append(Child(of or room, expected_bytes, wait=wait))
        return made[-1]

    yield start
    for one in made:
        if Path(f"/proc/{one.pid}").exists():
            one.kill()


def test_the_only_plan_may_start_whatever_it_takes(room: Room, machine: Scripted) -> None:
    machine.available = 0
    assert isinstance(room.admit(100 * GIB), Ticket)


def test_a_plan_beside_others_starts_where_there_is_room_for_what_it_will_take(
    room: Room, child: Callable[..., Child]
) -> None:
    assert child(1000 * MIB).is_admitted
    # 2000 are free, 1000 promised and 256 in reserve.
    assert isinstance(room.admit(744 * MIB), Ticket)
    refusal = room.admit(745 * MIB)
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.wanted_bytes, refusal.there_bytes) == (
        "memory", 745 * MIB, 744 * MIB,
    )  # fmt: skip
    for word in ("745 MiB", "744 MiB", "2,000 MiB", "1,000 MiB", "256 MiB", "memory_reserve_bytes"):
        assert word in refusal.message


def test_what_others_have_taken_by_now_is_not_subtracted_twice(
    room: Room, machine: Scripted, child: Callable[..., Child]
) -> None:
    other = child(1000 * MIB)
    machine.available, machine.resident[other.pid] = 1100 * MIB, 900 * MIB
    assert isinstance(room.admit(744 * MIB), Ticket)
    assert isinstance(room.admit(745 * MIB), Refusal)
    # One that takes more than was expected gives nobody room by that.
    machine.resident[other.pid] = 3000 * MIB
    assert isinstance(room.admit(844 * MIB), Ticket)
    assert isinstance(room.admit(845 * MIB), Refusal)


def test_without_an_expectation_the_setting_is_one(
    machine: Scripted, child: Callable[..., Child]
) -> None:
    room = room_of(machine, plan_memory_bytes=600 * MIB, memory_reserve_bytes=0)
    assert child(None, room).is_admitted
    assert isinstance(room.admit(1400 * MIB), Ticket)
    assert isinstance(room.admit(1401 * MIB), Refusal)
    ticket = room.admit(None)
    assert isinstance(ticket, Ticket)
    assert ticket.expected_bytes == 600 * MIB


def test_a_reservation_ends_with_its_ticket(room: Room, child: Callable[..., Child]) -> None:
    other = child(1500 * MIB)
    assert isinstance(room.admit(1500 * MIB), Refusal)
    other.give_back()
    with room.admit(1500 * MIB):
        assert not child(1500 * MIB).is_admitted
    assert child(1500 * MIB).is_admitted


def test_what_a_killed_process_had_reserved_is_nobodys(
    room: Room, child: Callable[..., Child]
) -> None:
    first, second = child(800 * MIB), child(800 * MIB)
    assert (first.is_admitted, second.is_admitted) == (True, True)
    assert isinstance(room.admit(800 * MIB), Refusal)
    first.kill()
    assert isinstance(room.admit(800 * MIB), Ticket)
    third = child(800 * MIB)
    assert not third.is_admitted
    second.kill()
    third.kill()
    assert child(800 * MIB).is_admitted


def test_a_process_that_is_killed_as_it_holds_the_lock_holds_up_nobody(
    room: Room, child: Callable[..., Child]
) -> None:
    ready, ready_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        with room._table.locked():
            os.write(ready_end, b"x")
            signal.pause()
    os.read(ready, 1)
    os.kill(pid, signal.SIGKILL)
    assert child(MIB).is_admitted
    os.waitpid(pid, 0)


def test_one_that_has_ended_and_was_not_waited_for_reserves_nothing(
    room: Room, child: Callable[..., Child]
) -> None:
    other = child(1500 * MIB)
    os.kill(other.pid, signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert isinstance(room.admit(10 * GIB), Ticket)


def test_a_process_has_one_reservation(room: Room, child: Callable[..., Child]) -> None:
    for _ in range(3000):
        assert isinstance(room.admit(1500 * MIB), Ticket)
    assert not child(1000 * MIB).is_admitted
    assert isinstance(room.admit(100 * MIB), Ticket)
    assert child(1000 * MIB).is_admitted


def test_many_children_at_once_are_never_promised_more_than_there_is(
    room: Room, child: Callable[..., Child]
) -> None:
    children = [child(500 * MIB, wait=False) for _ in range(12)]
    for one in children:
        one.wait()
    assert sum(one.is_admitted for one in children) == 3


class TestDisk:
    def test_where_too_little_is_free_nothing_starts_not_even_alone(
        self, machine: Scripted, room: Room
    ) -> None:
        machine.free = Disk(100 * GIB, GIB - 1)
        refusal = room.admit(None)
        assert isinstance(refusal, Refusal)
        assert (refusal.kind, refusal.wanted_bytes, refusal.there_bytes) == ("disk", GIB, GIB - 1)
        for word in ("/w ", "1,023 MiB", "1,024 MiB", "worker.min_free_bytes"):
            assert word in refusal.message
        machine.free = Disk(100 * GIB, GIB)
        assert isinstance(room.admit(None), Ticket)

    def test_of_a_small_file_system_a_tenth_is_enough(self, machine: Scripted, room: Room) -> None:
        machine.free = Disk(500 * MIB, 50 * MIB)
        assert isinstance(room.admit(None), Ticket)
        machine.free = Disk(500 * MIB, 49 * MIB)
        assert isinstance(room.admit(None), Refusal)

    def test_a_setting_is_taken_at_its_word(self, machine: Scripted) -> None:
        room = room_of(machine, min_free_bytes=100 * MIB)
        machine.free = Disk(500 * MIB, 99 * MIB)
        assert isinstance(room.admit(None), Refusal)
        machine.free = Disk(500 * MIB, 100 * MIB)
        assert isinstance(room.admit(None), Ticket)

    def test_a_refusal_reserves_nothing(
        self, machine: Scripted, room: Room, child: Callable[..., Child]
    ) -> None:
        machine.free = Disk(100 * GIB, 0)
        assert isinstance(room.admit(1500 * MIB), Refusal)
        machine.free = Disk(100 * GIB, 50 * GIB)
        assert child(1500 * MIB).is_admitted


class TestExpectation:
    def test_it_is_what_was_taken_last_and_some_more(self) -> None:
        assert expected_memory(1000, 0) == 1200

    def test_it_doubles_with_each_worker_that_was_taken_down(self) -> None:
        assert [expected_memory(1000, tries) for tries in range(3)] == [1200, 2400, 4800]

    def test_nobody_knows_of_a_root_that_was_never_planned(self) -> None:
        assert expected_memory(None, 0) is None
        # A result of before there were costs.
        assert expected_memory(0, 1) is None

    def test_unless_it_has_taken_a_worker_down(self) -> None:
        assert expected_memory(None, 2, otherwise_bytes=800) == 3200
