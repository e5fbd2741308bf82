"""What a doctor says of the result store, of disks and of secrets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftfleet.errors import StoreUnavailable
from driftfleet.heartbeat import HEARTBEAT_KEY, Heartbeat
from driftfleet.ledger import WorkerSeen
from driftfleet.settings import Settings
from driftfleet.store import open_store
from driftfleet.store.files import FileObjects
from driftfleet.store.memory import MemoryObjects
from driftfleet.store.objects import Listed
from producer.doctor.disk import disk_finding, disks
from producer.doctor.examination import Doctor, examine
from producer.doctor.fleet import heartbeat, workers_finding
from producer.doctor.secrets import named_secrets
from producer.doctor.store import results, try_objects


def stored_at(folder: Path, **sections: object) -> Settings:
    return Settings.model_validate({"results": {"store": f"file://{folder}"}, **sections})


class TestResults:
    """Whether the store does what is asked of it."""

    def test_a_store_that_keeps_its_promises_is_well_and_keeps_nothing_of_the_doctor(
        self, tmp_path: Path
    ) -> None:
        found = results(stored_at(tmp_path))
        assert found.level == "ok"
        assert str(tmp_path) in found.finding
        assert list(FileObjects(tmp_path).keys("")) == []
        assert not (tmp_path / "doctor").exists()

    def test_one_that_is_not_there_yet_is_not_made(self, tmp_path: Path) -> None:
        found = results(stored_at(tmp_path / "new" / "x"))
        assert (found.level, "made when needed" in found.finding) == ("ok", True)
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("place", ["file", "file/x"])
    def test_one_that_is_or_lies_beneath_a_file_fails(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "file").touch()
        found = results(stored_at(tmp_path / place))
        assert found.level == "fail"
        assert f"{tmp_path}/file is no folder" in found.finding
        assert "results.store" in found.mend

    def test_a_scheme_that_is_none_fails(self) -> None:
        found = results(Settings.model_validate({"results": {"store": "gopher://x"}}))
        assert (found.level, "gopher" in found.finding) == ("fail", True)

    def test_what_it_refuses_is_told_with_the_place(self, tmp_path: Path) -> None:
        (tmp_path / "doctor").touch()
        found = results(stored_at(tmp_path))
        assert found.level == "fail"
        assert f"{tmp_path} did not take doctor/" in found.finding


class Blind(MemoryObjects):
    """Like servers that don't know conditional writes: they write all the same."""

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        self.put(key, body)
        return True


class Blinded(MemoryObjects):
    """Knows `only where there is none`, but no versions."""

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        if tag is None:
            return super().put_if(key, body, None)
        self.put(key, body)
        return True


class Stale(MemoryObjects):
    """Like a cache in front of a store: it goes on giving what it gave."""

    def delete(self, key: str) -> None:
        pass


class Deaf(MemoryObjects):
    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        return False


class Torn(MemoryObjects):
    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        return super().put_if(key, b"", tag)


class Unlisted(MemoryObjects):
    def listing(self, prefix: str, after: str = "") -> Iterator[Listed]:
        return iter(())


class Away(MemoryObjects):
    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        raise StoreUnavailable("the store is away")


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (Blind(), "a second writer was not refused"),
        (Blinded(), "an older version was not refused"),
        (Stale(), "what was removed is still there"),
        (Deaf(), "refused as if there were one"),
        (Torn(), "not what is read"),
        (Unlisted(), "what was written is not listed"),
        (Away(), "the store is away"),
    ],
)
def test_a_store_that_breaks_a_promise_fails_with_that_promise(
    objects: MemoryObjects, words: str
) -> None:
    found = try_objects(objects)
    assert (found.level, words in found.finding) == ("fail", True)
    assert "results.store" in found.mend
    assert isinstance(objects, Stale) or list(objects.keys("")) == []


class TestDisk:
    """Whether what is written to has room."""

    def test_each_disk_is_told_once_with_what_is_on_it(self, tmp_path: Path) -> None:
        mirror = tmp_path / "mirror"
        mirror.mkdir()
        worker = {"writable_root": str(tmp_path / "new" / "w"), "mirror": str(mirror)}
        found = list(disks(stored_at(tmp_path / "results", worker=worker)))
        assert len(found) == 1
        assert f"free at {tmp_path} (workspaces, results, mirror)" in found[0].finding
        assert not (tmp_path / "new").exists()

    def test_another_disk_is_another_finding(self, tmp_path: Path) -> None:
        elsewhere = Path("/dev/shm")
        if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
            elsewhere = Path("/proc")
        settings = stored_at(elsewhere, worker={"writable_root": str(tmp_path)})
        assert [finding.what for finding in disks(settings)] == ["disk", "disk"]

    def test_less_than_one_check_may_take_is_warned_of(self, tmp_path: Path) -> None:
        limits = {"workspace_bytes": 1 << 50}
        worker = {"writable_root": str(tmp_path)}
        (found,) = disks(stored_at(tmp_path, worker=worker, limits=limits))
        assert (found.level, "limits.workspace_bytes" in found.finding) == ("warn", True)
        assert "another disk" in found.mend

    def test_a_disk_without_a_byte_fails(self) -> None:
        assert disk_finding("results", Path("/proc"), 1).level == "fail"

    def test_one_that_cant_be_asked_fails(self, tmp_path: Path) -> None:
        found = disk_finding("results", tmp_path / "none", 1)
        assert (found.level, "No such file" in found.finding) == ("fail", True)


