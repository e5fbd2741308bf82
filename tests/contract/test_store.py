"""Every object store keeps the same promises, and so do the records in it."""

import fcntl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import ConfigurationError, ContractError, StoreUnavailable
from driftfleet.jobs import Job, Source, Variant
from driftfleet.latest import LatestRecord
from driftfleet.places import history_start, is_cut, place
from driftfleet.results import Result, Verdict
from driftfleet.settings import ResultSettings
from driftfleet.store import ResultStore, open_store
from driftfleet.store.files import FileObjects
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.objects import ObjectStore
from driftfleet.sweeps import SweepManifest, SweepRecord
from tests.conftest import require_program
from tests.s3 import S3

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


def test_keys_after_one_are_those_that_sort_behind_it(objects: ObjectStore) -> None:
    for key in ["a/1", "a/2", "a/3", "b/1"]:
        objects.put(key, b"")
    assert list(objects.keys("a/", after="a/1")) == ["a/2", "a/3"]
    assert list(objects.keys("a/", after="a/19")) == ["a/2", "a/3"]
    assert list(objects.keys("", after="a/3")) == ["b/1"]
    assert list(objects.keys("a/", after="b")) == []


def test_a_listing_has_the_keys_and_stamps_that_stay_while_the_objects_do(
    objects: ObjectStore,
) -> None:
    for key in ["a/1", "a/2", "a/3", "b/1"]:
        objects.put(key, b"one")
    objects.get("a/2")
    assert [one.key for one in objects.listing("a/", after="a/1")] == ["a/2", "a/3"]
    assert list(objects.listing("")) == list(objects.listing(""))
    assert list(objects.listing("none/")) == []


def test_an_object_that_is_written_anew_has_a_stamp_it_never_had(objects: ObjectStore) -> None:
    objects.put("a/other", b"")
    seen = []
    for number in range(20):
        body = f"{number:03d}".encode()
        if number % 2:
            objects.put("a/b", body)
        else:
            found = objects.get_tagged("a/b")
            assert objects.put_if("a/b", body, found[1] if found else None)
        [(key, stamp), _] = objects.listing("a/")
        assert key == "a/b"
        seen.append(stamp)
    assert len(set(seen)) == len(seen)
    objects.delete("a/b")
    assert [one.key for one in objects.listing("a/")] == ["a/other"]


def test_a_new_object_is_written_where_there_is_none(objects: ObjectStore) -> None:
    assert objects.put_if("a/b", b"one", None)
    assert not objects.put_if("a/b", b"two", None)
    assert objects.get("a/b") == b"one"


def test_an_object_is_replaced_by_who_has_seen_its_present_version(objects: ObjectStore) -> None:
    assert objects.get_tagged("a/b") is None
    assert not objects.put_if("a/b", b"one", "no such version")
    objects.put("a/b", b"one")
    body, tag = objects.get_tagged("a/b") or (b"", "")
    assert body == b"one"
    assert objects.put_if("a/b", b"two", tag)
    assert not objects.put_if("a/b", b"three", tag)
    assert objects.get("a/b") == b"two"


def test_a_removed_object_is_gone_and_one_that_is_not_there_is_fine(objects: ObjectStore) -> None:
    objects.put("a/b", b"one")
    tagged = objects.get_tagged("a/b")
    assert tagged is not None
    objects.delete("a/b")
    objects.delete("a/b")
    objects.delete("none/at/all")
    assert objects.get("a/b") is None
    assert list(objects.keys("")) == []
    assert not objects.put_if("a/b", b"two", tagged[1])
    assert objects.put_if("a/b", b"two", None)


def test_keys_are_taken_as_they_are(objects: ObjectStore) -> None:
    keys = ["a/%2F", "a/+", "a/@root", "a/a b", "a/a=b&c", "a/~'()", "a/ä"]
    for key in keys:
        objects.put(key, key.encode())
    assert list(objects.keys("a/")) == keys
    assert [objects.get(key) for key in keys] == [key.encode() for key in keys]
    assert list(objects.keys("a/", after="a/a b")) == ["a/a=b&c", "a/~'()", "a/ä"]
    assert list(objects.keys("a/%")) == ["a/%2F"]
    for key in keys:
        objects.delete(key)
    assert list(objects.keys("")) == []


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


