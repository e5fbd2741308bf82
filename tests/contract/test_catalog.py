"""The status of the fleet: from records alone, and from the catalog, it is the same."""

import gzip
import json
import random

import pytest

from driftfleet.fleet_status import FleetStatus
from driftfleet.places import latest_key, place
from driftfleet.repository_roots import roots_of
from driftfleet.results import Verdict
from driftfleet.store import FleetReader, ResultStore
from driftfleet.store.catalog import CATALOG_KEY
from driftfleet.store.objects import ObjectStore
from tests.checked import Counting, at, checked, job

A, B = job("a"), job("b")


@pytest.fixture
def counting(objects: ObjectStore) -> Counting:
    return Counting(objects)


def kept(objects: ObjectStore) -> FleetStatus:
    reader = FleetReader(objects)
    status = reader.read()
    reader.keep()
    return status


def test_an_empty_store_has_no_roots(objects: ObjectStore) -> None:
    assert FleetReader(objects).read() == FleetStatus()
    assert kept(objects) == FleetStatus()
    assert FleetReader(objects).read() == FleetStatus()


def test_the_newest_of_each_root_is_a_line(objects: ObjectStore, store: ResultStore) -> None:
    store.add(checked(A, 0, Verdict.DRIFTED))
    key = store.add(checked(A, 1, Verdict.DRIFTED))
    store.add(checked(B, 1))
    reader = FleetReader(objects)
    one, other = reader.read().roots
    assert (one.root, one.verdict, one.streak, one.since) == ("a", Verdict.DRIFTED, 2, at(0))
    assert (one.key, one.result_key) == (latest_key(A), key)
    assert (other.root, other.verdict) == ("b", Verdict.CLEAN)
    assert reader.changed == (latest_key(A), latest_key(B))


def test_what_did_not_change_since_it_was_kept_is_not_read(
    counting: Counting, store: ResultStore
) -> None:
    for number in range(20):
        store.add(checked(job(f"r{number}")))
    before = kept(counting)
    store.add(checked(job("r7"), 1, Verdict.DRIFTED))
    store.add(checked(job("new"), 1))
    counting.forget()
    reader = FleetReader(counting)
    status = reader.read()
    changed = (latest_key(job("new")), latest_key(job("r7")))
    assert reader.changed == changed
    assert counting.of("get") == [CATALOG_KEY, *changed]
    assert counting.of("list") == ["latest/", "roots/"]
    assert len(status.roots) == 21
    assert set(before.roots) - set(status.roots) == {
        one for one in before.roots if one.root == "r7"
    }


def test_no_listing_reads_the_history_or_anything_but_what_it_shows(
    counting: Counting, store: ResultStore
) -> None:
    for hours in range(5):
        store.add(checked(A, hours))
    FleetReader(counting).read()
    assert counting.of("list") == ["latest/", "roots/"]
    assert counting.listed == {"latest/": 1}


def test_a_record_that_is_gone_is_no_line_though_it_was_kept(
    objects: ObjectStore, store: ResultStore
) -> None:
    store.add(checked(A))
    store.add(checked(B))
    kept(objects)
    objects.delete(latest_key(A))
    assert [one.root for one in FleetReader(objects).read().roots] == ["b"]


def test_looks_are_kept_too_and_tell_who_is_gone_and_who_was_never_answered(
    counting: Counting, store: ResultStore
) -> None:
    store.add(checked(A))
    store.add(checked(B))
    look = roots_of(A.source, [A, job("c")], at(1))
    store.keep(look.key, look)
    first = kept(counting)
    counting.forget()
    again = FleetReader(counting).read()
    assert again == first
    assert counting.of("get") == [CATALOG_KEY]
    assert [one.root for one in again.roots] == ["a"]
    assert [one.root for one in again.gone] == ["b"]
    assert again.never == (place(job("c")),)
    later = roots_of(A.source, [A, B], at(2))
    store.keep(later.key, later)
    assert [one.root for one in FleetReader(counting).read().roots] == ["a", "b"]


