"""The publisher: what it writes, what it leaves alone, and what is there at every moment."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta

import pytest

from driftfleet.errors import StoreUnavailable
from driftfleet.publishing import publish
from driftfleet.publishing.manifest import MANIFEST_KEY, read_manifest
from driftfleet.publishing.recent_sweeps import recent_sweeps
from driftfleet.publishing.remembered import RememberedObjects
from driftfleet.report.links import INDEX_KEY, SWEEPS_KEY, sweep_page_key
from driftfleet.report.root import page_of
from driftfleet.report.words import iso
from driftfleet.repository_roots import roots_of
from driftfleet.results import Verdict
from driftfleet.settings import GitHubSettings, Settings
from driftfleet.store import ResultStore
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.objects import Listed
from tests.site_links import broken_links
from tests.sites import AT, HOUR, closed, job, result, sweep_id, swept

SETTINGS = Settings(github=GitHubSettings(url="https://github.example.com"))


class Watched(MemoryObjects):
    """Objects that write down what is asked.

    ``before_write`` is called with each key; where ``turn`` is a lock nothing else is written
    meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gets: list[str] = []
        self.puts: list[str] = []
        self.deletes: list[str] = []
        self.before_write: Callable[[str], None] = lambda key: None
        self.turn: AbstractContextManager[object] = nullcontext()

    def clear(self) -> None:
        self.gets, self.puts, self.deletes = [], [], []

    def put(self, key: str, body: bytes) -> None:
        with self.turn:
            self.before_write(key)
            self.puts.append(key)
            super().put(key, body)

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        with self.turn:
            self.before_write(key)
            self.puts.append(key)
            return super().put_if(key, body, tag)

    def get(self, key: str) -> bytes | None:
        self.gets.append(key)
        return super().get(key)

    def delete(self, key: str) -> None:
        with self.turn:
            self.before_write(key)
            self.deletes.append(key)
            super().delete(key)

    @property
    def site(self) -> dict[str, bytes]:
        return {key: self.get(key) or b"" for key in MemoryObjects.keys(self, "site/")}


@pytest.fixture
def objects() -> Watched:
    return Watched()


def page(root: str, repo: str = "acme/infra") -> str:
    return page_of(result(job(root, repo=repo)).latest_key)


def test_every_root_has_a_page_and_every_link_leads_somewhere(objects: Watched) -> None:
    name = swept(objects, ["a", "b/c", "."], Verdict.DRIFTED)
    done = publish(objects, SETTINGS, AT)
    assert done.roots == 3
    assert {page("a"), page("b/c"), page("."), INDEX_KEY, SWEEPS_KEY} <= objects.site.keys()
    assert sweep_page_key(name) in objects.site
    assert broken_links(objects) == []


def test_an_empty_store_has_a_dashboard_too(objects: Watched) -> None:
    assert publish(objects, SETTINGS, AT).roots == 0
    assert broken_links(objects) == []
    assert INDEX_KEY in objects.site


def test_only_what_changed_is_read_and_written(objects: Watched) -> None:
    swept(objects, [f"r{n}" for n in range(300)])
    publish(objects, SETTINGS, AT)
    later = AT + HOUR
    changed = [f"r{n}" for n in range(20)]
    swept(objects, changed, Verdict.DRIFTED, number=2, at=later)
    objects.clear()
    done = publish(objects, SETTINGS, later)
    read = [key for key in objects.gets if key.startswith("latest/")]
    assert len(read) == 20
    written = [key for key in objects.puts if key.startswith("site/roots/")]
    assert sorted(written) == sorted(page(root) for root in changed)
    assert len(objects.puts) <= 28
    assert len(objects.gets) <= 26
    assert done.pages == len(written) + 3
    assert broken_links(objects) == []


def test_where_nothing_changed_only_the_fronts_are_written(objects: Watched) -> None:
    swept(objects, ["a", "b"])
    publish(objects, SETTINGS, AT)
    objects.clear()
    publish(objects, SETTINGS, AT + HOUR)
    assert [key for key in objects.puts if key.endswith(".html")] == [SWEEPS_KEY, INDEX_KEY]
    assert [key for key in objects.gets if key.startswith(("latest/", "sweeps/"))] == []