def test_each_record_is_one_line(objects: ObjectStore, store: ResultStore) -> None:
    """What reads many of them, such as Athena, takes each line for one."""
    store.add(result(0, Verdict.DRIFTED))
    store.put_sweep(SweepRecord(sweep_id="s1", source="a", asked=(), started_at=NOON))
    keys = list(objects.keys(""))
    assert len(keys) == 3
    for key in keys:
        body = objects.get(key) or b""
        assert (body.count(b"\n"), body[-1:]) == (1, b"\n")


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


def test_what_is_in_the_history_is_never_written_again(
    objects: ObjectStore, store: ResultStore
) -> None:
    first = result(verdict=Verdict.DRIFTED)
    key = store.add(first)
    before = list(objects.listing("results/"))
    store.add(first)
    assert list(objects.listing("results/")) == before
    # A second answer to the same job, at the same microsecond.
    second = first.model_copy(update={"verdict": Verdict.CLEAN})
    assert store.add(second) == key
    assert store.get(key) == first
    assert list(objects.listing("results/")) == before
    latest = store.latest(first.latest_key)
    assert latest is not None
    assert (latest.result, latest.streak) == (first, 1)


def test_of_two_with_one_key_the_first_is_the_latest_whoever_writes_that(
    objects: ObjectStore, store: ResultStore
) -> None:
    """Who wrote the first died before it wrote the latest."""
    first = result(verdict=Verdict.DRIFTED)
    objects.put(first.history_key, first.model_dump_json().encode())
    store.add(first.model_copy(update={"verdict": Verdict.CLEAN}))
    latest = store.latest(first.latest_key)
    assert latest is not None
    assert latest.result == first


def test_half_a_record_in_the_history_keeps_no_root_from_being_judged(
    objects: ObjectStore, store: ResultStore
) -> None:
    objects.put(result().history_key, b"{")
    key = store.add(result())
    assert objects.get(key) == b"{"
    latest = store.latest_of(job())
    assert latest is not None
    assert latest.result == result()


def test_of_two_that_began_at_one_moment_the_same_is_the_latest_in_any_order() -> None:
    one = result(verdict=Verdict.CLEAN)
    other = result(verdict=Verdict.DRIFTED, of=job().model_copy(update={"sweep_id": "sweep2"}))
    for order in ([one, other], [other, one], [other, one, other]):
        store = ResultStore(MemoryObjects())
        for each in order:
            store.add(each)
        latest = store.latest_of(job())
        assert latest is not None
        assert (latest.result, latest.streak) == (other, 1)


def test_the_latest_of_a_job_is_that_of_its_root_and_variant(store: ResultStore) -> None:
    assert store.latest_of(job()) is None
    store.add(result())
    store.add(result(1, of=job(variant="other")))
    latest = store.latest_of(job())
    assert latest is not None
    assert latest.result == result()


@given(order=st.permutations(range(6)))
def test_the_newest_is_the_latest_in_whatever_order_they_come(order: list[int]) -> None:
    store = ResultStore(MemoryObjects())
    for minutes in order:
        store.add(result(minutes, Verdict.DRIFTED if minutes % 2 else Verdict.CLEAN))
    latest = store.latest_of(job())
    assert latest is not None
    assert latest.result.started_at == NOON + timedelta(minutes=5)


class TestAnswerOf:
    """Whether a check that is asked for was answered already."""

    def test_the_latest_is_one_whatever_its_sweep(self, store: ResultStore) -> None:
        asked = job().model_copy(update={"sweep_id": "another", "attempt": 2})
        assert store.answer_of(asked, NOON) is None
        store.add(result())
        assert store.answer_of(asked, NOON) == result()

    def test_what_finished_before_is_none(self, store: ResultStore) -> None:
        store.add(result(5))
        assert store.answer_of(job(), NOON + timedelta(minutes=5)) == result(5)
        assert store.answer_of(job(), NOON + timedelta(minutes=5.1)) is None

    def test_another_commit_is_none(self, store: ResultStore) -> None:
        source = job().source.model_copy(update={"sha": "1" * 40})
        newer = job().model_copy(update={"source": source})
        store.add(result())
        assert store.answer_of(newer, NOON) is None

    def test_behind_the_latest_it_is_found_in_the_history(self, store: ResultStore) -> None:
        source = job().source.model_copy(update={"sha": "1" * 40})
        other = job().model_copy(update={"source": source})
        for minutes in range(3):
            store.add(result(minutes))
        store.add(result(3, of=other))
        assert store.answer_of(job(), NOON) == result(2)
        assert store.answer_of(job(), NOON + timedelta(minutes=2)) == result(2)
        assert store.answer_of(job(), NOON + timedelta(minutes=2.5)) is None

    def test_records_that_cant_be_read_are_none(
        self, objects: ObjectStore, store: ResultStore
    ) -> None:
        store.add(result(0))
        objects.put(result().latest_key, b"{")
        objects.put(f"{history_start(place(job()), NOON + timedelta(minutes=1))}-s.json", b"{")
        assert store.answer_of(job(), NOON) == result(0)

    def test_a_root_below_is_another(self, objects: ObjectStore, store: ResultStore) -> None:
        below = job(f"{job().root}/{job().variant.name}")
        assert place(below).startswith(f"{place(job())}/")
        key = store.add(result(of=below))
        # As if that one, too, had been of this identity.
        objects.put(key, result().model_dump_json().encode())
        assert store.answer_of(job(), NOON) is None


