"""How much of a module's repository is read in search of the sources in it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.module_git import Git, GitFailed
from worker.module_reading import CommitTree, nested_sources

MIB = 1 << 20
REPOSITORY = Path("repository")


class Objects(Git):
    """git, answered from memory: `ls-tree` and `show` of these files."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = {path: (_sha(content), content) for path, content in files.items()}
        self.shown: list[int] = []

    def local(self, repository: Path, *arguments: str) -> bytes:
        if arguments[0] == "ls-tree":
            return b"".join(
                f"100644 blob {sha} {len(content)}\t{path}\0".encode()
                for path, (sha, content) in self.files.items()
            )
        contents = dict(self.files.values())
        wanted = [word for word in arguments[1:] if not word.startswith("--")]
        self.shown.append(sum(len(contents[sha]) for sha in wanted))
        return b"".join(contents[sha] for sha in wanted)


def _sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def call(source: str) -> bytes:
    return f'module "m" {{\n  source = "{source}"\n}}\n'.encode()


def filled(start: bytes, size: int) -> bytes:
    return (start + b"#\n").ljust(size, b"#")


def test_sources_are_found_in_a_module_and_in_those_beside_it() -> None:
    files = {"m/main.tf": call("../n"), "n/main.tf": call("git::https://h/o/r.git"), "x.tf": b""}
    assert nested_sources(Objects(files), REPOSITORY, "c", "m") == [("n", "git::https://h/o/r.git")]


@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB + 1])
def test_a_file_beyond_two_mib_is_not_followed(size: int) -> None:
    git = Objects({"m/main.tf": filled(call("git::https://h/o/r.git"), size)})
    if size == 2 * MIB:
        assert len(nested_sources(git, REPOSITORY, "c", "m")) == 1
        return
    with pytest.raises(GitFailed, match=r"m/main\.tf has 2,097,153 bytes"):
        nested_sources(git, REPOSITORY, "c", "m")
    assert git.shown == []


@pytest.mark.parametrize("copies", [False, True])
def test_a_folder_beyond_sixteen_mib_is_not_followed(copies: bool) -> None:
    """Copies of one file cost as much to read as others."""
    marks = [b"" if copies else b"# %d\n" % n for n in range(9)]
    git = Objects({f"m/{n}.tf": filled(mark, 2 * MIB) for n, mark in enumerate(marks)})
    with pytest.raises(GitFailed, match=r"the Terraform files in m have 18,874,368 bytes"):
        nested_sources(git, REPOSITORY, "c", "m")
    assert git.shown == []


def test_what_nobody_calls_may_be_large() -> None:
    files = {"m/main.tf": call("git::https://h/o/r.git"), "big/x.tf": filled(b"", 3 * MIB)}
    assert len(nested_sources(Objects(files), REPOSITORY, "c", "m")) == 1


def test_no_more_than_one_folder_is_kept() -> None:
    files = {f"m{n}/x.tf": filled(b"# %d\n" % n, MIB) for n in range(12)}
    tree = CommitTree(Objects(files), REPOSITORY, "c")
    for path, content in files.items():
        assert tree.read(path) == content
        assert sum(map(len, tree.kept())) <= MIB


def test_a_file_that_is_not_there_is_absent() -> None:
    tree = CommitTree(Objects({"m/main.tf": b""}), REPOSITORY, "c")
    with pytest.raises(FileNotFoundError):
        tree.read("m/other.tf")