def test_at_every_moment_all_links_lead_somewhere(objects: Watched) -> None:
    """Each write is looked at: where it ends there, so it stays until the next one."""
    seen: list[int] = []

    def look(_: str) -> None:
        assert broken_links(objects) == []
        seen.append(1)

    objects.before_write, objects.turn = look, threading.RLock()
    swept(objects, ["a", "b", "c"], Verdict.ERROR)
    publish(objects, SETTINGS, AT)
    # Another one sees some of them, and roots go.
    swept(objects, ["b", "d"], Verdict.ERROR, number=2, at=AT + HOUR)
    publish(objects, SETTINGS, AT + HOUR)
    look_at = roots_of(job("b").source, [job("b")], AT + 2 * HOUR)
    ResultStore(objects).keep(look_at.key, look_at)
    for hours in (2, 3, 4):
        publish(objects, SETTINGS, AT + hours * HOUR)
        look("")
    assert len(seen) > 30
    assert [key for key in objects.site if key.startswith("site/roots/")] == [page("b")]


def test_roots_that_are_gone_have_no_page(objects: Watched) -> None:
    swept(objects, ["a", "b"])
    publish(objects, SETTINGS, AT)
    objects.delete(result(job("a")).latest_key)
    publish(objects, SETTINGS, AT)
    assert page("a") not in objects.site
    assert page("b") in objects.site
    assert broken_links(objects) == []


def test_what_is_not_ours_is_left_alone(objects: Watched) -> None:
    objects.put("site/error.html", b"<html></html>")
    objects.put("site/roots/acme/old/x/default.html", b"<html></html>")
    publish(objects, SETTINGS, AT)
    assert "site/error.html" in objects.site
    assert "site/roots/acme/old/x/default.html" not in objects.site


def test_a_page_that_was_removed_comes_back(objects: Watched) -> None:
    name = swept(objects, ["a"])
    publish(objects, SETTINGS, AT)
    MemoryObjects.delete(objects, page("a"))
    MemoryObjects.delete(objects, sweep_page_key(name))
    publish(objects, SETTINGS, AT)
    assert {page("a"), sweep_page_key(name)} <= objects.site.keys()


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"schema_version": 2}', b"\xff\x00"])
def test_a_manifest_that_cannot_be_read_costs_no_more_than_time(
    objects: Watched, garbage: bytes
) -> None:
    swept(objects, ["a"])
    objects.put(MANIFEST_KEY, garbage)
    assert publish(objects, SETTINGS, AT).pages == 4
    assert broken_links(objects) == []


def test_other_settings_make_every_page_anew(objects: Watched) -> None:
    swept(objects, ["a", "b"])
    publish(objects, SETTINGS, AT)
    objects.clear()
    moved = SETTINGS.model_copy(update={"github": GitHubSettings(url="https://ghe.example.org")})
    publish(objects, moved, AT)
    assert {page("a"), page("b")} <= set(objects.puts)
    assert b"https://ghe.example.org/acme/infra/tree/" in objects.site[page("a")]


def test_a_sweep_without_a_record_is_asked_for_once_and_led_to_by_nobody(
    objects: Watched,
) -> None:
    """Those of Lambda have none."""
    store = ResultStore(objects)
    store.add(result(job("a", sweep="lambda-1")))
    publish(objects, SETTINGS, AT)
    objects.clear()
    publish(objects, SETTINGS, AT)
    assert "sweeps/lambda-1.json" not in objects.gets
    assert b"Its sweep" not in objects.site[page("a")]


def test_a_sweep_whose_record_was_removed_is_shown_for_a_day_at_most(objects: Watched) -> None:
    name = swept(objects, ["a"])
    publish(objects, SETTINGS, AT)
    MemoryObjects.delete(objects, f"sweeps/{name}.json")
    publish(objects, SETTINGS, AT + timedelta(days=1))
    assert sweep_page_key(name) not in objects.site
    assert broken_links(objects) == []


def test_an_open_sweep_is_looked_at_until_it_is_closed(objects: Watched) -> None:
    store = ResultStore(objects)
    one = result(job("a", sweep=sweep_id(1)))
    store.add(one)
    record = closed(sweep_id(1), [one])
    store.put_sweep(record.model_copy(update={"closed_at": None, "answered": {}, "summary": None}))
    publish(objects, SETTINGS, AT)
    assert b"Open" in objects.site[sweep_page_key(sweep_id(1))]
    assert b"open" in objects.site[SWEEPS_KEY]
    store.put_sweep(record)
    publish(objects, SETTINGS, AT)
    assert b"all of it came back" in objects.site[sweep_page_key(sweep_id(1))]
    assert b"open" not in objects.site[SWEEPS_KEY]


