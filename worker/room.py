"""Whether this worker has room for one plan more: memory for what it will take, and disk.

The children of a pool tell each other in a table what their plans are expected to take. It is in
memory that the worker's main process makes and they inherit, so nothing of it is on a disk, and
nothing has to be cleared: what a killed child had reserved is nobody's.
"""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple

from driftfleet.settings import WorkerSettings
from worker.machine import Machine, ThisMachine

# As many children as a pool may have, those that are about to end too.
_ROWS = 1024
_ROW = struct.Struct("=QQQ")
_MIB = 1 << 20
# What is kept free of a small file system: a tenth.
_SMALL_SHARE = 10
_USUAL_FREE_BYTES = 1 << 30
# Plans differ from one time to the next.
_HEAD_ROOM = 1.2


class Reservation(NamedTuple):
    """The memory that a process's plan is expected to take in all.

    ``started`` tells a process from a later one with its id.
    """

    pid: int
    started: int
    expected_bytes: int


@dataclass(frozen=True)
class Refusal:
    """Why no plan may start now; later one may."""

    kind: Literal["memory", "disk"]
    message: str
    wanted_bytes: int
    there_bytes: int


class Ticket:
    """The right to plan. As a context manager it gives its reservation back at the end."""

    def __init__(self, table: "_Table", expected_bytes: int) -> None:
        self._table = table
        self.expected_bytes = expected_bytes

    def __enter__(self) -> "Ticket":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Reserve nothing any more."""
        with self._table.locked():
            self._table.write(self._table.others())


class Room:
    """Made once in a worker's main process, before its pool; asked in the pool's children.

    A process has one reservation at a time: the next one replaces it.
    """

    def __init__(self, settings: WorkerSettings, machine: Machine | None = None) -> None:
        self._settings = settings
        self._machine = machine or ThisMachine()
        self._table = _Table()

    def admit(self, expected_memory_bytes: int | None) -> Refusal | Ticket:
        """Let a plan start that is expected to take so much memory, or say why it may not.

        Without an expectation ``worker.plan_memory_bytes`` is one. The only plan of a worker may
        start whatever it takes: on a small machine nothing would ever be planned otherwise.
        """
        expected = expected_memory_bytes or self._settings.plan_memory_bytes
        if refusal := self.disk_refusal():
            return refusal
        with self._table.locked():
            others = self._table.others()
            if others and (refusal := self._memory_refusal(expected, others)):
                return refusal
            pid = os.getpid()
            self._table.write([*others, Reservation(pid, _started(pid), expected)])
        return Ticket(self._table, expected)

    def disk_refusal(self) -> Refusal | None:
        """Why nothing starts here, whatever it takes; None where there is disk enough.

        Raises OSError where the writable root can't be asked.
        """
        disk = self._machine.disk(self._settings.writable_root)
        wanted = self._settings.min_free_bytes
        if wanted is None:
            wanted = min(_USUAL_FREE_BYTES, disk.total_bytes // _SMALL_SHARE)
        if disk.free_bytes >= wanted:
            return None
        message = (
            f"{self._settings.writable_root} has {_mib(disk.free_bytes)} free, and new plans start "
            f"where {_mib(wanted)} are (worker.min_free_bytes): free some, or give it more"
        )
        return Refusal("disk", message, wanted, disk.free_bytes)

    def _memory_refusal(self, expected: int, others: list[Reservation]) -> Refusal | None:
        available = self._machine.available_memory_bytes()
        # What these have taken already is no longer there.
        promised = sum(
            max(0, one.expected_bytes - self._machine.resident_bytes(one.pid)) for one in others
        )
        reserve = self._settings.memory_reserve_bytes
        there = available - promised - reserve
        if expected <= there:
            return None
        message = (
            f"the plan is expected to take {_mib(expected)} of memory, and there are "
            f"{_mib(max(0, there))}: {_mib(available)} are free, plans that run "
            f"({len(others)}) will take {_mib(promised)} of them, and {_mib(reserve)} stay free "
            "(worker.memory_reserve_bytes)"
        )
        return Refusal("memory", message, expected, max(0, there))


def expected_memory(
    previous_peak_bytes: int | None, tries: int, *, otherwise_bytes: int | None = None
) -> int | None:
    """What a plan will take, by what the last one of its root took; None where nobody knows.

    ``tries`` is how often this check took its worker down already: each time twice as much is
    expected. ``otherwise_bytes`` stands in for a plan that never came to its end.
    """
    if previous_peak_bytes:
        return int(previous_peak_bytes * _HEAD_ROOM) << tries
    return otherwise_bytes << tries if otherwise_bytes is not None else None


class _Table:
    """The reservations of one worker's processes."""

    def __init__(self) -> None:
        # No process that is started inherits it, only those that are forked.
        self._file = os.memfd_create("room", os.MFD_CLOEXEC)
        os.ftruncate(self._file, _ROWS * _ROW.size)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process in; the kernel opens it again where this one is killed."""
        # By process: a lock of flock(2) would be every child's at once, for they share the file.
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def others(self) -> list[Reservation]:
        """Those of processes that live, without this one's."""
        rows = map(Reservation._make, _ROW.iter_unpack(os.pread(self._file, _ROWS * _ROW.size, 0)))
        own = os.getpid()
        return [one for one in rows if one.pid not in (0, own) and _lives(one)]

    def write(self, reservations: list[Reservation]) -> None:
        """Keep these and no others."""
        rows = b"".join(_ROW.pack(*one) for one in reservations[-_ROWS:])
        os.pwrite(self._file, rows.ljust(_ROWS * _ROW.size, b"\0"), 0)


def _lives(reservation: Reservation) -> bool:
    try:
        return _started(reservation.pid) == reservation.started
    except OSError:
        return False


def _started(pid: int) -> int:
    """When a process was started, in ticks since the machine was."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The name in parentheses may hold anything, parentheses too.
        fields = file.read().rpartition(b")")[2].split()
    if fields[0] == b"Z":
        raise ProcessLookupError(f"{pid} has ended")
    return int(fields[19])


def _mib(count: int) -> str:
    return f"{count // _MIB:,} MiB"
