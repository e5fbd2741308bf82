"""What is asked of the store: in S3 each of it is a request that somebody pays for.

docs/operations.md counts with these figures.
"""

from datetime import timedelta

import pytest

from driftfleet.closing import close_sweep
from driftfleet.ledger import Answer, Ask, MemoryLedger
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects
from driftfleet.sweeps import SweepManifest
from producer.sweep import open_record
from tests.checked import Counting, at, checked, job

ROOTS = [job(name) for name in "abcdefgh"]
NOON = at(0)


@pytest.fixture
def counting() -> Counting:
    return Counting(MemoryObjects())


def test_a_check_asks_for_one_get_and_two_puts(counting: Counting) -> None:
    store = ResultStore(counting)
    for hours in (0, 6):
        counting.forget()
        store.add(checked(ROOTS[0], hours))
        assert (counting.times("get"), counting.times("put")) == (1, 2)
        assert counting.times("list") == 0


def test_a_sweep_asks_for_a_get_a_root_and_little_else_whatever_its_size(
    counting: Counting,
) -> None:
    store, ledger = ResultStore(counting), MemoryLedger(NOON.timestamp)
    for one in ROOTS:
        store.add(checked(one, 0))
    counting.forget()
    store.latest_of_each(ROOTS)
    assert counting.times("get") == len(ROOTS)
    counting.forget()
    sweep_id = ROOTS[0].sweep_id
    deadline = NOON + timedelta(hours=12)
    record = open_record(ROOTS, sweep_id, NOON).model_copy(update={"deadline": deadline})
    store.open_sweep(
        record,
        SweepManifest(sweep_id=sweep_id, jobs=tuple(ROOTS), asked_at=NOON, deadline=deadline),
    )
    assert (counting.times("get"), counting.times("put")) == (0, 2)
    ledger.open(sweep_id, [Ask.of(one) for one in ROOTS])
    for one in ROOTS:
        ledger.answer(one, Answer.of(checked(one, 0), "k"))
    counting.forget()
    assert close_sweep(sweep_id, ledger, store) is not None
    assert (counting.times("get"), counting.times("put")) == (3, 1)
    assert counting.times("delete") == 1
    assert counting.times("list") == 0