OPEN = SweepRecord(
    sweep_id="s1",
    source="acme/infra",
    asked=("a", "b"),
    started_at=NOON,
    deadline=NOON + timedelta(hours=1),
)
CLOSED = OPEN.model_copy(
    update={
        "answered": {"a": Verdict.CLEAN},
        "superseded": ("b",),
        "closed_at": NOON + timedelta(minutes=5),
    }
)
MANIFEST = SweepManifest(
    sweep_id="s1", jobs=(job(), job("b")), asked_at=NOON, deadline=NOON + timedelta(hours=1)
)


class TestOpenSweeps:
    """What a sweep asked for is known until it is closed, and it is closed once."""

    def test_an_open_sweep_is_known_with_its_jobs(self, store: ResultStore) -> None:
        assert list(store.open_sweeps()) == []
        assert store.manifest("s1") is None
        assert store.open_sweep(OPEN, MANIFEST)
        assert list(store.open_sweeps()) == ["s1"]
        assert store.manifest("s1") == MANIFEST
        assert store.sweep("s1") == OPEN

    def test_a_closed_one_is_kept_and_no_longer_open(self, store: ResultStore) -> None:
        store.open_sweep(OPEN, MANIFEST)
        assert store.close_sweep(CLOSED)
        assert list(store.open_sweeps()) == []
        assert store.manifest("s1") is None
        assert store.sweep("s1") == CLOSED

    def test_closing_again_changes_nothing(self, store: ResultStore) -> None:
        store.open_sweep(OPEN, MANIFEST)
        store.close_sweep(CLOSED)
        assert not store.close_sweep(CLOSED.model_copy(update={"answered": {}}))
        assert store.sweep("s1") == CLOSED

    def test_what_a_closer_left_when_it_died_is_tidied(
        self, objects: ObjectStore, store: ResultStore
    ) -> None:
        store.put_sweep(CLOSED)
        objects.put("open/s1.json", MANIFEST.encode())
        assert not store.close_sweep(CLOSED)
        assert list(store.open_sweeps()) == []

    def test_one_without_a_record_is_closed_with_one(
        self, objects: ObjectStore, store: ResultStore
    ) -> None:
        objects.put("open/s1.json", MANIFEST.encode())
        assert store.close_sweep(CLOSED)
        assert not store.close_sweep(CLOSED)
        assert store.sweep("s1") == CLOSED

    def test_a_closed_one_is_never_opened_again(self, store: ResultStore) -> None:
        """By a producer that stood still between the manifest and the record."""
        store.close_sweep(CLOSED)
        assert not store.open_sweep(OPEN, MANIFEST)
        assert store.sweep("s1") == CLOSED
        assert list(store.open_sweeps()) == []

    def test_opening_an_open_one_again_leaves_it_open(self, store: ResultStore) -> None:
        store.open_sweep(OPEN, MANIFEST)
        assert not store.open_sweep(OPEN, MANIFEST)
        assert list(store.open_sweeps()) == ["s1"]
        assert store.close_sweep(CLOSED)

    @pytest.mark.parametrize(
        ("stored", "is_closed_now"),
        [
            (b"{", True),
            (b"[]", True),
            (b'{"schema_version": 2, "closed_at": null}', True),
            (b'{"schema_version": 2, "closed_at": "2026-01-02T12:00:00Z"}', False),
        ],
    )
    def test_a_record_of_another_version_is_closed_only_where_it_says_so(
        self, objects: ObjectStore, store: ResultStore, stored: bytes, is_closed_now: bool
    ) -> None:
        objects.put("sweeps/s1.json", stored)
        assert store.close_sweep(CLOSED) is is_closed_now
        assert (objects.get("sweeps/s1.json") == stored) is not is_closed_now

    def test_a_record_that_is_written_today_can_be_read(
        self, objects: ObjectStore, store: ResultStore
    ) -> None:
        objects.put(
            "sweeps/s1.json",
            b'{"schema_version": 1, "sweep_id": "s1", "source": "acme/infra", "asked": ["a"],'
            b' "answered": {}, "missing": [], "problems": [], "started_at":'
            b' "2026-01-02T12:00:00Z", "closed_at": null}',
        )
        found = store.sweep("s1")
        assert found is not None
        assert (found.superseded, found.deadline) == ((), None)
        assert store.close_sweep(CLOSED)


