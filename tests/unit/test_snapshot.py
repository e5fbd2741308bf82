"""A commit as a tree: what is asked of GitHub, what comes out of it, what is refused."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from driftfleet.blobs import blob_hash
from driftfleet.cache import Cache, open_cache
from driftfleet.errors import GitHubUnavailable, SourceRefused
from driftfleet.github.contents import prefers_archive
from driftfleet.settings import CacheSettings
from driftfleet.tree import LocalTree, decides_plan
from producer.discovery import discover
from tests.github_in_memory import (
    File,
    Link,
    Repository,
    Submodule,
    archive_of,
    content_of,
)

SMALL: dict[str, File] = {
    "envs/prod/main.tf": b'module "m" {\n  source = "../../modules/m"\n}\n',
    "envs/prod/prod.tfvars": b"a = 1\n",
    "modules/m/main.tf": b'resource "terraform_data" "x" {}\n',
    "README.md": b"# Read me\n",
}


def many(count: int, folders: int = 10) -> dict[str, bytes]:
    return {f"d{n % folders}/f{n}.tf": b"locals { n = %d }\n" % n for n in range(count)}


def terraform(repository: Repository) -> list[str]:
    return [path for path in repository.files if path.endswith(".tf")]


class TestFetching:
    def test_nothing_is_asked_before_it_is_needed_and_nothing_twice(self, tmp_path: Path) -> None:
        repository = Repository(SMALL)
        snapshot = repository.snapshot(tmp_path)
        assert repository.requests == []
        assert snapshot.read("README.md") == b"# Read me\n"
        assert (len(repository.asked("trees")), len(repository.asked("blobs"))) == (1, 1)
        snapshot.fetch(["README.md", "envs/prod/main.tf"])
        assert snapshot.read("README.md") == b"# Read me\n"
        assert len(repository.asked("blobs")) == 2

    def test_another_snapshot_with_that_cache_asks_for_nothing(self, tmp_path: Path) -> None:
        repository = Repository(SMALL)
        repository.snapshot(tmp_path).fetch(SMALL)
        repository.requests.clear()
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(SMALL)
        assert {path: snapshot.read(path) for path in SMALL} == SMALL
        assert repository.requests == []

    def test_equal_files_are_fetched_once(self, tmp_path: Path) -> None:
        repository = Repository({f"{n}/x.tf": b"same" for n in range(30)})
        repository.snapshot(tmp_path).fetch(repository.files)
        assert len(repository.asked("blobs")) == 1

    def test_few_come_as_blobs(self, tmp_path: Path) -> None:
        repository = Repository(many(150))
        repository.snapshot(tmp_path).fetch(repository.files)
        assert len(repository.asked("blobs")) == 150
        assert repository.asked("tarball") == []

    def test_many_come_as_one_archive(self, tmp_path: Path) -> None:
        repository = Repository(many(151))
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(repository.files)
        assert repository.asked("blobs") == []
        assert len(repository.requests) == 3
        assert {path: snapshot.read(path) for path in repository.files} == repository.files

    def test_what_lies_beside_terraform_comes_along_with_an_archive(self, tmp_path: Path) -> None:
        beside: dict[str, File] = {
            "d1/template.tpl": b"x",
            "d1/large.bin": bytes(300 << 10),
            "docs/x.md": b"elsewhere",
        }
        modules = {path: content + b"#" * 1000 for path, content in many(200).items()}
        repository = Repository(modules | beside)
        repository.snapshot(tmp_path).fetch(modules)
        assert repository.asked("tarball")
        repository.requests.clear()
        repository.snapshot(tmp_path).fetch(beside)
        assert set(repository.asked("blobs")) == {
            blob_hash(content_of(beside[path])) for path in ("d1/large.bin", "docs/x.md")
        }

    def test_checks_that_lack_a_few_each_end_in_one_archive(self, tmp_path: Path) -> None:
        repository = Repository(many(400))
        for check in range(20):
            paths = [f"d{n % 10}/f{n}.tf" for n in range(check * 20, check * 20 + 20)]
            snapshot = repository.snapshot(tmp_path)
            snapshot.fetch(paths)
            assert all(snapshot.read(path) == repository.files[path] for path in paths)
        assert len(repository.asked("tarball")) == 1
        assert len(repository.asked("blobs")) == 140

    def test_what_the_archive_leaves_out_or_changes_is_fetched_as_blobs(
        self, tmp_path: Path
    ) -> None:
        files = many(200) | {"d0/subst.tf": b"# $Format:%H$\n", "d0/eol.tf": b"a\nb\n"}
        repository = Repository(files)
        changed = dict(files) | {"d0/subst.tf": b"# 0123456\n", "d0/eol.tf": b"a\r\nb\r\n"}
        changed["d1/f1.tf"] = b"locals { n = 7 }\n"  # of the same length
        del changed["d2/f2.tf"]
        repository.archived = lambda: archive_of(changed)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(files)
        assert len(repository.asked("blobs")) == 4
        assert {path: snapshot.read(path) for path in files} == files

    def test_a_file_that_only_the_archive_has_shows_that_the_listing_is_cut(
        self, tmp_path: Path
    ) -> None:
        repository = Repository(many(200))
        repository.archived = lambda: archive_of(repository.files | {"lost.tf": b""})
        with pytest.raises(GitHubUnavailable, match=r"lost\.tf is in the archive"):
            repository.snapshot(tmp_path).fetch(repository.files)

    def test_an_archive_that_breaks_is_asked_for_once_more(self, tmp_path: Path) -> None:
        repository = Repository(many(300))
        whole = archive_of(repository.files)
        answers = iter([whole[: len(whole) // 2], whole])
        repository.archived = lambda: next(answers)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(repository.files)
        assert len(repository.asked("tarball")) == 2
        assert {path: snapshot.read(path) for path in repository.files} == repository.files

    def test_an_archive_that_breaks_again_is_an_error_and_what_came_is_kept(
        self, tmp_path: Path
    ) -> None:
        repository = Repository(many(300))
        repository.archived = lambda: archive_of(repository.files)[:2000]
        with pytest.raises(GitHubUnavailable):
            repository.snapshot(tmp_path).fetch(repository.files)
        repository.archived = lambda: archive_of(repository.files)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(repository.files)
        assert {path: snapshot.read(path) for path in repository.files} == repository.files

    def test_a_bomb_is_refused_and_what_is_wanted_comes_as_blobs(self, tmp_path: Path) -> None:
        """An honest commit does it: ``export-subst`` beside a long message."""
        repository = Repository(many(300))
        bomb = archive_of({"d0/f0.tf": bytes(64 << 20)})
        repository.archived = lambda: bomb
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(repository.files)
        assert {path: snapshot.read(path) for path in repository.files} == repository.files
        assert (len(repository.asked("tarball")), len(repository.asked("blobs"))) == (1, 300)

    def test_a_refused_archive_is_not_asked_for_again(self, tmp_path: Path) -> None:
        repository = Repository(many(600))
        repository.archived = lambda: archive_of({"../x": b""})
        snapshot = repository.snapshot(tmp_path)
        paths = list(repository.files)
        snapshot.fetch(paths[:300])
        snapshot.fetch(paths[300:])
        assert (len(repository.asked("tarball")), len(repository.asked("blobs"))) == (1, 600)

    def test_one_that_breaks_and_then_is_refused_costs_no_file(self, tmp_path: Path) -> None:
        repository = Repository(many(300))
        whole = archive_of(repository.files)
        answers = iter([whole[: len(whole) // 2], archive_of({"d0/f0.tf": bytes(64 << 20)})])
        repository.archived = lambda: next(answers)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(repository.files)
        assert {path: snapshot.read(path) for path in repository.files} == repository.files

    def test_more_than_can_be_had_as_blobs_stays_refused_and_says_both(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("driftfleet.github.contents._MOST_INSTEAD", 299)
        repository = Repository(many(300))
        repository.archived = lambda: archive_of({"d0/f0.tf": bytes(64 << 20)})
        snapshot = repository.snapshot(tmp_path)
        for _ in range(2):
            with pytest.raises(SourceRefused, match=r"unpacks to more.* 300 .*more than 299"):
                snapshot.fetch(repository.files)
        assert len(repository.asked("tarball")) == 1
        assert repository.asked("blobs") == []

    def test_names_that_only_windows_minds_hurt_nobody_else(self, tmp_path: Path) -> None:
        files: dict[str, File] = {**many(200), "bad/..\\x": b"hello", "bad/main.tf": b"# here"}
        repository = Repository(files)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(many(200))
        assert len(repository.requests) == 3
        assert repository.asked("blobs") == []
        assert snapshot.read("bad/main.tf") == b"# here"
        with pytest.raises(SourceRefused, match=r"^bad: .*\.\.\\x"):
            list(snapshot.names("bad"))

    def test_what_is_nested_too_deeply_is_in_the_archive_and_no_hindrance(
        self, tmp_path: Path
    ) -> None:
        for levels in (17, 60):
            deep = "/".join(["n" * 250] * levels)
            repository = Repository({**many(200), **{f"{deep}/{n}": b"x" for n in range(300)}})
            snapshot = repository.snapshot(tmp_path / f"{levels}")
            snapshot.fetch(many(200))
            assert len(repository.requests) == 3
            with pytest.raises(SourceRefused, match=r"4,096 characters"):
                snapshot.read(f"{deep}/1")

    def test_large_files_can_be_passed_over_whatever_leads_to_them(self, tmp_path: Path) -> None:
        files: dict[str, File] = {"x.tf": Link("big"), "y.tf": b"1", "big": b"x" * 1001}
        repository = Repository(files)
        snapshot = repository.snapshot(tmp_path, member_bytes=1000)
        snapshot.fetch(["x.tf", "y.tf", "big"], refuse_large=False)
        asked = len(repository.requests)
        assert snapshot.read("y.tf") == b"1"
        assert len(repository.requests) == asked
        with pytest.raises(SourceRefused, match=r"big: has 1,001 bytes"):
            snapshot.read("x.tf")

    def test_wrong_bytes_are_an_error_and_are_not_kept(self, tmp_path: Path) -> None:
        repository = Repository(SMALL)
        sha = blob_hash(b"# Read me\n")
        repository.blobs[sha] = b"# Hacked!\n"
        snapshot = repository.snapshot(tmp_path)
        for attempt in (lambda: snapshot.fetch(["README.md"]), lambda: snapshot.read("README.md")):
            with pytest.raises(GitHubUnavailable, match=r"o/r: README\.md: .*isn't the blob"):
                attempt()
        repository.blobs[sha] = b"# Read me\n"
        assert snapshot.read("README.md") == b"# Read me\n"

    def test_a_file_over_the_limit_is_refused_with_its_size_before_anything_is_fetched(
        self, tmp_path: Path
    ) -> None:
        repository = Repository({"a/x.tf": b"1", "a/big.bin": b"x" * 1001})
        snapshot = repository.snapshot(tmp_path, member_bytes=1000)
        with pytest.raises(SourceRefused, match=r"a/big\.bin: has 1,001 bytes"):
            snapshot.fetch(["a/x.tf", "a/big.bin"])
        with pytest.raises(SourceRefused, match=r"a/big\.bin: has 1,001 bytes"):
            snapshot.read("a/big.bin")
        assert repository.asked("blobs") == []
        assert snapshot.read("a/x.tf") == b"1"

    def test_paths_that_are_no_files_are_passed_over(self, tmp_path: Path) -> None:
        files = SMALL | {"sub": Submodule(), "out": Link("../x"), "void": Link("none")}
        repository = Repository(files)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(["none", "envs", ".", "sub", "sub/x", "out", "void"])
        assert len(repository.asked("blobs")) == 2


class TestThresholds:
    @pytest.mark.parametrize(
        ("count", "size", "total", "archive"),
        [
            (1, 10, 10, False),
            (150, 10**6, 10**6, False),
            (151, 10**6, 10**6, True),
            (999, 99, 1000, False),
            (999, 100, 1000, True),
            (1000, 1, 10**6, True),
            (5000, 10, 5 << 30, False),  # larger than an archive may be
        ],
    )
    def test_an_archive_is_taken_where_it_is_faster(
        self, count: int, size: int, total: int, archive: bool
    ) -> None:
        assert prefers_archive(count, size, total, CacheSettings()) is archive

    @pytest.mark.parametrize(
        ("earlier", "total", "archive"),
        [
            (0, 10 << 20, False),
            (149, 10 << 20, False),
            (150, 10 << 20, True),
            (150, 320 << 20, False),
            (1500, 320 << 20, True),
            (9000, 5 << 30, False),
        ],
    )
    def test_checks_that_follow_one_another_spend_no_more_on_blobs_than_on_the_archive(
        self, earlier: int, total: int, archive: bool
    ) -> None:
        count, settings = earlier + 20, CacheSettings(small_share_at_most=10**6)
        assert prefers_archive(count, count, total, settings, earlier=earlier) is archive


class TestSmallCache:
    @pytest.mark.parametrize("count", [40, 300])
    @pytest.mark.parametrize("limit_bytes", [1 << 15, 1 << 20])
    def test_a_store_smaller_than_the_repository_costs_no_endless_fetching(
        self, tmp_path: Path, limit_bytes: int, count: int
    ) -> None:
        files: dict[str, File] = {
            path: content_of(file) + b"# %s\n" % path.encode() * 300
            for path, file in many(count).items()
        }
        repository = Repository(files)
        open_cache(tmp_path, limit_bytes)
        snapshot = repository.snapshot(Cache(tmp_path, limit_bytes))
        snapshot.fetch(files)
        fetched = len(repository.requests)
        for _ in range(2):
            assert {path: snapshot.read(path) for path in files} == files
        assert len(repository.requests) == fetched

    def test_a_disk_that_takes_nothing_costs_no_second_request(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        repository = Repository(many(300))
        snapshot = repository.snapshot(Cache(tmp_path / "file", 1 << 30))
        snapshot.fetch(repository.files)
        assert {path: snapshot.read(path) for path in repository.files} == repository.files
        assert len(repository.requests) == 3

    def test_memory_is_bounded_and_what_does_not_fit_is_fetched_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("driftfleet.github.contents._MEMORY_BYTES", 100)
        (tmp_path / "file").write_text("in the way")
        files: dict[str, File] = {f"{n}.tf": b"%d" % n + b"x" * 39 for n in range(6)}
        repository = Repository(files)
        snapshot = repository.snapshot(Cache(tmp_path / "file", 1 << 30))
        snapshot.fetch(files)
        for _ in range(2):
            assert {path: snapshot.read(path) for path in files} == files
        assert len(repository.asked("blobs")) == 6 + 2 * 4

    def test_a_damaged_blob_is_fetched_again(self, tmp_path: Path) -> None:
        repository = Repository(SMALL)
        repository.snapshot(tmp_path).fetch(["README.md"])
        sha = blob_hash(b"# Read me\n")
        (tmp_path / "blobs" / sha[:2] / sha[2:]).write_bytes(b"# Read ME\n")
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(["README.md"])
        assert snapshot.read("README.md") == b"# Read me\n"
        assert snapshot.read("README.md") == b"# Read me\n"
        assert len(repository.asked("blobs")) == 2


class TestReading:
    def test_links_are_followed(self, tmp_path: Path) -> None:
        files = SMALL | {
            "l.md": Link("README.md"),
            "envs/dev": Link("prod"),
            "envs/dev2": Link("dev"),
            "envs/prod/up": Link("../../modules"),
        }
        snapshot = Repository(files).snapshot(tmp_path)
        assert snapshot.read("l.md") == b"# Read me\n"
        assert snapshot.read("envs/dev2/main.tf") == SMALL["envs/prod/main.tf"]
        assert snapshot.read("envs/dev/up/m/main.tf") == SMALL["modules/m/main.tf"]
        assert snapshot.resolve("envs/dev2/up/m") == "modules/m"
        assert set(snapshot.names("envs/dev2")) == {"main.tf", "prod.tfvars", "up"}
        assert list(snapshot.names("none")) == []

    def test_links_are_fetched_together_with_what_they_lead_to(self, tmp_path: Path) -> None:
        files: dict[str, File] = {f"t{n}.tf": b"%d" % n for n in range(5)}
        files |= {f"l{n}.tf": Link(f"t{n}.tf") for n in range(5)}
        repository = Repository(files)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(f"l{n}.tf" for n in range(5))
        asked = len(repository.requests)
        assert [snapshot.read(f"l{n}.tf") for n in range(5)] == [b"%d" % n for n in range(5)]
        assert len(repository.requests) == asked == 11

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("../x", "out of the repository"),
            ("/etc/passwd", "absolute"),
            ("l.tf", "circles"),
            ("y" * 5000, "longer than a path"),
        ],
    )
    def test_a_link_that_is_refused_is_named_each_time(
        self, tmp_path: Path, target: str, words: str
    ) -> None:
        snapshot = Repository({"l.tf": Link(target), "x.tf": b""}).snapshot(tmp_path)
        for attempt in (snapshot.read, snapshot.identify, snapshot.resolve, snapshot.resolve):
            with pytest.raises(SourceRefused, match=f"^l.tf: the symbolic link .*{words}"):
                attempt("l.tf")

    def test_a_link_larger_than_a_file_may_be_hurts_itself_alone(self, tmp_path: Path) -> None:
        files: dict[str, File] = {"l.tf": Link("y" * 200), "m.tf": Link("x.tf"), "x.tf": b"1"}
        snapshot = Repository(files).snapshot(tmp_path, member_bytes=100)
        snapshot.fetch(["l.tf", "m.tf"])
        assert snapshot.read("m.tf") == b"1"
        with pytest.raises(SourceRefused, match=r"^l\.tf: .*cache\.member_bytes"):
            snapshot.read("l.tf")

    def test_links_are_refused_for_what_others_cost_until_the_next_root_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("driftfleet.github.links._MOST_STEPS_IN_ALL", 150)
        files: dict[str, File] = {f"e{n}.tf": Link("./" * 60 + f"{n}") for n in range(5)}
        snapshot = Repository({**files, "l.tf": Link("x.tf"), "x.tf": b"1"}).snapshot(tmp_path)
        snapshot.fetch(files)
        with pytest.raises(SourceRefused, match=r"^l\.tf: the symbolic link"):
            snapshot.read("l.tf")
        assert snapshot.read("x.tf") == b"1"
        snapshot.renew()
        assert snapshot.read("l.tf") == b"1"

    def test_what_is_not_there_or_no_file_says_so(self, tmp_path: Path) -> None:
        files = SMALL | {"void": Link("none"), "sub": Submodule()}
        snapshot = Repository(files).snapshot(tmp_path)
        for path in ("none", "envs/none", "README.md/x", "void", "sub/main.tf"):
            with pytest.raises(FileNotFoundError):
                snapshot.read(path)
        with pytest.raises(IsADirectoryError):
            snapshot.read("envs")
        with pytest.raises(SourceRefused, match="sub: is a submodule"):
            snapshot.read("sub")


class TestPaths:
    LINKED = SMALL | {
        "envs/prod/shared.tf": Link("../../modules/m/main.tf"),
        "envs/prod/through.tf": Link("../linked/main.tf"),
        "envs/prod/linked.auto.tfvars": Link("prod.tfvars"),
        "envs/linked": Link("../modules/m"),
        "envs/folder.tf": Link("../modules"),
        "envs/prod/void.tf": Link("none.tf"),
        "envs/prod/.terraform/modules/x.tf": b"ignored",
        ".terraform-version": Link("versions/terraform"),
        "versions/terraform": b"1.11.0\n",
    }

    def test_they_are_those_of_a_checkout(self, tmp_path: Path) -> None:
        write(tmp_path / "top", self.LINKED)
        snapshot = Repository(self.LINKED).snapshot(tmp_path / "cache")
        local = LocalTree(tmp_path / "top")
        assert matter(snapshot.paths()) == matter(local.paths())
        for path in matter(local.paths()) - {"envs/prod/void.tf"}:
            assert snapshot.read(path) == local.read(path)

    def test_discovery_gives_the_same(self, tmp_path: Path) -> None:
        write(tmp_path / "top", self.LINKED)
        snapshot = Repository(self.LINKED).snapshot(tmp_path / "cache")
        assert discover(snapshot).folders == discover(LocalTree(tmp_path / "top")).folders

    def test_a_link_that_is_refused_counts_so_that_somebody_sees_it(self, tmp_path: Path) -> None:
        snapshot = Repository(SMALL | {"out.tf": Link("../x")}).snapshot(tmp_path)
        assert "out.tf" in set(snapshot.paths())

    def test_submodules_do_not_count(self, tmp_path: Path) -> None:
        files = SMALL | {"sub": Submodule(), "sub.tf": Submodule(), "l.tf": Link("sub")}
        assert set(Repository(files).snapshot(tmp_path).paths()) == set(SMALL)

    def test_only_links_whose_name_decides_a_plan_are_read(self, tmp_path: Path) -> None:
        links: dict[str, File] = {f"docs/l{n}.md": Link(f"../{n}") for n in range(20)}
        repository = Repository(SMALL | links)
        assert set(repository.snapshot(tmp_path).paths()) == set(SMALL) | set(links)
        assert repository.asked("blobs") == []

    def test_a_cold_repository_with_links_takes_three_requests_all_the_same(
        self, tmp_path: Path
    ) -> None:
        links: dict[str, File] = {f"d{n}/link.tf": Link("../d0/f0.tf") for n in range(9)}
        repository = Repository(many(300) | links)
        snapshot = repository.snapshot(tmp_path)
        snapshot.fetch(list(snapshot.paths()))
        discover(snapshot)
        assert len(repository.requests) == 3


class TestIdentity:
    @pytest.mark.parametrize("path", ["a/x.tf", "a/link.tf", "a/through.tf"])
    def test_it_changes_with_the_content_and_with_nothing_else(
        self, tmp_path: Path, path: str
    ) -> None:
        def identity(content: bytes, other: bytes) -> bytes:
            links: dict[str, File] = {"a/link.tf": Link("x.tf"), "a/through.tf": Link("../l/x.tf")}
            repository = Repository(links | {"a/x.tf": content, "y.tf": other, "l": Link("a")})
            return repository.snapshot(tmp_path / str(hash((content, other)))).identify(path)

        assert identity(b"1", b"2") == identity(b"1", b"3")
        assert identity(b"1", b"2") != identity(b"4", b"2")

    def test_it_is_not_fetched_for_it(self, tmp_path: Path) -> None:
        repository = Repository(SMALL)
        snapshot = repository.snapshot(tmp_path)
        assert len({snapshot.identify(path) for path in SMALL}) == len(SMALL)
        assert repository.asked("blobs") == []

    def test_a_digest_tells_commits_apart(self, tmp_path: Path) -> None:
        def digest(files: dict[str, File], name: str) -> str:
            return discover(Repository(files).snapshot(tmp_path / name)).digest

        first = digest(SMALL, "1")
        assert digest(SMALL | {"README.md": b"changed"}, "2") == first
        assert digest(SMALL | {"envs/prod/prod.tfvars": b"a = 2\n"}, "3") != first


def write(top: Path, files: dict[str, File]) -> None:
    for path, file in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file, Link):
            (top / path).symlink_to(file.target)
        elif isinstance(file, bytes):
            (top / path).write_bytes(file)


def matter(paths: Iterable[str]) -> set[str]:
    return {path for path in paths if decides_plan(path.rpartition("/")[2])}