def test_pages_of_sweeps_go_when_nobody_shows_them_any_more(objects: Watched) -> None:
    first = swept(objects, ["a"], number=1)
    for number in range(2, 60):
        swept(objects, ["b"], number=number, at=AT + number * timedelta(minutes=5))
    publish(objects, SETTINGS, AT + 9 * HOUR)
    pages = [key for key in objects.site if key.startswith("site/sweeps/sweep-")]
    # The last fifty, and the one that a root is from.
    assert len(pages) == 51
    assert sweep_page_key(first) in pages
    swept(objects, ["a"], number=70, at=AT + 10 * HOUR)
    publish(objects, SETTINGS, AT + 10 * HOUR)
    assert sweep_page_key(first) not in objects.site
    assert broken_links(objects) == []


def test_of_two_at_once_the_older_does_not_have_the_last_word(objects: Watched) -> None:
    swept(objects, ["a"])
    publish(objects, SETTINGS, AT)
    swept(objects, ["a"], Verdict.UNAPPLIED, number=2, at=AT + HOUR)
    came: list[str] = []

    def newer(key: str) -> None:
        if key == page("a") and not came:
            came.append(key)
            swept(objects, ["a"], Verdict.DRIFTED, number=3, at=AT + 2 * HOUR)
            publish(objects, SETTINGS, AT + 2 * HOUR)

    objects.before_write = newer
    publish(objects, SETTINGS, AT + HOUR)
    assert came
    assert b"v-drifted" in objects.site[page("a")]
    assert broken_links(objects) == []


