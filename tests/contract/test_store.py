"""Every object store keeps the same promises, and so do the records in it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import ConfigurationError, ContractError, StoreUnavailable
from driftfleet.jobs import Job, Source, Variant
from driftfleet.results import Result, SweepRecord, Verdict, place
from driftfleet.store import ResultStore, open_store
from driftfleet.store.files import FileObjects
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.objects import ObjectStore

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def job(root: str = "envs/prod", variant: str = "default", repo: str = "acme/infra") -> Job:
    return Job(
        sweep_id="sweep1",
        source=Source(kind="github", repo=repo, sha="0" * 40),
        root=root,
        variant=Variant(name=variant),
    )


def result(minutes: float = 0, verdict: Verdict = Verdict.CLEAN, of: Job | None = None) -> Result:
    at = NOON + timedelta(minutes=minutes)
    return Result(job=of or job(), verdict=verdict, started_at=at, finished_at=at)


@pytest.fixture(params=["memory", "files"])
def make_objects(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ObjectStore]:
    if request.param == "memory":
        return MemoryObjects
    return lambda: FileObjects(tmp_path / "objects")


@pytest.fixture
def objects(make_objects: Callable[[], ObjectStore]) -> ObjectStore:
    return make_objects()


@pytest.fixture
def store(objects: ObjectStore) -> ResultStore:
    return ResultStore(objects)


def test_an_object_that_was_put_is_got_and_another_is_none(objects: ObjectStore) -> None:
    assert objects.get("a/b") is None
    objects.put("a/b", b"one")
    assert objects.get("a/b") == b"one"
    assert objects.get("a") is None
    assert objects.get("a/b/c") is None


def test_putting_again_replaces(objects: ObjectStore) -> None:
    objects.put("a/b", b"one, and long")
    objects.put("a/b", b"two")
    assert objects.get("a/b") == b"two"


def test_keys_are_those_with_the_prefix_in_order(objects: ObjectStore) -> None:
    for key in ["b/z", "a/2", "a/1/x", "ab", "a/10"]:
        objects.put(key, b"")
    assert list(objects.keys("a/")) == ["a/1/x", "a/10", "a/2"]
    assert list(objects.keys("a/1")) == ["a/1/x", "a/10"]
    assert list(objects.keys("")) == ["a/1/x", "a/10", "a/2", "ab", "b/z"]
    assert list(objects.keys("none/")) == []


def test_a_person_is_told_where_an_object_is(objects: ObjectStore) -> None:
    assert objects.describe("a/b").endswith("a/b")


def test_a_result_is_found_by_its_key_and_as_the_latest(store: ResultStore) -> None:
    first = result()
    key = store.add(first)
    assert store.get(key) == first
    latest = store.latest(first.latest_key)
    assert latest is not None
    assert (latest.result, latest.first_seen, latest.streak) == (first, NOON, 1)
    assert list(store.latest_keys()) == [first.latest_key]


def test_a_newer_result_replaces_the_latest_and_the_history_keeps_both(store: ResultStore) -> None:
    older, newer = result(0), result(5, Verdict.DRIFTED)
    keys = [store.add(older), store.add(newer)]
    latest = store.latest(newer.latest_key)
    assert latest is not None
    assert latest.result == newer
    assert [store.get(key) for key in keys] == [older, newer]


def test_an_older_result_that_comes_late_never_replaces_the_newer(store: ResultStore) -> None:
    store.add(result(5, Verdict.DRIFTED))
    key = store.add(result(0))
    latest = store.latest(result().latest_key)
    assert latest is not None
    assert (latest.result.verdict, latest.streak) == (Verdict.DRIFTED, 1)
    assert store.get(key) == result(0)


def test_the_same_verdict_again_makes_the_streak_longer_and_keeps_since_when(
    store: ResultStore,
) -> None:
    for minutes in range(3):
        store.add(result(minutes, Verdict.DRIFTED))
    latest = store.latest(result().latest_key)
    assert latest is not None
    assert (latest.first_seen, latest.streak) == (NOON, 3)


def test_another_verdict_begins_a_new_streak(store: ResultStore) -> None:
    store.add(result(0, Verdict.DRIFTED))
    store.add(result(1, Verdict.CLEAN))
    store.add(result(2, Verdict.DRIFTED))
    latest = store.latest(result().latest_key)
    assert latest is not None
    assert (latest.first_seen, latest.streak) == (NOON + timedelta(minutes=2), 1)


def test_adding_one_result_twice_leaves_one_and_counts_once(store: ResultStore) -> None:
    same = result(verdict=Verdict.DRIFTED)
    assert store.add(same) == store.add(same)
    latest = store.latest(same.latest_key)
    assert latest is not None
    assert latest.streak == 1


def test_a_sweep_is_kept_and_closed(store: ResultStore) -> None:
    opened = SweepRecord(sweep_id="s1", source="acme/infra", asked=("a", "b"), started_at=NOON)
    assert store.sweep("s1") is None
    store.put_sweep(opened)
    assert store.sweep("s1") == opened
    closed = opened.model_copy(
        update={"answered": {"a": Verdict.CLEAN}, "missing": ("b",), "closed_at": NOON}
    )
    store.put_sweep(closed)
    assert store.sweep("s1") == closed


def test_what_is_no_record_is_refused_and_never_taken_for_one(
    objects: ObjectStore, store: ResultStore
) -> None:
    key = result().history_key
    for body in [b"", b"{}", b'{"schema_version": 2}', b"\xff"]:
        objects.put(key, body)
        with pytest.raises(ContractError):
            store.get(key)


@given(
    jobs=st.lists(
        st.tuples(
            st.lists(
                st.text(st.sampled_from("a.%@/~ é\\*json"), min_size=1, max_size=5).filter(
                    lambda s: s not in (".", "..") and "/" not in s
                ),
                max_size=3,
            ),
            st.text(st.sampled_from("aZ09._-json"), min_size=1, max_size=8).filter(
                lambda s: s[0].isalnum()
            ),
        ),
        min_size=2,
        max_size=6,
        unique_by=lambda pair: ("/".join(pair[0]), pair[1]),
    )
)
def test_two_checks_never_share_a_place(jobs: list[tuple[list[str], str]]) -> None:
    made = [job("/".join(parts) or ".", variant) for parts, variant in jobs]
    places = [place(one) for one in made]
    assert len(set(places)) == len(places)
    latest = {result(of=one).latest_key for one in made}
    assert len(latest) == len(made)
    for key in latest:
        segments = key.split("/")
        assert not {"", ".", ".."} & set(segments)
        # A file of one check is never a folder of another's.
        assert not any(other.startswith(f"{key}/") for other in latest)


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "full").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable, match="did not take a/b"):
        FileObjects(tmp_path / "full").put("a/b", b"body")


def test_a_half_written_file_is_no_key(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    objects.put("latest/a", b"")
    (tmp_path / "latest" / ".1234.tmp").write_bytes(b"half")
    assert list(objects.keys("latest/")) == ["latest/a"]


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    key = open_store(f"file://{tmp_path}/new").add(result())
    assert (tmp_path / "new" / key).is_file()


def test_an_unknown_scheme_is_explained() -> None:
    with pytest.raises(ConfigurationError, match=r"gopher://x.*file://DIR"):
        open_store("gopher://x")


def test_a_check_that_began_earlier_never_replaces_a_later_one(store: ResultStore) -> None:
    slow = result(0).model_copy(update={"finished_at": NOON + timedelta(minutes=10)})
    quick = result(5)
    store.add(quick)
    store.add(slow)
    latest = store.latest(slow.latest_key)
    assert latest is not None
    assert latest.result == quick


def test_an_unreadable_latest_record_is_replaced(objects: ObjectStore) -> None:
    one = result()
    objects.put(one.latest_key, b'{"half": ')
    store = ResultStore(objects)
    store.add(one)
    latest = store.latest(one.latest_key)
    assert latest is not None
    assert latest.result == one
