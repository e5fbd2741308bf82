"""Samples between processes: what is sent is read, and nothing waits or raises."""

import os
import socket
from collections.abc import Iterator

import pytest

from driftfleet.metrics.meter import Meter
from driftfleet.metrics.outlet import Datagrams
from driftfleet.metrics.sample import DATAGRAM_BYTES, Sample, decode, encode
from driftfleet.results import ErrorKind, Verdict

LOST = "metrics_lost_total"
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with reader, writer:
        yield reader, writer


def read(reader: socket.socket) -> list[Sample]:
    """All that is there."""
    reader.setblocking(False)
    samples = []
    while True:
        try:
            samples += decode(reader.recv(DATAGRAM_BYTES))
        except BlockingIOError:
            return samples


def test_what_is_measured_is_read_as_it_was(pair: Pair) -> None:
    reader, writer = pair
    meter = Meter(Datagrams(writer))
    meter.check_answered(Verdict.ERROR, ErrorKind.TIMEOUT, total_seconds=1.5, plan_seconds=None)
    assert read(reader) == [
        Sample("checks_total", 1.0, ("error", "timeout")),
        Sample("check_seconds", 1.5),
    ]


def test_the_longest_datagram_fits(pair: Pair) -> None:
    reader, writer = pair
    meter = Meter(Datagrams(writer))
    meter.roots_by_verdict(dict.fromkeys(Verdict, 10**15))
    meter.check_answered(
        Verdict.ERROR,
        ErrorKind.BACKEND_UNREACHABLE,
        plan_seconds=1e9 / 3,
        total_seconds=1e9 / 3,
        wait_seconds=1e9 / 3,
        cpu_seconds=1e9 / 3,
        peak_memory_bytes=1 << 50,
    )
    assert len(read(reader)) == len(Verdict) + 6


def test_a_reader_that_does_not_read_costs_samples_and_nothing_else(pair: Pair) -> None:
    reader, writer = pair
    meter = Meter(Datagrams(writer))
    for _ in range(10_000):
        # A send that waited would wait for ever: nobody reads.
        meter.check_answered(Verdict.CLEAN)
    kept = len(read(reader))
    assert 100 < kept < 10_000
    meter.check_answered(Verdict.CLEAN)
    meter.check_answered(Verdict.CLEAN)
    assert read(reader) == [
        Sample("checks_total", 1.0, ("clean", "")),
        Sample(LOST, 10_000.0 - kept, ("buffer",)),
        Sample("checks_total", 1.0, ("clean", "")),
    ]


def test_a_closed_socket_is_no_trouble(pair: Pair) -> None:
    reader, writer = pair
    meter = Meter(Datagrams(writer))
    reader.close()
    meter.tick(1)
    writer.close()
    meter.tick(1)


def test_what_is_no_number_is_lost_and_no_error(pair: Pair) -> None:
    reader, writer = pair
    meter = Meter(Datagrams(writer))
    meter.tick(float("nan"))
    meter.staleness(float("inf"))
    meter.tick(object())  # type: ignore[arg-type]
    meter.tick(1)
    assert read(reader) == [Sample("tick_seconds", 1.0), Sample(LOST, 3.0, ("unknown",))]


def test_a_forked_process_does_not_tell_its_parents_losses_again(pair: Pair) -> None:
    reader, writer = pair
    outlet = Datagrams(writer)
    outlet.put([Sample("tick_seconds", float("nan"))])
    child = os.fork()
    if child == 0:
        outlet.put([Sample("tick_seconds", 1.0)])
        os._exit(0)
    os.waitpid(child, 0)
    assert read(reader) == [Sample("tick_seconds", 1.0)]
    outlet.put([Sample("tick_seconds", 2.0)])
    assert read(reader)[1:] == [Sample(LOST, 1.0, ("unknown",))]


@pytest.mark.parametrize(
    "strange",
    [
        ["nothing_of_ours", 1, []],
        ["checks_total", 1, ["payments/infra", ""]],
        ["checks_total", 1, []],
        ["checks_total", "1", ["clean", ""]],
        ["tick_seconds", None, []],
        ["tick_seconds", 1],
        "tick_seconds",
        7,
    ],
)
def test_what_the_table_does_not_know_is_counted_and_not_taken(strange: object) -> None:
    datagram = encode([strange, Sample("tick_seconds", 1.0)])  # type: ignore[list-item]
    assert decode(datagram) == [Sample("tick_seconds", 1.0), Sample(LOST, 1.0, ("unknown",))]


@pytest.mark.parametrize("datagram", [b"", b"{}", b"[", b"\xff", b"NaN"])
def test_what_is_no_datagram_is_an_error_for_the_reader(datagram: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode(datagram)