class TestSecrets:
    """Whether each can be read."""

    def settings(self, github: dict[str, object]) -> Settings:
        return Settings.model_validate({"github": github})

    def test_each_that_is_named_is_read_and_none_is_shown(self, tmp_path: Path) -> None:
        key = tmp_path / "app.pem"
        key.write_text("geheim")
        app = {"id": 1, "installation": 2, "private_key": f"file://{key}"}
        (found,) = named_secrets(self.settings({"app": app}), {})
        assert found.level == "ok"
        assert found.finding == f"file://{key} can be read (github.app.private_key)"
        (found,) = named_secrets(self.settings({"token": "env://THE_TOKEN"}), {"THE_TOKEN": "gh"})
        assert found.finding == "env://THE_TOKEN can be read (github.token)"

    def test_one_that_is_not_there_fails_with_its_setting(self) -> None:
        (found,) = named_secrets(self.settings({"token": "env://NONE"}), {})
        assert found.level == "fail"
        assert "NONE is not set" in found.finding
        assert "github.token" in found.mend

    def test_those_of_a_github_that_is_asked_are_examined_there(self) -> None:
        github = {"url": "https://ghe.example.com", "token": "env://NONE"}
        assert list(named_secrets(self.settings(github), {})) == []


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (
            "github: {token: env://A, app: {id: 1, installation: 2, private_key: env://B}}",
            ("'token'", "'app'"),
        ),
        (
            "worker: {drain_seconds: 90}\nbroker: {visibility_timeout_seconds: 60}",
            ("worker.drain_seconds", "broker.visibility_timeout_seconds"),
        ),
    ],
)
def test_settings_that_contradict_each_other_fail_with_both_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, names: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fleet.yaml").write_text(written)
    (found,) = examine(Doctor(None, [], {"HOME": "/"}))
    assert (found.level, found.what) == ("fail", "settings")
    assert all(name in found.finding for name in names)


def test_all_of_it_is_part_of_an_examination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"HOME": "/", "DRIFTFLEET_GITHUB__TOKEN": "env://NONE"}
    levels = {finding.what: finding.level for finding in examine(Doctor(None, [], environment))}
    assert levels["secret"] == "fail"
    assert levels["broker"] == "skip"
    assert {"results", "disk"} <= set(levels)


def seen(name: str, **more: object) -> WorkerSeen:
    return WorkerSeen.model_validate({"name": name, "slots": 4, "seen_at": 0, **more})


@pytest.mark.parametrize(
    ("there", "level", "words"),
    [
        ([], "warn", "jobs wait"),
        ([seen("a"), seen("b")], "ok", "2, with 8 slots: a (4), b (4)"),
        ([seen(f"w{n}") for n in range(7)], "ok", "w4 (4) and 2 more"),
        ([seen("a"), seen("b", waits_for="1 GiB of disk")], "warn", "b starts nothing: 1 GiB"),
    ],
)
def test_workers_are_counted_and_those_that_wait_are_named(
    there: list[WorkerSeen], level: str, words: str
) -> None:
    found = workers_finding(there)
    assert (found.level, words in found.finding) == (level, True)
    assert bool(found.mend) == (level == "warn")


def test_a_heartbeat_is_judged_by_its_age(tmp_path: Path) -> None:
    settings = stored_at(tmp_path)
    assert heartbeat(settings).level == "skip"
    beat = Heartbeat(sent_at=1000.0, stored_at=1002.5, worker="w1")
    open_store(settings.results).keep(HEARTBEAT_KEY, beat)
    found = heartbeat(settings, now=1062.5)
    assert (found.level, found.finding) == (
        "ok",
        "stored 60 s ago, 2.5 s after beat sent it, by w1",
    )
    assert heartbeat(settings, now=1000.0).level == "ok"
    late = heartbeat(settings, now=1002.5 + 3 * 3600)
    assert (late.level, "3 h ago" in late.finding) == ("warn", True)
    FileObjects(tmp_path).put(HEARTBEAT_KEY, b"{")
    assert heartbeat(settings).level == "skip"