def test_many_at_once_end_with_what_is_true() -> None:
    """Publishers that began before a check ended, and write their pages after one that did not."""
    objects, hours = MemoryObjects(), 40
    roots = [f"r{n}" for n in range(12)]

    def keep_publishing(first: int) -> None:
        for hour in range(first, hours, 2):
            said = (Verdict.CLEAN, Verdict.DRIFTED, Verdict.UNAPPLIED)[hour % 3]
            some = roots[hour % 5 :: 2]
            swept(objects, some, said, number=hour, at=AT + hour * HOUR)
            # Others publish all the time: who never comes to his end leaves the rest to them.
            with suppress(StoreUnavailable):
                publish(objects, SETTINGS, AT + hour * HOUR)

    threads = [threading.Thread(target=keep_publishing, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publish(objects, SETTINGS, AT + hours * HOUR)
    for root in roots:
        latest = ResultStore(objects).latest(result(job(root)).latest_key)
        assert latest is not None
        shown = (objects.get(page(root)) or b"").decode()
        assert f'datetime="{iso(latest.result.finished_at)}"' in shown
        assert f'<p class="verdict"><span class="badge v-{latest.result.verdict}">' in shown
    assert broken_links(objects) == []


def test_one_that_was_cut_off_in_the_middle_is_completed(objects: Watched) -> None:
    swept(objects, [f"r{n}" for n in range(30)])
    publish(objects, SETTINGS, AT)
    swept(objects, [f"r{n}" for n in range(30)], Verdict.DRIFTED, number=2, at=AT + HOUR)

    def break_down(key: str) -> None:
        if key == page("r17"):
            raise StoreUnavailable("away")

    objects.before_write = break_down
    with pytest.raises(StoreUnavailable, match="away"):
        publish(objects, SETTINGS, AT + HOUR)
    objects.before_write = lambda key: None
    assert broken_links(objects) == []
    publish(objects, SETTINGS, AT + HOUR)
    assert all(b"v-drifted" in objects.site[page(f"r{n}")] for n in range(30))


def test_what_was_ended_in_the_middle_goes_on_from_there(objects: Watched) -> None:
    """A hundred thousand pages take longer than the producer lets one go at it take."""
    swept(objects, [f"r{n}" for n in range(30)])
    made: list[str] = []

    def end(key: str) -> None:
        if key.startswith("site/roots/"):
            made.append(key)
        if len(made) > 25:
            raise StoreUnavailable("it took too long")

    objects.before_write = end
    with pytest.raises(StoreUnavailable):
        publish(objects, SETTINGS, AT, roots_at_once=10)
    objects.before_write = lambda key: None
    objects.clear()
    done = publish(objects, SETTINGS, AT + HOUR, roots_at_once=10)
    written = [key for key in objects.puts if key.startswith("site/roots/")]
    assert len(written) == 10
    assert done.roots == 30
    # Nor is any record read again for the status: those of the ten pages alone.
    assert len([key for key in objects.gets if key.startswith("latest/")]) == 10
    assert broken_links(objects) == []


def test_two_that_make_many_pages_do_not_stop_each_other_for_ever(objects: Watched) -> None:
    """The other one begins anew whenever we note pages: it may have written the same."""
    swept(objects, [f"r{n}" for n in range(30)])

    def begin_anew(key: str) -> None:
        if key.startswith("site/roots/"):
            known, tag = read_manifest(objects)
            if known.pages:
                without = known.without(frozenset(known.pages), frozenset())
                MemoryObjects.put_if(objects, MANIFEST_KEY, without.encode(), tag)

    objects.before_write = begin_anew
    assert publish(objects, SETTINGS, AT, roots_at_once=10).roots == 30
    assert broken_links(objects) == []


def test_others_that_publish_all_the_time_are_told_of(objects: Watched) -> None:
    swept(objects, ["a"])

    def meddle(key: str) -> None:
        if key == INDEX_KEY:
            MemoryObjects.put(objects, MANIFEST_KEY, b"{}")

    objects.before_write = meddle
    with pytest.raises(StoreUnavailable, match="changed by others each of 8 times"):
        publish(objects, SETTINGS, AT)


def test_the_day_is_kept_and_days_that_are_over_are_read_once(objects: Watched) -> None:
    swept(objects, ["a"])
    for days in range(4):
        publish(objects, SETTINGS, AT + days * timedelta(days=1))
    assert len(list(objects.keys("days/"))) == 4
    objects.clear()
    publish(objects, SETTINGS, AT + timedelta(days=3, hours=1))
    # Today's alone.
    assert len([key for key in objects.gets if key.startswith("days/")]) <= 1
    assert len(read_manifest(objects)[0].days) == 3


class TestRecentSweeps:
    def _fill(self, objects: MemoryObjects, count: int, apart: timedelta) -> list[str]:
        kinds = ("sweep", "scan", "enqueue")
        ids = [sweep_id(n, AT - n * apart, kinds[n % 3]) for n in range(count)]
        for one in ids:
            objects.put(f"sweeps/{one}.json", b"{}")
        return ids

    @pytest.mark.parametrize("apart", [timedelta(seconds=9), HOUR, timedelta(days=3)])
    def test_the_last_fifty_are_found_however_often_there_are_any(
        self, objects: Watched, apart: timedelta
    ) -> None:
        ids = self._fill(objects, 80, apart)
        assert recent_sweeps(objects, (), (), AT) == tuple(ids[:50])

    def test_no_more_are_listed_than_it_takes(self) -> None:
        objects = Counting()
        ids = self._fill(objects, 5000, timedelta(seconds=12))
        before = recent_sweeps(objects, (), (), AT)
        assert before == tuple(ids[:50])
        assert objects.listed < 500
        objects.listed = 0
        assert recent_sweeps(objects, (), before, AT + HOUR) == before
        assert objects.listed <= 51

    def test_a_fleet_that_rests_shows_its_last_ones(self, objects: Watched) -> None:
        ids = self._fill(objects, 60, HOUR)
        now = AT + timedelta(days=3000)
        assert recent_sweeps(objects, [ids[3]], (), now)[:5] == tuple(ids[:5])

    def test_kinds_that_only_roots_know_are_found(self, objects: Watched) -> None:
        mine = sweep_id(1, AT, "nightly")
        objects.put(f"sweeps/{mine}.json", b"{}")
        objects.put("sweeps/no-sweep.json", b"{}")
        assert recent_sweeps(objects, [mine], (), AT) == (mine,)


class Counting(MemoryObjects):
    """Objects that count what is listed of them."""

    listed = 0

    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        for one in super().listing(prefix, after):
            self.listed += 1
            yield one


def test_what_has_no_room_is_read_again() -> None:
    inner = Watched()
    for name in "abc":
        inner.put(f"latest/{name}", name.encode() * 10)
    objects = RememberedObjects(inner, "latest/", most_bytes=20)
    for name in "abc":
        objects.get(f"latest/{name}")
    inner.clear()
    assert [objects.take(f"latest/{name}") for name in "abc"] == [b"a" * 10, b"b" * 10, b"c" * 10]
    assert inner.gets == ["latest/c"]
    assert objects.take("latest/nothing") is None


def test_no_page_names_a_value_or_a_secret_place(objects: Watched) -> None:
    swept(objects, ["a"], Verdict.DRIFTED)
    publish(objects, SETTINGS, AT)
    for body in objects.site.values():
        assert not re.search(rb"(?i)token|password", body.replace(b"github.token", b""))
