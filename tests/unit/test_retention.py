"""What is too old goes, and nothing else."""

import io
import json
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftfleet.errors import ConfigurationError, ContractError, StoreUnavailable
from driftfleet.places import latest_key
from driftfleet.results import Verdict
from driftfleet.settings import ResultSettings, Settings
from driftfleet.store import FleetReader, ResultStore, open_objects
from driftfleet.store.retention import Retention
from driftfleet.sweeps import SweepManifest, SweepRecord
from producer.progress import Progress
from producer.prune import PruneOrder, prune
from tests.checked import at, checked, job
from tests.workers import short_folder

DAY = 24
NOW = at(100 * DAY)
NINETY = timedelta(days=90)


class Kept:
    """A store in a folder, and `prune` of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(results=ResultSettings(store=f"file://{folder}"))
        self.objects = open_objects(self.settings.results)
        self.store = ResultStore(self.objects)
        self.out = self.err = ""

    def prune(
        self, older_than: timedelta = NINETY, *, yes: bool = True, as_json: bool = False
    ) -> int:
        stdout, stderr = io.StringIO(), io.StringIO()
        progress = Progress(stderr, animate=False)
        order = PruneOrder(older_than, self.settings, progress, stdout, yes=yes, as_json=as_json)
        try:
            return prune(order, NOW)
        finally:
            self.out, self.err = stdout.getvalue(), stderr.getvalue()

    def keys(self, prefix: str = "results/") -> list[str]:
        return list(self.objects.keys(prefix))

    def sweep(self, name: str, started: datetime, closed: datetime | None) -> str:
        """Written when it began, or ended."""
        record = SweepRecord(
            sweep_id=name, source="acme/infra", asked=("a",), started_at=started, closed_at=closed
        )
        key = self.store.put_sweep(record)
        self.age(key, closed or started)
        return key

    def age(self, key: str, written: datetime) -> None:
        os.utime(self.folder / key, (written.timestamp(), written.timestamp()))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "results")


def test_what_is_no_result_stays_and_stands_for_no_newest_one(kept: Kept) -> None:
    a = [kept.store.add(checked(job("a"), hours * DAY)) for hours in (0, 1)]
    kept.objects.delete(latest_key(job("a")))
    for name in ("zzz.json", "0001.json", "20200101T000000.json"):
        kept.objects.put(f"results/acme/infra/a/default/{name}", b"mine")
        kept.objects.put(f"results/{name}", b"mine")
    before = kept.keys()
    assert kept.prune() == 0
    assert set(before) - set(kept.keys()) == {a[0]}


def test_a_store_that_is_none_is_told_nothing_of_s3(kept: Kept) -> None:
    kept.settings = Settings(results=ResultSettings(store="gs://bucket/x"))
    with pytest.raises(ConfigurationError, match="'gs' is no known scheme"):
        kept.prune()


def test_links_are_removed_and_not_what_they_lead_to(kept: Kept, tmp_path: Path) -> None:
    a = [kept.store.add(checked(job("a"), hours * DAY)) for hours in (0, 1, 2)]
    (tmp_path / "elsewhere").mkdir()
    for key in a:
        (kept.folder / key).rename(tmp_path / "elsewhere" / Path(key).name)
        (kept.folder / key).symlink_to(tmp_path / "elsewhere" / Path(key).name)
    (kept.folder / "results/acme/linked").symlink_to(tmp_path / "elsewhere")
    kept.prune()
    assert kept.keys() == a[2:]
    assert len(list((tmp_path / "elsewhere").iterdir())) == 3


def test_what_cant_be_looked_at_is_named(kept: Kept) -> None:
    kept.sweep("s", at(0), at(0))
    (kept.folder / "sweeps/loop.json").symlink_to("loop.json")
    with pytest.raises(StoreUnavailable, match=r"sweeps/loop.json: Too many levels"):
        kept.prune()


def test_old_results_go_and_the_newest_of_each_root_stays_however_old(kept: Kept) -> None:
    a = [kept.store.add(checked(job("a"), hours * DAY)) for hours in (0, 5, 9.9, 10.1, 50)]
    b = [kept.store.add(checked(job("b"), hours * DAY)) for hours in (0, 1)]
    below = kept.store.add(checked(job("a/default/c"), 0))
    before = FleetReader(kept.objects).read()
    assert kept.prune() == 0
    assert kept.keys() == sorted([*a[3:], b[1], below])
    assert FleetReader(kept.objects).read() == before
    assert kept.out.splitlines()[-1].startswith("removed 4 older than 90d, ")
    assert kept.prune() == 0
    assert kept.out == f"nothing in {kept.folder} is older than 90d\n"


def test_it_is_only_shown_unless_it_is_wanted(kept: Kept) -> None:
    for days in (0, 1, 50):
        kept.store.add(checked(job("a"), days * DAY))
    size = sum((kept.folder / key).stat().st_size for key in kept.keys()[:2])
    assert kept.prune(yes=False) == 0
    assert len(kept.keys()) == 3
    assert kept.out.endswith(": with --yes it is done\n")
    assert "        2     " in kept.out
    assert kept.prune(yes=False, as_json=True) == 0
    told = json.loads(kept.out)
    assert told["removed"] is False
    assert told["results"] == {"count": 2, "bytes": size}
    assert kept.prune(yes=True, as_json=True) == 0
    assert json.loads(kept.out) == {**told, "removed": True}
    assert len(kept.keys()) == 1


def test_the_result_that_the_latest_record_is_of_stays_though_another_finished_later(
    kept: Kept,
) -> None:
    shown = checked(job("a"), 1)
    slow = checked(job("a"), 2).model_copy(update={"started_at": at(0)})
    oldest = kept.store.add(checked(job("a"), 0.5))
    keys = [kept.store.add(shown), kept.store.add(slow)]
    latest = kept.store.latest_of(job("a"))
    assert latest is not None
    assert latest.result == shown
    kept.prune()
    assert kept.keys() == keys
    assert kept.objects.get(oldest) is None


def test_closed_sweeps_that_are_old_go_and_open_ones_stay(kept: Kept) -> None:
    kept.sweep("old", at(0), at(1))
    young = kept.sweep("young", at(0), at(20 * DAY))
    begun = kept.sweep("open", at(0), None)
    kept.prune()
    assert kept.keys("sweeps/") == [begun, young]


def test_a_sweep_that_was_copied_since_is_judged_by_its_record(kept: Kept) -> None:
    key = kept.sweep("copied", at(0), at(20 * DAY))
    kept.age(key, at(1))
    kept.prune()
    assert kept.keys("sweeps/") == [key]


def test_what_an_open_sweep_may_be_answered_by_stays(kept: Kept) -> None:
    keys = [kept.store.add(checked(job("a"), hours)) for hours in (0, 4, 9, 50 * DAY)]
    record = SweepRecord(sweep_id="s", source="acme/infra", asked=("a",), started_at=at(8))
    manifest = SweepManifest(sweep_id="s", jobs=(job("a"),), asked_at=at(8), deadline=at(9))
    kept.store.open_sweep(record, manifest)
    kept.prune()
    assert kept.keys() == keys[2:]
    kept.objects.put("open/s.json", b"{")
    with pytest.raises(ContractError, match=r"open/\S+\.json can't be read \(not a SweepManifest"):
        kept.prune()


def test_days_are_kept_for_400(kept: Kept) -> None:
    for day in ("2024-12-01", "2025-03-07", "2025-03-08", "2026-04-01", "no-day"):
        kept.objects.put(f"days/{day}.json", b"{}")
    assert NOW.date().isoformat() == "2026-04-12"
    kept.prune()
    assert kept.keys("days/") == [
        f"days/{day}.json" for day in ("2025-03-08", "2026-04-01", "no-day")
    ]


def test_nothing_else_is_touched(kept: Kept) -> None:
    keys = ["catalog/fleet.json.gz", "latest/a/b/c/d.json", "roots/a/b.json", "site/index.html",
            "site/roots/a.html", "swept/a/b.json", "notes/mine.txt", "results.txt"]  # fmt: skip
    for key in keys:
        kept.objects.put(key, b"")
        kept.age(key, at(-1000 * DAY))
    kept.prune()
    assert kept.keys("") == sorted(keys)


def test_what_a_writer_that_died_left_goes_and_what_one_writes_now_stays(kept: Kept) -> None:
    kept.store.add(checked(job("a")))
    place = "results/acme/infra/a/default"
    for name, days in ((".0123abcd.tmp", 98), (".89abcdef.tmp", 99.5), (".mine.tmp", 0)):
        (kept.folder / place / name).write_bytes(b"half")
        kept.age(f"{place}/{name}", at(days * DAY))
    kept.prune()
    left = {path.name for path in (kept.folder / place).iterdir() if path.suffix == ".tmp"}
    assert left == {".89abcdef.tmp", ".mine.tmp"}
    assert "leftovers of writers that died" in kept.out


def test_a_sweep_that_cant_be_read_stays_and_is_told(kept: Kept) -> None:
    kept.objects.put("sweeps/odd.json", b"{")
    kept.age("sweeps/odd.json", at(0))
    assert kept.prune() == 1
    assert kept.keys("sweeps/") == ["sweeps/odd.json"]
    assert kept.err == f"{kept.folder}/sweeps/odd.json: can't be read, and stays\n"


def test_a_latest_record_that_cant_be_read_keeps_nothing_else_from_going(kept: Kept) -> None:
    keys = [kept.store.add(checked(job("a"), hours)) for hours in (0, 1)]
    kept.objects.put(latest_key(job("a")), b"{")
    assert kept.prune() == 0
    assert kept.keys() == keys[1:]


@pytest.mark.parametrize(
    ("store", "older_than", "words"),
    [
        ("s3://bucket/fleet", NINETY, "deploy/results-bucket"),
        ("file:///nowhere/at/all", NINETY, "there is no such folder"),
        ("file:///nowhere/at/all", timedelta(hours=23), "a day at least"),
    ],
)
def test_what_it_cant_do_is_told_before_anything_is_done(
    store: str, older_than: timedelta, words: str
) -> None:
    settings = Settings(results=ResultSettings(store=store))
    progress = Progress(io.StringIO(), animate=False)
    order = PruneOrder(older_than, settings, progress, io.StringIO(), yes=True, as_json=False)
    with pytest.raises(ConfigurationError, match=words):
        prune(order, NOW)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.sampled_from(list(Verdict))),
        max_size=15,
    ),
    st.integers(1, 99),
)
def test_of_any_history_only_what_is_old_and_not_the_last_goes(
    told: list[tuple[str, int, Verdict]], days: int
) -> None:
    with short_folder("p") as folder:
        kept = Kept(folder)
        keys = {
            kept.store.add(checked(job(root), day * DAY, verdict)): (root, day)
            for root, day, verdict in told
        }
        fleet = FleetReader(kept.objects).read()
        kept.prune(timedelta(days=days))
        gone = set(keys) - set(kept.keys())
        newest = {root: max(day for one, day in keys.values() if one == root) for root in "abc"
                  if any(one == root for one, _ in keys.values())}  # fmt: skip
        expected = {
            key for key, (root, day) in keys.items() if day < 100 - days and day < newest[root]
        }
        assert gone == expected
        assert FleetReader(kept.objects).read() == fleet


def test_retention_tells_before_it_removes(kept: Kept) -> None:
    keys = [kept.store.add(checked(job("a"), hours)) for hours in (0, 1, 2)]
    retention = Retention(kept.folder, NOW - NINETY, NOW)
    assert [one.key for one in retention.old()] == keys[:2]
    assert kept.keys() == keys
