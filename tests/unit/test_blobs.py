"""The store of blobs: verified both ways, bounded, and never an error of the disk's."""

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.blobs import BlobStore, blob_hash

HELLO = b"hello\n"
HELLO_SHA = "ce013625030ba8dba906f756967f9e9ca394464a"
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


def store_in(folder: Path, limit_bytes: int = 1 << 30, clock: Clock | None = None) -> BlobStore:
    folder.mkdir(exist_ok=True)
    return BlobStore(folder, limit_bytes, clock or Clock())


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def blob(number: int, size: int = 4000) -> tuple[str, bytes]:
    content = b"%d" % number + bytes(size)
    return blob_hash(content), content


def used_at(folder: Path, sha: str, when: float) -> None:
    os.utime(folder / sha[:2] / sha[2:], (when, when))


class TestStore:
    def test_a_blob_is_kept_under_gits_name_for_nobody_else(self, tmp_path: Path) -> None:
        store = store_in(tmp_path / "blobs")
        assert store.put(HELLO_SHA, HELLO)
        path = tmp_path / "blobs" / HELLO_SHA[:2] / HELLO_SHA[2:]
        assert path.read_bytes() == HELLO
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert store.get(HELLO_SHA) == HELLO
        assert store.has(HELLO_SHA)
        assert store.has(HELLO_SHA, 6)
        assert not store.has(HELLO_SHA, 5)

    def test_sha_256_names_work(self, tmp_path: Path) -> None:
        store = store_in(tmp_path)
        sha = "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4"
        assert blob_hash(HELLO, 64) == sha
        assert store.put(sha, HELLO)
        assert store.get(sha) == HELLO

    def test_what_is_not_there_is_none(self, tmp_path: Path) -> None:
        store = store_in(tmp_path)
        assert store.get(HELLO_SHA) is None
        assert not store.has(HELLO_SHA)

    def test_another_content_than_its_name_says_is_not_taken(self, tmp_path: Path) -> None:
        store = store_in(tmp_path)
        with pytest.raises(ValueError, match=HELLO_SHA):
            store.put(HELLO_SHA, b"hullo\n")
        assert files(tmp_path) == []

    @pytest.mark.parametrize("damage", [b"", b"hell", b"hullo\n", b"hello\nmore"])
    def test_a_damaged_blob_is_dropped_and_can_be_stored_again(
        self, tmp_path: Path, damage: bytes
    ) -> None:
        store = store_in(tmp_path)
        store.put(HELLO_SHA, HELLO)
        (tmp_path / HELLO_SHA[:2] / HELLO_SHA[2:]).write_bytes(damage)
        assert store.get(HELLO_SHA) is None
        assert files(tmp_path) == []
        assert store.put(HELLO_SHA, HELLO)
        assert store.get(HELLO_SHA) == HELLO

    def test_a_blob_that_is_there_is_not_written_again(self, tmp_path: Path) -> None:
        store = store_in(tmp_path)
        store.put(HELLO_SHA, HELLO)
        before = (tmp_path / HELLO_SHA[:2] / HELLO_SHA[2:]).stat().st_ino
        assert store.put(HELLO_SHA, HELLO)
        assert (tmp_path / HELLO_SHA[:2] / HELLO_SHA[2:]).stat().st_ino == before

    def test_threads_that_store_the_same_do_no_harm(self, tmp_path: Path) -> None:
        store = store_in(tmp_path, limit_bytes=1 << 20)
        blobs = [blob(n) for n in range(100)]

        def store_all() -> None:
            for sha, content in blobs:
                store.put(sha, content)
                assert store.get(sha) in (content, None)

        threads = [threading.Thread(target=store_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(store.get(sha) == content for sha, content in blobs)

    @given(st.binary(max_size=100))
    def test_the_name_is_the_hash_of_length_and_content(self, content: bytes) -> None:
        assert blob_hash(content) != blob_hash(content + b"\0")


class TestBound:
    def test_the_least_recently_used_go_first_down_to_four_fifths(self, tmp_path: Path) -> None:
        clock = Clock()
        store = store_in(tmp_path, limit_bytes=10 * 4096, clock=clock)
        shas = []
        for n in range(11):
            sha, content = blob(n)
            store.put(sha, content)
            used_at(tmp_path, sha, clock.now + n)
            shas.append(sha)
        store.trim()
        assert [store.has(sha) for sha in shas] == [False] * 3 + [True] * 8

    def test_below_the_limit_nothing_goes(self, tmp_path: Path) -> None:
        store = store_in(tmp_path, limit_bytes=10 * 4096)
        shas = [blob(n) for n in range(10)]
        for sha, content in shas:
            store.put(sha, content)
        store.trim()
        assert all(store.has(sha) for sha, _ in shas)

    @pytest.mark.parametrize("use", ["get", "has"])
    def test_what_was_used_stays(self, tmp_path: Path, use: str) -> None:
        clock = Clock()
        store = store_in(tmp_path, limit_bytes=10 * 4096, clock=clock)
        shas = [blob(n) for n in range(11)]
        for sha, content in shas:
            store.put(sha, content)
            used_at(tmp_path, sha, clock.now - 2 * HOUR)
        getattr(store, use)(shas[0][0])
        store.trim()
        assert store.has(shas[0][0])

    def test_use_is_noted_once_an_hour(self, tmp_path: Path) -> None:
        clock = Clock()
        store = store_in(tmp_path, clock=clock)
        store.put(HELLO_SHA, HELLO)
        path = tmp_path / HELLO_SHA[:2] / HELLO_SHA[2:]
        for age, noted in ((HOUR - 1, clock.now - HOUR + 1), (HOUR + 1, clock.now)):
            used_at(tmp_path, HELLO_SHA, clock.now - age)
            store.get(HELLO_SHA)
            assert path.stat().st_mtime == noted

    def test_many_puts_stay_near_the_limit_without_a_trim_being_called(
        self, tmp_path: Path
    ) -> None:
        limit = 1 << 20
        # Each process counts for itself and for all.
        stores = [store_in(tmp_path, limit) for _ in range(3)]
        for n in range(1500):
            stores[n % 3].put(*blob(n))
            if n % 100 == 99:
                assert len(files(tmp_path)) * 4096 <= limit + 4 * (64 << 10)
        assert len(files(tmp_path)) * 4096 >= limit * 0.7

    def test_a_trim_is_rare(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = store_in(tmp_path, 1 << 20)
        scans = []
        genuine = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: (scans.append(path), genuine(path))[1])
        for n in range(1024):
            store.put(*blob(n))
        assert 1 <= scans.count(str(tmp_path)) <= 20

    def test_what_exceeds_the_limit_alone_is_not_kept(self, tmp_path: Path) -> None:
        store = store_in(tmp_path, 8192)
        assert not store.put(*blob(1, size=9000))
        assert files(tmp_path) == []

    def test_another_process_that_trims_is_not_waited_for(self, tmp_path: Path) -> None:
        store = store_in(tmp_path, 4096)
        for n in range(3):
            store.put(*blob(n))
        with open(tmp_path / ".trimming", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            store.trim()
            assert len(files(tmp_path)) == 3
        store.trim()
        assert len(files(tmp_path)) <= 1

    def test_leftovers_of_killed_writers_go_when_they_are_old(self, tmp_path: Path) -> None:
        clock = Clock()
        store = store_in(tmp_path, clock=clock)
        store.put(HELLO_SHA, HELLO)
        for name, age in ((".staged-old", HOUR + 1), (".staged-young", HOUR - 1)):
            left = tmp_path / HELLO_SHA[:2] / name
            left.write_bytes(b"hal")
            os.utime(left, (clock.now - age, clock.now - age))
        store.trim()
        assert not (tmp_path / HELLO_SHA[:2] / ".staged-old").exists()
        assert (tmp_path / HELLO_SHA[:2] / ".staged-young").exists()
        assert store.get(HELLO_SHA) == HELLO


class TestDisk:
    """The system call fails as it does on a bad disk; `tests/integration` has a full one."""

    @pytest.mark.parametrize("code", [errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
    def test_a_disk_that_takes_nothing_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        store = store_in(tmp_path)
        monkeypatch.setattr(os, "write", raising(code))
        assert not store.put(HELLO_SHA, HELLO)
        assert files(tmp_path) == []
        assert list(tmp_path.rglob(".staged*")) == []
        assert store.get(HELLO_SHA) is None

    def test_a_full_disk_gets_a_fifth_back_once_a_minute(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        store = store_in(tmp_path, clock=clock)
        for n in range(10):
            sha, content = blob(n)
            store.put(sha, content)
            used_at(tmp_path, sha, clock.now + n)
        monkeypatch.setattr(os, "write", raising(errno.ENOSPC))
        assert not store.put(HELLO_SHA, HELLO)
        left = len(files(tmp_path))
        assert 6 <= left <= 8
        assert not store.put(HELLO_SHA, HELLO)
        assert len(files(tmp_path)) == left
        clock.now += 61
        store.put(HELLO_SHA, HELLO)
        assert len(files(tmp_path)) < left

    def test_a_folder_that_is_gone_is_made_again(self, tmp_path: Path) -> None:
        store = BlobStore(tmp_path / "blobs", 1 << 20)
        assert store.put(HELLO_SHA, HELLO)
        assert store.get(HELLO_SHA) == HELLO

    def test_a_link_in_the_way_is_not_written_through(self, tmp_path: Path) -> None:
        store = store_in(tmp_path / "blobs")
        outside = tmp_path / "outside"
        outside.write_bytes(b"precious")
        shelf = tmp_path / "blobs" / HELLO_SHA[:2]
        shelf.mkdir()
        (shelf / HELLO_SHA[2:]).symlink_to(outside)
        store.put(HELLO_SHA, HELLO)
        assert outside.read_bytes() == b"precious"
        assert store.get(HELLO_SHA) == HELLO


def raising(code: int) -> object:
    def write(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    return write
