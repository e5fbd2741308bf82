"""What is remembered of repositories only ever spares requests."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from producer.discovery import Discovery, Folder
from producer.memory import Memory, Remembered, discovery_key

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SEEN = Remembered(
    full_name="acme/infra",
    asked_at=NOON,
    sha="a" * 40,
    discovery_key=discovery_key("a" * 40, (), ()),
    discovery=Discovery(
        folders=(Folder(path="envs/ü", kind="root", reason="has a backend block (s3)"),), digest="d"
    ),
)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "repositories", "https://ghe.example.com/api/v3")


def test_what_was_noted_is_recalled_whatever_the_case_of_the_name(memory: Memory) -> None:
    assert memory.recall("acme/infra", "") is None
    memory.note("acme/infra", "", SEEN)
    assert memory.recall("Acme/Infra", "") == SEEN


def test_refs_keep_their_case_and_servers_stay_apart(memory: Memory, tmp_path: Path) -> None:
    memory.note("acme/infra", "v1", SEEN)
    assert memory.recall("acme/infra", "V1") is None
    assert memory.recall("acme/infra", "") is None
    other = Memory(tmp_path / "repositories", "https://api.github.com")
    assert other.recall("acme/infra", "v1") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sha": "x"}', b"\xff\xfe", b"null"])
def test_a_corrupt_file_is_as_none_and_is_written_anew(
    memory: Memory, tmp_path: Path, content: bytes
) -> None:
    memory.note("acme/infra", "", SEEN)
    (path,) = (tmp_path / "repositories").iterdir()
    path.write_bytes(content)
    assert memory.recall("acme/infra", "") is None
    memory.note("acme/infra", "", SEEN)
    assert memory.recall("acme/infra", "") == SEEN
    assert list((tmp_path / "repositories").iterdir()) == [path]


def test_a_folder_that_takes_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    memory = Memory(tmp_path / "file" / "repositories", "h")
    memory.note("acme/infra", "", SEEN)
    assert memory.recall("acme/infra", "") is None
    memory.forget_the_old()


def test_what_no_sweep_asked_for_in_90_days_is_forgotten_and_what_was_recalled_is_not(
    memory: Memory, tmp_path: Path
) -> None:
    memory.note("acme/old", "", SEEN)
    memory.note("acme/used", "", SEEN)
    for path in (tmp_path / "repositories").iterdir():
        os.utime(path, (0, 0))
    memory.recall("acme/used", "")
    memory.forget_the_old()
    assert memory.recall("acme/old", "") is None
    assert memory.recall("acme/used", "") == SEEN


def test_a_name_is_asked_for_again_after_a_day_and_when_a_clock_was_wrong() -> None:
    assert SEEN.is_fresh(NOON + timedelta(hours=23))
    assert not SEEN.is_fresh(NOON + timedelta(hours=25))
    assert not SEEN.is_fresh(NOON - timedelta(hours=1))


def test_a_discovery_is_of_a_commit_and_its_globs() -> None:
    keys = {
        discovery_key("a", (), ()),
        discovery_key("b", (), ()),
        discovery_key("a", ("x",), ()),
        discovery_key("a", (), ("x",)),
    }
    assert len(keys) == 4
    assert discovery_key("a", ("x",), ()) == discovery_key("a", ["x"], [])
