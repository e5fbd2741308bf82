"""Listings: what GitHub says of a commit's tree is verified, bounded and kept."""

import itertools
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.errors import GitHubNotFound, GitHubUnavailable, SourceRefused
from driftfleet.github.git_trees import Row, matches, read_answer, tree_hash
from driftfleet.github.listing import Entry, Listing, decode
from driftfleet.github.paths import check_path, shown
from driftfleet.github.tree_walk import read_listing
from tests.github_in_memory import COMMIT, REPO, File, Link, Payload, Repository, Submodule

SHA = "1" * 40
FILES: dict[str, File] = {
    "main.tf": b"locals {}\n",
    "a/x.tf": b"",
    "a/b/c/deep.tf": b"deep",
    "a.b": b"sorted between a and a/",
    "z/link.tf": Link("../main.tf"),
    "vendor": Submodule(),
}


def listed(repository: Repository, tree_sha: str | None = None) -> Listing:
    with repository.client() as github:
        return read_listing(github, REPO, COMMIT, tree_sha)


class TestReading:
    @pytest.mark.parametrize("tells_commit", [True, False])
    def test_one_request_lists_everything(self, tells_commit: bool) -> None:
        repository = Repository(FILES)
        repository.tells_commit = tells_commit
        listing = listed(repository)
        assert set(listing.entries) == set(FILES)
        assert listing.tree_sha == repository.tree_sha
        assert listing.folders == {".", "a", "a/b", "a/b/c", "z"}
        assert {path: entry.kind for path, entry in listing.entries.items()} == {
            path: {Link: "link", Submodule: "submodule"}.get(type(file), "file")
            for path, file in FILES.items()
        }
        assert len(repository.requests) == 1

    def test_names_that_are_no_ascii_or_hold_line_breaks_are_names(self) -> None:
        files: dict[str, File] = {"grün/ñ.tf": b"1", "a\nb/\t.tf": b"2", "back\\slash": b"3"}
        assert set(listed(Repository(files)).entries) == set(files)

    def test_a_repository_without_files_is_an_empty_listing(self) -> None:
        repository = Repository({})
        listing = listed(repository)
        assert listing.tree_sha == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        assert (dict(listing.entries), listing.folders) == ({}, {"."})

    def test_what_is_not_there_is_not_found(self) -> None:
        with Repository(FILES).client() as github, pytest.raises(GitHubNotFound):
            read_listing(github, REPO, "e" * 40)