def test_any_record_is_kept_and_read_back(store: ResultStore) -> None:
    assert store.record(SweepRecord, "state/x.json") is None
    store.keep("state/x.json", OPEN)
    store.keep("state/x.json", CLOSED)
    assert store.record(SweepRecord, "state/x.json") == CLOSED
    with pytest.raises(ContractError, match="not a LatestRecord"):
        store.record(LatestRecord, "state/x.json")


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


def test_a_folder_that_cant_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    assert list(FileObjects(tmp_path).keys("a/")) == []
    with pytest.raises(StoreUnavailable, match="can't be listed"):
        FileObjects(tmp_path).keys(f"{'long' * 100}/")


def test_the_lock_of_the_files_is_no_key_and_nothing_else_is_left(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    objects.put_if("a", b"", None)
    objects.put_if("a", b"", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a"]
    assert list(objects.keys("")) == ["a"]


def test_a_folder_whose_last_object_was_removed_is_gone_and_others_stay(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    for key in ("open/a", "open/b", "top"):
        objects.put(key, b"")
    objects.delete("open/a")
    assert (tmp_path / "open").is_dir()
    objects.delete("open/b")
    objects.delete("top")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_lock_that_somebody_keeps_ends_in_an_error_that_names_it(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path, lock_seconds=0)
    objects.put("a", b"one")
    with (tmp_path / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for change in (
            lambda: objects.put("a", b"two"),
            lambda: objects.put_if("a", b"two", None),
            lambda: objects.delete("a"),
        ):
            with pytest.raises(StoreUnavailable, match=r"\(a\).*another process.*\.lock"):
                change()
        assert objects.get("a") == b"one"
    objects.put("a", b"two")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "a"]


def test_a_lock_file_that_may_only_be_read_locks_all_the_same(tmp_path: Path) -> None:
    """Such as one that root's first command made."""
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    (tmp_path / ".lock").touch(0o444)
    code = (
        "import sys, pathlib\n"
        "from driftfleet.store.files import FileObjects\n"
        "print(FileObjects(pathlib.Path(sys.argv[1]), 0).put_if('a', b'one', None))\n"
    )
    # Even root has no more rights there than the file's mode says.
    command = [bwrap, "--dev-bind", "/", "/", "--cap-drop", "ALL"]
    command += [sys.executable, "-c", code, tmp_path]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"
    with (tmp_path / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "StoreUnavailable" in said


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    key = open_store(ResultSettings(store=f"file://{tmp_path}/new")).add(result())
    assert (tmp_path / "new" / key).is_file()


def test_a_store_in_s3_is_opened_by_its_url(s3: S3) -> None:
    settings = s3.settings(prefix="a/b")
    key = open_store(settings).add(result())
    found = s3.client.list_objects_v2(Bucket=s3.bucket, Prefix="a/b/")["Contents"]
    assert [one["Key"] for one in found] == [f"a/b/{result().latest_key}", f"a/b/{key}"]
    assert open_store(settings).describe(key) == f"{settings.store}/{key}"


def test_an_unknown_scheme_is_explained() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'gopher' is no known.*file://DIR or s3://BUCKET/PREFIX"
    ):
        open_store(ResultSettings(store="gopher://x"))


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


def test_the_path_of_a_root_may_be_of_any_length(store: ResultStore) -> None:
    """S3 has keys of 1,024 bytes at most."""
    deep = ["/".join(["x" * 90] * 20), "/".join([*["x" * 90] * 19, "y"]), "/".join(["ü" * 30] * 9)]
    for root in deep:
        store.add(result(of=job(root)))
    for root in deep:
        latest = store.latest_of(job(root))
        assert latest is not None
        assert latest.result.job.root == root
        assert len(latest.result.history_key) <= 800
        assert is_cut(place(job(root)))
    assert store.latest_of(job("/".join(["x" * 90] * 21))) is None