def test_what_cant_be_read_is_named_each_time_until_it_can(
    counting: Counting, store: ResultStore
) -> None:
    store.add(checked(A))
    store.add(checked(B))
    counting.put(latest_key(A), b'{"schema_version": 2}')
    counting.put("roots/acme/other.json", b"{")
    for _ in range(2):
        status = kept(counting)
        assert list(status.unreadable) == [latest_key(A), "roots/acme/other.json"]
        assert "not a LatestRecord of schema 1" in status.unreadable[latest_key(A)]
        assert [one.root for one in status.roots] == ["b"]
    store.add(checked(A, 1))
    counting.delete("roots/acme/other.json")
    status = FleetReader(counting).read()
    assert status.unreadable == {}
    assert [one.root for one in status.roots] == ["a", "b"]


def test_the_catalog_says_of_which_schema_it_is(objects: ObjectStore, store: ResultStore) -> None:
    store.add(checked(A))
    kept(objects)
    told = json.loads(gzip.decompress(objects.get(CATALOG_KEY) or b""))
    assert told["schema_version"] == 1


def test_a_copy_of_a_record_is_no_other_root(objects: ObjectStore, store: ResultStore) -> None:
    store.add(checked(A))
    body = objects.get(latest_key(A)) or b""
    copies = [f"{latest_key(A)}.bak", latest_key(job("copy"))]
    for key in copies:
        objects.put(key, body)
    status = FleetReader(objects).read()
    assert [one.key for one in status.roots] == [latest_key(A)]
    assert list(status.unreadable) == sorted(copies)
    assert status.unreadable[copies[0]] == "it is a record of acme/infra a default"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"no gzip",
        gzip.compress(b'{"schema_version": 1}', mtime=0) + b"more",
        gzip.compress(b"no JSON", mtime=0),
        gzip.compress(b'{"schema_version": 2}', mtime=0),
        gzip.compress(b'{"schema_version": 1}', mtime=0)[:-9],
        gzip.compress(b'{"schema_version": 1, "roots": {"x": {"stamp": "1"}}}', mtime=0),
    ],
)
def test_a_catalog_that_cant_be_read_is_as_none(
    objects: ObjectStore, store: ResultStore, broken: bytes
) -> None:
    store.add(checked(A))
    expected = FleetReader(objects).read()
    objects.put(CATALOG_KEY, broken)
    assert FleetReader(objects).read() == expected
    assert kept(objects) == expected
    assert objects.get(CATALOG_KEY) != broken


def test_a_catalog_that_swells_is_not_unpacked_whole(
    objects: ObjectStore, store: ResultStore
) -> None:
    store.add(checked(A))
    expected = kept(objects)
    reader = FleetReader(objects, most_catalog_bytes=100)
    assert reader.read() == expected
    assert reader.changed == (latest_key(A),)


def test_whatever_happened_the_catalog_changes_nothing(
    objects: ObjectStore, store: ResultStore
) -> None:
    dice = random.Random(1)
    verdicts = list(Verdict)
    for hours in range(30):
        of = job(f"r{dice.randrange(4)}", repo=f"acme/{dice.choice(['one', 'two'])}")
        store.add(checked(of, hours, dice.choice(verdicts)))
        if dice.random() < 0.2:
            found = [job(f"r{n}", repo="acme/one") for n in range(dice.randrange(5))]
            look = roots_of(job(repo="acme/one").source, found, at(hours))
            store.keep(look.key, look)
        if dice.random() < 0.2:
            objects.delete(latest_key(job("r1", repo="acme/two")))
        if dice.random() < 0.3:
            kept(objects)
        with_catalog = FleetReader(objects).read()
        catalog = objects.get(CATALOG_KEY)
        objects.delete(CATALOG_KEY)
        assert FleetReader(objects).read() == with_catalog
        if catalog is not None:
            objects.put(CATALOG_KEY, catalog)