class TestVerification:
    @pytest.mark.parametrize("lost", ["a/x.tf", "a/b/c/deep.tf", "z/link.tf"])
    def test_a_listing_that_silently_lacks_a_file_names_repository_and_folder(
        self, lost: str
    ) -> None:
        repository = Repository(FILES)
        repository.edit = lambda sha, payload: without(payload, lost)
        with pytest.raises(GitHubUnavailable) as caught:
            listed(repository)
        assert REPO in caught.value.message
        assert f"the listing of {lost.rpartition('/')[0]} " in caught.value.message

    @pytest.mark.parametrize("lost", ["main.tf", "vendor"])
    def test_at_the_top_it_shows_where_the_trees_hash_is_known(self, lost: str) -> None:
        repository = Repository(FILES)
        repository.edit = lambda sha, payload: without(payload, lost)
        with pytest.raises(GitHubUnavailable, match="top folder"):
            listed(repository, repository.tree_sha)
        repository.tells_commit = False
        with pytest.raises(GitHubUnavailable, match="top folder"):
            listed(repository)

    def test_a_folder_whose_entry_is_lost_shows(self) -> None:
        repository = Repository(FILES)
        repository.edit = lambda sha, payload: without(payload, "a/b")
        with pytest.raises(GitHubUnavailable, match="a/b"):
            listed(repository)

    @pytest.mark.parametrize("field", ["sha", "mode", "path"])
    def test_a_changed_entry_shows(self, field: str) -> None:
        repository = Repository(FILES)
        changed = {"sha": SHA, "mode": "100755", "path": "a/y.tf"}

        def edit(sha: str, payload: Payload) -> Payload:
            items = [
                item | {field: changed[field]} if item["path"] == "a/x.tf" else item
                for item in payload["tree"]
            ]
            return payload | {"tree": items}

        repository.edit = edit
        with pytest.raises(GitHubUnavailable, match="listing of a "):
            listed(repository)

    def test_the_listing_of_another_commit_shows(self) -> None:
        repository = Repository(FILES)
        repository.edit = lambda sha, payload: payload | {"sha": "f" * 40}
        with pytest.raises(GitHubUnavailable, match="f" * 40):
            listed(repository)

    def test_names_that_json_cannot_hold_are_believed_and_all_others_are_not(self) -> None:
        # What GitHub makes of the byte 0xff, which the hash was made with.
        repository = Repository({**FILES, "odd/a\ufffd.txt": b"1", "odd/below/x.tf": b"2"})
        genuine = tree_hash(
            [Row("100644", "a", SHA, 1), *(r for r in repository._trees[sha_of(repository, "odd")])]
        )

        def edit(sha: str, payload: Payload) -> Payload:
            items = [
                item | {"sha": genuine} if item["path"] == "odd" else item
                for item in payload["tree"]
            ]
            return payload | {"tree": items}

        repository.edit = edit
        repository._trees[genuine] = repository._trees[sha_of(repository, "odd")]
        assert set(listed(repository).entries) == set(repository.files)
        repository.edit = lambda sha, payload: without(edit(sha, payload), "a/x.tf")
        with pytest.raises(GitHubUnavailable, match="listing of a "):
            listed(repository)

    @pytest.mark.parametrize(
        "payload",
        [
            None,
            [],
            {},
            {"sha": SHA, "truncated": False},
            {"sha": "x", "tree": [], "truncated": False},
            {"sha": SHA, "tree": {}, "truncated": False},
            {"sha": SHA, "tree": [1], "truncated": False},
            {"sha": SHA, "tree": [{"path": "a", "mode": "100644", "sha": "../x"}]},
            {"sha": SHA, "tree": [{"path": 1, "mode": "100644", "sha": SHA}]},
        ],
    )
    def test_an_answer_of_another_form_is_no_listing(self, payload: Any) -> None:
        repository = Repository(FILES)
        repository.edit = lambda sha, genuine: payload
        with pytest.raises(GitHubUnavailable, match=r"o/r: the listing of the top folder"):
            listed(repository)


def without(payload: Payload, *paths: str) -> Payload:
    return payload | {"tree": [item for item in payload["tree"] if item["path"] not in paths]}


def sha_of(repository: Repository, folder: str) -> str:
    (row,) = [r for r in repository._trees[repository.tree_sha] if r.name == folder]
    return row.sha


class TestTruncated:
    def test_what_one_answer_holds_in_full_is_not_asked_for_again(self) -> None:
        files: dict[str, File] = {f"{top}/{n}.tf": b"%d" % n for top in "abcd" for n in range(20)}
        repository = Repository({**files, **{f"{top}/own": top.encode() for top in "abcd"}})
        repository.tree_limit = 45
        assert set(listed(repository).entries) == set(repository.files)
        # Whole, top level, and the two folders that the first answer didn't hold.
        assert len(repository.requests) == 4

    def test_a_large_folder_is_walked_and_no_further_than_needed(self) -> None:
        files: dict[str, File] = {
            f"large/{top}/{n}.tf": f"{top}{n}".encode() for top in "abcdef" for n in range(10)
        }
        repository = Repository({**files, "x.tf": b""})
        repository.tree_limit = 25
        assert set(listed(repository).entries) == set(repository.files)
        assert len(repository.requests) <= 4 + 6

    def test_equal_folders_are_asked_for_once(self) -> None:
        files: dict[str, File] = {f"copy{c}/{n}": b"%d" % n for c in range(30) for n in range(30)}
        repository = Repository(files)
        repository.tree_limit = 40
        listing = listed(repository)
        assert set(listing.entries) == set(files)
        assert len(repository.requests) == 2

    def test_one_folder_with_more_than_github_lists_is_refused(self) -> None:
        repository = Repository({f"many/{n}": b"" for n in range(30)})
        repository.tree_limit = 20
        with pytest.raises(SourceRefused, match="many"):
            listed(repository)

    def test_recursion_that_is_refused_is_walked(self) -> None:
        """As was reported of trees with submodules."""
        repository = Repository(FILES)
        genuine = repository._answer

        def refuse(request: Any) -> Any:
            if "recursive" in request.url.params and request.url.path.endswith(COMMIT):
                repository.requests.append("422")
                return type(genuine(request))(422, json={"message": "no"})
            return genuine(request)

        repository._answer = refuse  # type: ignore[method-assign]
        assert set(listed(repository).entries) == set(FILES)

    def test_a_tree_that_multiplies_itself_is_refused(self) -> None:
        repository = Repository({"x": b""})
        sha = repository.tree_sha
        for _ in range(12):
            rows = [Row("40000", f"{n}", sha, 0) for n in range(10)]
            sha = tree_hash(rows)
            repository._trees[sha] = rows
        repository.tree_sha = sha
        repository.tree_limit = 1000
        with pytest.raises(SourceRefused, match="more than 500000"):
            listed(repository)
        assert len(repository.requests) <= 20

    def test_the_walk_of_a_large_repository_takes_few_requests(self) -> None:
        files: dict[str, File] = {
            f"t{a}/u{b}/f{c}": b"%d" % (a * b)
            for a in range(20)
            for b in range(10)
            for c in range(100)
        }
        repository = Repository(files)
        repository.tree_limit = 10_000
        assert len(listed(repository).entries) == 20_000
        assert len(repository.requests) <= 40


