"""The cache: listings, locks, counts; whatever happens to its files, it is only slower."""

import os
import threading
from pathlib import Path

import pytest

from driftfleet.cache import Cache, open_cache
from driftfleet.errors import ConfigurationError
from driftfleet.github.listing import Entry, Listing

SHA = "1" * 40


def listing(number: int = 0) -> Listing:
    return Listing(SHA, [Entry(f"a/{number}.tf", "file", SHA, 3)])


class TestOpening:
    def test_its_folders_are_for_our_eyes_only(self, tmp_path: Path) -> None:
        open_cache(tmp_path / "deep" / "cache", 1 << 20)
        found = {
            path.name: path.stat().st_mode & 0o777
            for path in (tmp_path / "deep" / "cache").iterdir()
        }
        assert set(found) == {"blobs", "trees", "fetches", "locks", "repositories", "modules"}
        assert set(found.values()) == {0o700}

    def test_it_may_be_opened_again(self, tmp_path: Path) -> None:
        open_cache(tmp_path, 1 << 20).keep_listing(SHA, listing())
        assert open_cache(tmp_path, 1 << 20).listing(SHA) is not None

    def test_a_file_in_the_way_names_the_setting(self, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("")
        with pytest.raises(ConfigurationError, match=r"cache\.folder"):
            open_cache(tmp_path / "cache", 1 << 20)

    def test_another_users_folder_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_cache(tmp_path, 1 << 20)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(ConfigurationError, match="belongs to another user"):
            open_cache(tmp_path, 1 << 20)


class TestListings:
    def test_a_listing_is_kept_on_disk(self, tmp_path: Path) -> None:
        open_cache(tmp_path, 1 << 20).keep_listing(SHA, listing())
        found = open_cache(tmp_path, 1 << 20).listing(SHA)
        assert found is not None
        assert found.entries == listing().entries

    def test_a_damaged_one_is_dropped(self, tmp_path: Path) -> None:
        open_cache(tmp_path, 1 << 20).keep_listing(SHA, listing())
        (path,) = (p for p in (tmp_path / "trees").rglob("*") if p.is_file() and len(p.name) == 38)
        path.write_bytes(path.read_bytes()[:-1])
        assert open_cache(tmp_path, 1 << 20).listing(SHA) is None
        assert not path.exists()

    def test_the_last_two_stay_in_memory(self, tmp_path: Path) -> None:
        cache = open_cache(tmp_path, 1 << 20)
        names = [f"{n:040x}" for n in range(3)]
        for number, name in enumerate(names):
            cache.keep_listing(name, listing(number))
        assert cache.listing(names[2]) is cache.listing(names[2])
        assert cache.listing(names[1]) is cache.listing(names[1])
        first = cache.listing(names[0])
        assert first is not None
        assert cache.listing(names[0]) is first

    def test_a_disk_that_takes_none_only_costs_time(self, tmp_path: Path) -> None:
        cache = Cache(tmp_path / "none", 1 << 20)
        (tmp_path / "none").write_text("a file in the way")
        cache.keep_listing(SHA, listing())
        assert cache.listing(SHA) is not None
        cache.note_singly("x", 3, 4)
        assert cache.fetched_singly("x") == (0, 0)
        with cache.lock("x"):
            pass


class TestCounts:
    def test_what_was_fetched_singly_is_remembered_for_all_processes(self, tmp_path: Path) -> None:
        cache = open_cache(tmp_path, 1 << 20)
        assert cache.fetched_singly("host/o/r@1") == (0, 0)
        cache.note_singly("host/o/r@1", 20, 5000)
        assert open_cache(tmp_path, 1 << 20).fetched_singly("host/o/r@1") == (20, 5000)
        assert cache.fetched_singly("host/o/r@2") == (0, 0)

    def test_a_damaged_count_is_none(self, tmp_path: Path) -> None:
        cache = open_cache(tmp_path, 1 << 20)
        cache.note_singly("x", 20, 5000)
        for path in (tmp_path / "fetches").rglob("*"):
            if path.is_file():
                path.write_bytes(b"\xff")
        assert cache.fetched_singly("x") == (0, 0)


class TestLocks:
    def test_one_holder_at_a_time_and_nothing_is_left_over(self, tmp_path: Path) -> None:
        cache = open_cache(tmp_path, 1 << 20)
        held, most = 0, 0
        guard = threading.Lock()

        def hold() -> None:
            nonlocal held, most
            for _ in range(50):
                with cache.lock("host/o/r@1"):
                    with guard:
                        held += 1
                        most = max(most, held)
                    os.sched_yield()
                    with guard:
                        held -= 1

        threads = [threading.Thread(target=hold) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1
        assert list((tmp_path / "locks").iterdir()) == []

    def test_locks_of_other_names_are_not_waited_for(self, tmp_path: Path) -> None:
        cache = open_cache(tmp_path, 1 << 20)
        with cache.lock("a"), cache.lock("b"):
            assert len(list((tmp_path / "locks").iterdir())) == 2

    def test_an_error_inside_gives_it_back(self, tmp_path: Path) -> None:
        cache = open_cache(tmp_path, 1 << 20)
        with pytest.raises(KeyError), cache.lock("a"):
            raise KeyError
        with cache.lock("a"):
            pass
