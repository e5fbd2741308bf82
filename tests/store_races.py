"""Processes and threads that write to one store at the same time; for the contract's races."""

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from driftfleet.jobs import Job, Source
from driftfleet.results import Result, Verdict
from driftfleet.settings import ResultSettings
from driftfleet.store import ResultStore, open_store
from driftfleet.sweeps import SweepManifest, SweepRecord

WRITERS = 4
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
_PATIENCE_SECONDS = 60

Wait = Callable[[], object]
# What one of the writers does: its number, the round, the store; what it saw.
Act = Callable[[int, int, ResultStore], object]


def add(writer: int, number: int, store: ResultStore) -> object:
    """Another writer has the newest result each round, and so another order."""
    store.add(answer_of(writer, number))
    return None


def answer_of(writer: int, number: int) -> Result:
    age = (writer + number) % WRITERS
    return Result(
        job=Job(
            sweep_id=f"sweep{writer}",
            source=Source(kind="github", repo="acme/infra", sha="0" * 40),
            root=f"r{number}",
        ),
        verdict=Verdict.DRIFTED if age % 2 else Verdict.CLEAN,
        started_at=NOON + timedelta(minutes=age),
        finished_at=NOON + timedelta(hours=1),
    )


def close(writer: int, number: int, store: ResultStore) -> object:
    """Whether this writer closed the round's sweep."""
    return store.close_sweep(_closed(f"s{number}", writer))


def open_and_close(writer: int, number: int, store: ResultStore) -> object:
    """A sweep of one's own: who removes the last one's jobs removes the folder of all."""
    closed = _closed(f"s{number}-{writer}", writer)
    manifest = SweepManifest(sweep_id=closed.sweep_id, jobs=(), asked_at=NOON, deadline=NOON)
    opened = store.open_sweep(closed.model_copy(update={"closed_at": None}), manifest)
    return opened and store.close_sweep(closed)


def _closed(sweep_id: str, writer: int) -> SweepRecord:
    return SweepRecord(
        sweep_id=sweep_id, source=f"writer{writer}", asked=(), started_at=NOON, closed_at=NOON
    )


def race_threads(
    act: Act, store: ResultStore, rounds: Sequence[int], writers: int = WRITERS
) -> list[list[object]]:
    """What each writer saw in each round; in each they begin at the same moment."""
    barrier = threading.Barrier(writers, timeout=_PATIENCE_SECONDS)
    saw: list[list[object]] = [[] for _ in range(writers)]

    def run(writer: int) -> None:
        saw[writer] = _run(act, writer, store, rounds, barrier.wait)

    threads = [threading.Thread(target=run, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return saw


def race_processes(
    act: Act, settings: ResultSettings, rounds: Sequence[int], writers: int = WRITERS
) -> list[list[object]]:
    """As `race_threads`, with processes that each open the store for themselves."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(writers, timeout=_PATIENCE_SECONDS)
    with context.Pool(writers, initializer=_take, initargs=(barrier,)) as pool:
        told = [(act, writer, settings, rounds) for writer in range(writers)]
        return pool.starmap(_race, told, chunksize=1)


_barrier: list[Wait] = []


def _take(barrier: threading.Barrier) -> None:
    _barrier[:] = [barrier.wait]


def _race(act: Act, writer: int, settings: ResultSettings, rounds: Sequence[int]) -> list[object]:
    return _run(act, writer, open_store(settings), rounds, _barrier[0])


def _run(
    act: Act, writer: int, store: ResultStore, rounds: Sequence[int], wait: Wait
) -> list[object]:
    saw = []
    for number in rounds:
        wait()
        saw.append(act(writer, number, store))
    return saw
