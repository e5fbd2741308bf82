"""Reads of many records at a time: whoever is stopped in the middle waits for none of them."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from driftfleet.errors import StoreUnavailable
from driftfleet.places import latest_key
from driftfleet.store import FleetReader, ResultStore
from driftfleet.store.memory import MemoryObjects
from producer.result_dump import ahead
from tests.checked import checked, job

A, B = job("a"), job("b")
SILENT_SECONDS = 60


class Silent(MemoryObjects):
    """A store that fails for one root, and says nothing of another until it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.ended = threading.Event(), threading.Event()

    def get(self, key: str) -> bytes | None:
        if key == latest_key(A):
            self.begun.wait(SILENT_SECONDS)
            raise StoreUnavailable("away")
        if key == latest_key(B):
            self.begun.set()
            self.ended.wait(SILENT_SECONDS)
        return super().get(key)

    def get_tagged(self, key: str) -> tuple[bytes, str] | None:
        self.get(key)
        return super().get_tagged(key)


@pytest.fixture
def silent() -> Iterator[Silent]:
    objects = Silent()
    for one in (A, B):
        objects.put(latest_key(one), checked(one).model_dump_json().encode())
    yield objects
    objects.ended.set()


@pytest.mark.parametrize(
    "read",
    [
        lambda objects: FleetReader(objects).read(),
        lambda objects: ResultStore(objects).latest_of_each([A, B]),
        lambda objects: list(ahead(objects.get, [latest_key(A), latest_key(B)])),
    ],
    ids=["status", "records", "results"],
)
def test_who_ends_early_waits_for_no_answer(
    silent: Silent, read: Callable[[Silent], object]
) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="away"):
        read(silent)
    assert time.monotonic() - began < SILENT_SECONDS / 2
