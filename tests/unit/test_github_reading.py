"""How a closure is read out of a commit: what is shared between roots, and when it stops."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from driftfleet.closure import Closure, closure_of
from driftfleet.errors import SourceRefused
from tests.github_in_memory import File, Repository, Submodule
from worker.github_source import Commit, Reading
from worker.selection import select


class TimeIsUp(Exception):
    """What a deadline raises here."""


class Clock:
    """Ends after so many looks at it."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __call__(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise TimeIsUp


def commit(tmp_path: Path, files: Mapping[str, File]) -> Commit:
    return Commit(Repository(files).snapshot(tmp_path))


def call(*folders: str) -> bytes:
    return "".join(f'module "m" {{\n  source = "../{f}"\n}}\n' for f in folders).encode()


def read_all(commit: Commit, root: str, looks: int = 10_000) -> tuple[str, ...]:
    reading = Reading(commit, Clock(looks))
    while True:
        closure = closure_of(root, reading.facts)
        if not reading.read_reached():
            return closure.folders


def test_what_one_reading_reached_and_did_not_read_is_nothing_to_the_next(tmp_path: Path) -> None:
    files = {"evil/x.tf": call("huge"), "huge/x.tf": b"#" * 1000, "good/x.tf": b""}
    known = commit(tmp_path, files)
    evil = Reading(known, Clock(100))
    closure_of("evil", evil.facts)
    evil.read_reached()
    closure_of("evil", evil.facts)
    assert evil.reached_bytes() == 1000
    good = Reading(known, Clock(100))
    closure_of("good", good.facts)
    assert good.reached_bytes() == 0


def test_a_reading_that_is_refused_halfway_can_be_begun_again(tmp_path: Path) -> None:
    known = commit(tmp_path, {"evil/x.tf": call("a", "sub/x"), "a/x.tf": b"", "sub": Submodule()})
    for _ in range(2):
        with pytest.raises(SourceRefused, match=r"^sub/x: is a git submodule"):
            read_all(known, "evil")
        assert read_all(known, "a") == ("a",)


def test_what_was_read_once_is_shared_by_all_roots(tmp_path: Path) -> None:
    repository = Repository({"a/x.tf": call("m"), "b/x.tf": call("m", "m"), "m/x.tf": b"# m"})
    known = Commit(repository.snapshot(tmp_path))
    assert read_all(known, "a") == ("a", "m")
    repository.requests.clear()
    assert read_all(known, "b") == ("b", "m")
    assert len(repository.requests) == 1


def test_the_time_is_looked_at_before_each_file(tmp_path: Path) -> None:
    known = commit(tmp_path, {f"a/{n}.tf": b"# %d" % n for n in range(40)})
    with pytest.raises(TimeIsUp):
        read_all(known, "a", looks=39)
    assert read_all(known, "a", looks=60) == ("a",)


def test_files_that_are_read_one_by_one_say_what_they_say_together(tmp_path: Path) -> None:
    files: dict[str, File] = {
        "a/1.tf": call("m") + b'locals {\n  x = file("../data/x")\n}\n',
        "a/2.tf": call("n").replace(b'"m', b'"other')
        + b'module "r" {\n  source = "git::https://h/r.git"\n}\n',
        "a/3.tf": b'locals {\n  path = "../m"\n  y = file("../data/x")\n}\n',
        "m/x.tf": b"",
        "n/x.tf": b"",
    }
    known = commit(tmp_path, files)
    reading = Reading(known, Clock(1000))
    while True:
        closure = closure_of("a", reading.facts)
        if not reading.read_reached():
            break
    assert closure.folders == ("a", "m", "n")
    assert closure.files == ("data/x",)
    assert closure.remote == (("a", "git::https://h/r.git"),)
    facts = reading.facts("a")
    assert facts is not None
    assert facts.local_sources == ("../m", "../n")
    assert [reference.path for reference in facts.references] == ["../data/x"]


def test_a_module_in_a_folder_with_a_gap_is_no_business_of_the_root_above_it(
    tmp_path: Path,
) -> None:
    files = {"r/main.tf": b"", "r/m/main.tf": b"", "r/m/.GIT/x": b"", "s/main.tf": b""}
    known = commit(tmp_path, {**files, "s/data/.GIT": b""})
    assert set(select(Closure(("r",)), [], known, 1 << 20)) == {"r", "r/main.tf"}
    for folder in ("r/m", "s"):
        with pytest.raises(SourceRefused, match=r"the name '\.GIT' is git's own folder"):
            select(Closure((folder,)), [], known, 1 << 20)
