"""A refused token is remembered on its host, and only as a digest."""

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet.github.lockout import HELD_SECONDS, Lockout

TOKEN = SecretStr("ghp_" + "s3cr3t" * 6)


class Time:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_mark_holds_for_a_quarter_of_an_hour_in_every_process(tmp_path: Path, time: Time) -> None:
    ours, theirs = Lockout(tmp_path, time), Lockout(tmp_path, time)
    assert theirs.holds(TOKEN) == 0
    ours.mark(TOKEN)
    assert theirs.holds(TOKEN) == pytest.approx(HELD_SECONDS)
    assert theirs.holds(SecretStr("another")) == 0
    time.now += HELD_SECONDS - 1
    assert theirs.holds(TOKEN) == pytest.approx(1)
    time.now += 1
    assert theirs.holds(TOKEN) == 0


def test_nothing_on_the_disk_tells_the_token(tmp_path: Path) -> None:
    Lockout(tmp_path / "a" / "b").mark(TOKEN)
    folder = tmp_path / "a" / "b"
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert TOKEN.get_secret_value() not in path.name
        assert TOKEN.get_secret_value().encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
    other = Lockout(tmp_path / "c")
    other.mark(TOKEN)
    names = {p.name for p in folder.glob("refused-*")}
    assert names.isdisjoint(p.name for p in (tmp_path / "c").iterdir())


def test_whoever_mended_the_account_removes_the_mark_that_is_named(tmp_path: Path) -> None:
    lockout = Lockout(tmp_path)
    assert lockout.path(TOKEN) is None
    lockout.mark(TOKEN)
    mark = lockout.path(TOKEN)
    assert mark is not None
    mark.unlink()
    assert lockout.holds(TOKEN) == 0


def test_a_mark_again_begins_anew(tmp_path: Path, time: Time) -> None:
    lockout = Lockout(tmp_path, time)
    lockout.mark(TOKEN)
    time.now += 600
    lockout.mark(TOKEN)
    assert lockout.holds(TOKEN) == pytest.approx(HELD_SECONDS)


def test_old_marks_are_cleared_away(tmp_path: Path, time: Time) -> None:
    lockout = Lockout(tmp_path, time)
    lockout.mark(SecretStr("old"))
    time.now += HELD_SECONDS + 1
    lockout.mark(TOKEN)
    assert len(list(tmp_path.glob("refused-*"))) == 1


def test_a_clock_that_was_set_back_does_not_hold_for_ever(tmp_path: Path, time: Time) -> None:
    lockout = Lockout(tmp_path, time)
    lockout.mark(TOKEN)
    time.now -= 10 * HELD_SECONDS
    assert lockout.holds(TOKEN) == 0


def test_a_folder_that_can_not_be_used_costs_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lockout = Lockout(tmp_path / "file" / "below")
    lockout.mark(TOKEN)
    assert lockout.holds(TOKEN) == 0


def test_a_link_in_place_of_the_salt_or_a_mark_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * 32)
    folder = tmp_path / "lockout"
    folder.mkdir()
    os.symlink(victim, folder / "salt")
    lockout = Lockout(folder)
    lockout.mark(TOKEN)
    assert lockout.holds(TOKEN) == 0
    assert victim.read_bytes() == b"x" * 32