class TestNames:
    @pytest.mark.parametrize(
        "path",
        [
            "a//b", "/a", "a/", "", ".", "..", "a/../b", "a/.", "../x", "a/..", ".git",
            ".GIT/config", "a/.git", "a/.Git/x", "git~1", "GIT~1/x", ".git.", ".git ", "a\0b",
        ],
    )  # fmt: skip
    def test_what_is_no_path_is_refused_or_left_out(self, path: str) -> None:
        with pytest.raises(SourceRefused):
            check_path(path)
        repository = Repository({**FILES, path: b"odd"})
        try:
            listing = listed(repository)
        except GitHubUnavailable:
            assert path == "a\0b"
            return
        assert set(listing.entries) == set(FILES)
        assert len(listing.gaps) == 1

    @pytest.mark.parametrize(
        ("path", "folder"),
        [
            ("odd/.GIT", "odd"), ("odd/.git/config", "odd"), ("odd/deep/..", "odd/deep"),
            ("odd/..\\x", "odd"), ("odd//x", "odd"), (".GIT/x", "."), ("a/b/c/git~1", "a/b/c"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("limit", [100_000, 8])
    def test_an_odd_name_is_a_gap_of_its_folder_alone(
        self, path: str, folder: str, limit: int
    ) -> None:
        repository = Repository({**FILES, path: b"odd", "odd/fine.tf": b""})
        repository.tree_limit = limit
        listing = listed(repository)
        assert set(listing.entries) == {*FILES, "odd/fine.tf"}
        assert list(listing.gaps) == [folder]
        assert "the name" in listing.gaps[folder]
        assert folder in listing.folders

    @pytest.mark.parametrize("path", [".github/x", ".gitignore", "git", "a/..b", "...", "a b/c"])
    def test_what_only_looks_like_it_is_taken(self, path: str) -> None:
        check_path(path)

    @pytest.mark.parametrize(
        "kinds", [("100644", "100644"), ("100644", "040000"), ("040000", "040000")]
    )
    def test_two_entries_of_one_name_are_a_gap(self, kinds: tuple[str, str]) -> None:
        repository = Repository({"f/x.tf": b"1", "g/main.tf": b""})
        below, rest = repository._trees[sha_of(repository, "f")], repository._trees
        twins = [Row(k.lstrip("0"), "a", sha_of(repository, "g"), 1) for k in kinds]
        broken = tree_hash([*below, *twins])
        rest[broken] = [*below, *twins]
        top = [r._replace(sha=broken) if r.name == "f" else r for r in rest[repository.tree_sha]]
        repository.tree_sha = tree_hash(top)
        rest[repository.tree_sha] = top
        listing = listed(repository)
        assert set(listing.entries) == {"f/x.tf", "g/main.tf"}
        assert list(listing.gaps) == ["f"]
        assert "twice" in listing.gaps["f"]

    @pytest.mark.parametrize("mode", ["020000", "100644;", "100999", "777", "040755"])
    def test_other_modes_are_refused(self, mode: str) -> None:
        items = [{"path": "dev", "mode": mode, "sha": SHA, "size": 1}]
        with pytest.raises(SourceRefused, match="dev"):
            read_answer({"sha": SHA, "tree": items, "truncated": False}, "")

    def test_lone_surrogates_are_refused(self) -> None:
        items = [{"path": "a\ud800", "mode": "100644", "sha": SHA, "size": 1}]
        with pytest.raises(SourceRefused):
            read_answer({"sha": SHA, "tree": items, "truncated": False}, "")

    @given(st.text())
    def test_a_message_is_one_printable_line(self, text: str) -> None:
        assert shown(text).isprintable()
        assert len(shown(text)) <= 300

    @given(st.text(alphabet="./\\ gitGIT~1\0\nä", max_size=12))
    def test_what_passes_stays_below_its_folder(self, path: str) -> None:
        try:
            check_path(path)
        except SourceRefused:
            return
        parts = path.split("/")
        assert not {"", ".", ".."} & set(parts)
        assert not {".git"} & {part.lower() for part in parts}


class TestDepth:
    DEEP = "/".join(["n" * 250] * 17)

    @pytest.mark.parametrize("limit", [100_000, 8])
    def test_what_is_nested_too_deeply_is_a_gap_and_hides_nothing_else(self, limit: int) -> None:
        repository = Repository({**FILES, f"{self.DEEP}/main.tf": b"", "n/x.tf": b""})
        repository.tree_limit = limit
        listing = listed(repository)
        assert set(listing.entries) == {*FILES, "n/x.tf"}
        (gap,) = listing.gaps
        assert self.DEEP.startswith(gap)
        assert 3800 < len(gap) <= 4096
        assert "4,096 characters" in listing.gaps[gap]

    def test_a_tree_that_is_too_deep_in_one_place_is_listed_in_another(self) -> None:
        files = {"s/main.tf": b"1", "s/t/x.tf": b"2"}
        above = "/".join(["n" * 250] * 16)
        repository = Repository(
            {**files, **{f"{above}/{'m' * 77}/{path}": content for path, content in files.items()}}
        )
        for limit in (100_000, 3):
            repository.tree_limit = limit
            listing = listed(repository)
            assert {p for p in listing.entries if len(p) < 100} == set(files)
            assert len(listing.gaps) == 1

    def test_paths_that_are_long_together_are_refused_with_repository_and_bound(self) -> None:
        repository = Repository({f"{n:03}.txt": b"x" for n in range(200)})
        rows = [Row("40000", f"d{n:03}", repository.tree_sha, 0) for n in range(200)]
        for name in ("n" * 250,) * 12:
            sha = tree_hash(rows)
            repository._trees[sha] = rows
            rows = [Row("40000", name, sha, 0)]
        repository.tree_sha = tree_hash(rows)
        repository._trees[repository.tree_sha] = rows
        repository.tree_limit = 500
        with pytest.raises(SourceRefused, match=r"^o/r: .*67,108,864 characters"):
            listed(repository)


class TestHash:
    def test_a_folder_sorts_as_if_it_ended_with_a_slash(self) -> None:
        """As ``git mktree`` gave it for: file a.b, folder a, file a0."""
        rows = [
            Row("100644", "a.b", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", 0),
            Row("40000", "a", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", 0),
            Row("100644", "a0", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", 0),
        ]
        assert tree_hash(rows) == "6c5eb816ec8cace4aaf30d9245ab712256f64058"
        assert matches("6c5eb816ec8cace4aaf30d9245ab712256f64058", reversed(rows))

    def test_modes_with_a_zero_before_are_recognised(self) -> None:
        rows = [Row("40000", "a", SHA, 0)]
        assert matches(tree_hash(rows, tree_mode="040000"), rows)

    def test_sha_256_names_are_64_digits(self) -> None:
        empty = "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
        assert tree_hash([], 64) == empty


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=6
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
entries = st.builds(
    Entry,
    path=paths,
    kind=st.sampled_from(["file", "executable", "link", "submodule"]),
    sha=st.text("0123456789abcdef", min_size=40, max_size=40),
    size=st.integers(0, 1 << 40),
)


class TestEncoding:
    @given(st.lists(entries, unique_by=lambda entry: entry.path), st.lists(paths, unique=True))
    def test_what_is_decoded_is_what_was_encoded(
        self, found: list[Entry], empty: list[str]
    ) -> None:
        gaps = dict(zip(empty[::2], itertools.repeat("is not whole: 'x' is odd")))
        listing = Listing(SHA, found, empty, gaps)
        again = decode(listing.encode())
        assert again.tree_sha == SHA
        assert again.entries == listing.entries
        assert again.folders == listing.folders
        assert again.gaps == listing.gaps == gaps

    def test_encoding_takes_little_more_memory_than_its_result(self) -> None:
        listing = Listing(SHA, [Entry(f"{'n' * 1000}/{n}", "file", SHA, n) for n in range(20_000)])
        tracemalloc.start()
        try:
            encoded = listing.encode()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2 * len(encoded) + (2 << 20)
        assert decode(encoded).entries == listing.entries

    @given(st.data())
    def test_a_changed_byte_is_noticed(self, data: st.DataObject) -> None:
        encoded = Listing(SHA, [Entry("a/b.tf", "file", SHA, 3)]).encode()
        at = data.draw(st.integers(0, len(encoded) - 1))
        changed = bytearray(encoded)
        changed[at] ^= data.draw(st.integers(1, 255))
        with pytest.raises(ValueError, match="no listing"):
            decode(bytes(changed))

    @given(st.binary(max_size=200))
    def test_what_is_no_listing_is_a_value_error(self, content: bytes) -> None:
        with pytest.raises(ValueError, match="no listing"):
            decode(content)

    @pytest.mark.parametrize("cut", [0, 1, 30, 100, -1])
    def test_a_cut_file_is_noticed(self, cut: int) -> None:
        encoded = Listing(SHA, [Entry(f"a{n}", "file", SHA, 3) for n in range(50)]).encode()
        with pytest.raises(ValueError, match="no listing"):
            decode(encoded[:cut])


class TestListing:
    def test_children_are_names_with_their_entries_and_none_for_a_folder(self) -> None:
        listing = listed(Repository(FILES))
        assert {n: e and e.path for n, e in listing.children("a").items()} == {
            "x.tf": "a/x.tf",
            "b": None,
        }
        assert set(listing.children(".")) == {"main.tf", "a", "a.b", "z", "vendor"}
        assert listing.children("none") == {}

    def test_beneath_a_folder_is_all_that_lies_in_it(self) -> None:
        listing = listed(Repository(FILES))
        assert {entry.path for entry in listing.beneath("a")} == {"a/x.tf", "a/b/c/deep.tf"}
        assert {entry.path for entry in listing.beneath(".")} == set(FILES)
        assert list(listing.beneath("none")) == []

    @pytest.mark.parametrize(
        ("path", "may"),
        [
            ("odd/x", True), ("odd/x/y/z", True), ("a/b/none", True), ("a/b/none/x", True),
            ("none", False), ("a/none", False), ("none/x/y", False), ("odd/fine/x", False),
            ("odd/fine/a/b/c", False),
        ],
    )  # fmt: skip
    def test_only_in_a_gap_there_may_be_more(self, path: str, may: bool) -> None:
        found = [Entry("a/b/x", "file", SHA, 1), Entry("odd/fine/y", "file", SHA, 1)]
        assert Listing(SHA, found, gaps={"a/b": "", "odd": ""}).may_hold(path) is may
        assert not Listing(SHA, found).may_hold(path)
        assert Listing(SHA, found, gaps={".": ""}).may_hold(path) is path.startswith("none")

    def test_sizes_add_up(self) -> None:
        assert listed(Repository({"a": b"123", "b/c": b"4567"})).total_bytes == 7
