"""Which files of a repository a root's workspace holds."""

import posixpath
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from driftfleet.closure import Closure
from driftfleet.errors import SourceRefused
from driftfleet.jobs import Variant
from worker.selection import ENTRY_BYTES, Found, QuotaExceeded, named_files, select

PLENTY = 1 << 30


class Memory:
    """A repository in memory: a path is a file of so many bytes, or a link to a path."""

    def __init__(self, entries: Mapping[str, int | str]) -> None:
        self._entries = dict(entries)
        self._folders = {"."}
        for path in entries:
            while path := posixpath.dirname(path):
                self._folders.add(path)

    def find(self, path: str) -> Found | None:
        real = "."
        for part in path.split("/"):
            if part == ".":
                continue
            real = part if real == "." else f"{real}/{part}"
            target = self._entries.get(real)
            if isinstance(target, str):
                if target == "OUT":
                    raise SourceRefused(f"{path}: leads out")
                found = self.find(target)
                if found is None:
                    return None
                real = found.path
        if real in self._folders:
            return Found(real, "folder")
        size = self._entries.get(real)
        return Found(real, "file", size) if isinstance(size, int) else None

    def names(self, folder: str) -> list[str]:
        prefix = "" if folder == "." else f"{folder}/"
        below = [p for p in (*self._entries, *self._folders) if p.startswith(prefix) and p != "."]
        return sorted({p.removeprefix(prefix).split("/")[0] for p in below if p != folder})


def files(
    entries: Mapping[str, int | str],
    folders: tuple[str, ...],
    named: tuple[str, ...] = (),
) -> dict[str, str]:
    """The files of a selection, each with where it really is."""
    chosen = select(Closure(tuple(folders)), named, Memory(entries), PLENTY)
    return {path: found.path for path, found in chosen.items() if found.kind != "folder"}


class TestFolders:
    def test_a_module_has_its_files_and_the_folders_that_are_no_modules(self) -> None:
        entries = {
            "a/main.tf": 1, "a/.terraform.lock.hcl": 1, "a/templates/deep/x.tpl": 1,
            "a/other/main.tf": 1, "a/other/x.tpl": 1, "a/json/main.tf.json": 1, "b/main.tf": 1,
        }  # fmt: skip
        assert set(files(entries, ("a",))) == {
            "a/main.tf", "a/.terraform.lock.hcl", "a/templates/deep/x.tpl",
        }  # fmt: skip
        assert "a/other/x.tpl" in files(entries, ("a", "a/other"))

    def test_a_folder_between_modules_is_there_with_what_is_its_own(self) -> None:
        entries = {"main.tf": 1, "modules/README": 1, "modules/m/main.tf": 1, "modules/n/x.tf": 1}
        assert set(files(entries, (".", "modules/m"))) == {
            "main.tf", "modules/README", "modules/m/main.tf",
        }  # fmt: skip

    @pytest.mark.parametrize("name", [".git", ".terraform", ".terragrunt-cache"])
    def test_what_tools_leave_behind_is_left_out(self, name: str) -> None:
        entries = {"a/main.tf": 1, f"a/{name}/x": 1, f"a/data/{name}": 1}
        assert set(files(entries, ("a",), ("a/data",))) == {"a/main.tf"}

    def test_a_folder_that_is_not_there_gives_nothing(self) -> None:
        assert files({"a/main.tf": 1}, ("b",), ("c", "a/main.tf/d")) == {}


class TestNamed:
    def test_a_named_folder_is_whole_even_where_modules_lie_in_it(self) -> None:
        entries = {"a/main.tf": 1, "a/sub/main.tf": 1, "a/sub/deep/x.tf": 1, "c/y": 1}
        assert set(files(entries, ("a",), ("a/sub", "c/y"))) == set(entries)

    def test_the_variants_files_and_those_of_expressions_are_named(self) -> None:
        closure = Closure(("a",), files=("t/x.tpl",))
        variant = Variant(
            var_files=("vars/prod.tfvars",),
            backend_config=("backend/prod.hcl", "key=value/with/slashes"),
        )
        assert named_files(closure, variant) == ("t/x.tpl", "vars/prod.tfvars", "backend/prod.hcl")

    def test_the_order_of_what_is_asked_changes_nothing(self) -> None:
        entries = {"a/main.tf": 1, "a/sub/main.tf": 1, "a/l": "a/sub", "a/sub/x": 1}
        one = files(entries, ("a", "a/sub"), ("a/l", "a/sub"))
        assert one == files(entries, ("a/sub", "a"), ("a/sub", "a/l"))


class TestLinks:
    def test_links_stand_for_what_they_lead_to(self) -> None:
        entries: dict[str, int | str] = {
            "a/main.tf": "common/main.tf", "common/main.tf": 1, "a/data": "shared", "shared/x": 1,
            "a/chain": "a/data",
        }  # fmt: skip
        assert files(entries, ("a",)) == {
            "a/main.tf": "common/main.tf", "a/data/x": "shared/x", "a/chain/x": "shared/x",
        }  # fmt: skip

    def test_a_linked_module_is_another_module_by_either_name(self) -> None:
        entries: dict[str, int | str] = {"a/main.tf": 1, "a/m": "m", "m/main.tf": 1}
        assert set(files(entries, ("a",))) == {"a/main.tf"}
        assert files(entries, ("a", "a/m"))["a/m/main.tf"] == "m/main.tf"

    def test_a_link_that_ends_nowhere_is_left_to_terraform(self) -> None:
        assert set(files({"a/main.tf": 1, "a/l": "nowhere"}, ("a",))) == {"a/main.tf"}

    def test_a_link_that_leads_out_ends_the_selection_and_is_named(self) -> None:
        with pytest.raises(SourceRefused, match="a/l"):
            files({"a/main.tf": 1, "a/l": "OUT"}, ("a",))

    def test_folders_that_link_to_one_another_end(self) -> None:
        entries: dict[str, int | str] = {
            "a/x": 1, "a/self": "a", "a/b": "b", "b/a": "a", "b/y": 1,
        }  # fmt: skip
        assert set(files(entries, (), ("a",))) == {"a/x", "a/b/y"}

    def test_links_that_multiply_without_end_are_refused(self) -> None:
        entries: dict[str, int | str] = {
            f"f{one}/{other}": f"f{other}" for one in range(12) for other in range(12)
        }
        with pytest.raises(QuotaExceeded):
            select(Closure(()), ["f0"], Memory(entries), 1 << 20)


class TestBounds:
    def test_bytes_are_counted_before_anything_is_fetched(self) -> None:
        entries = {"a/main.tf": 10_000}
        select(Closure(("a",)), [], Memory(entries), 10_001 + ENTRY_BYTES)
        with pytest.raises(QuotaExceeded):
            select(Closure(("a",)), [], Memory(entries), 10_000 + ENTRY_BYTES)

    def test_empty_files_and_folders_count_as_well(self) -> None:
        entries = {f"a/{number}/x": 0 for number in range(100)}
        with pytest.raises(QuotaExceeded):
            select(Closure(("a",)), [], Memory(entries), 200 * ENTRY_BYTES)

    def test_what_is_chosen_twice_counts_once(self) -> None:
        select(Closure(("a", "a")), ["a", "a/x"], Memory({"a/x": 10_000}), 10_001 + ENTRY_BYTES)

    def test_a_path_too_long_for_a_disk_is_refused(self) -> None:
        path = "/".join(["d" * 100] * 40)
        with pytest.raises(SourceRefused, match="nested too deeply"):
            select(Closure(("d" * 100,)), [], Memory({path: 1}), PLENTY)


_NAMES = st.sampled_from(["a", "b", "c", "main.tf", ".terraform"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)


@given(st.dictionaries(_PATHS, st.one_of(st.integers(0, 9), _PATHS), max_size=12), _PATHS)
def test_every_chosen_path_leads_to_what_was_chosen(
    entries: dict[str, int | str], top: str
) -> None:
    """Whatever the links: the workspace has at a path what the repository has there."""
    assume(".terraform" not in top.split("/"))
    # A file can't hold files, nor a link; and circles are the resolver's to refuse.
    placed = {
        path: target
        for path, target in entries.items()
        if not any(path.startswith(f"{other}/") for other in entries)
    }
    files = {path for path, target in placed.items() if isinstance(target, int)}
    tidy = {path: t for path, t in placed.items() if isinstance(t, int) or t in files}
    memory = Memory(tidy)
    for path, found in select(Closure((top,)), ["a", "b"], memory, PLENTY).items():
        assert memory.find(path) == found
        assert ".terraform" not in path.split("/")


@pytest.mark.parametrize("name", ["x.tf", "x.tf.json", "x.auto.tfvars", "terraform.tfvars"])
def test_a_file_that_terraform_would_read_and_that_leads_nowhere_is_refused(name: str) -> None:
    """Terraform says that it can't be read: a workspace without it would be clean."""
    memory = Memory({"r/main.tf": 1, f"r/{name}": "gone"})
    with pytest.raises(SourceRefused, match=f"r/{name}: is a symbolic link that leads nowhere"):
        select(Closure(("r",)), [], memory, PLENTY)


def test_other_links_that_lead_nowhere_are_left_out() -> None:
    memory = Memory({"r/main.tf": 1, "r/x.txt": "gone", "r/d/x.tf": "gone", "r/.x.tf": "gone"})
    assert "r/x.txt" not in select(Closure(("r",)), ["r/d"], memory, PLENTY, root="r")


class TestModulesBehindLinks:
    def chosen(
        self, entries: Mapping[str, int | str], closure: Closure, *named: str
    ) -> dict[str, tuple[str, str]]:
        found = select(closure, named, Memory(entries), PLENTY)
        return {p: (f.kind, f.path) for p, f in found.items() if f.kind != "folder"}

    def test_a_module_behind_a_link_is_where_it_is_and_the_link_leads_there(self) -> None:
        entries = {"r/x.tf": 1, "r/l": "m", "m/x.tf": 1}
        assert self.chosen(entries, Closure(("m", "r"), links=(("r/l", "m"),))) == {
            "r/x.tf": ("file", "r/x.tf"),
            "m/x.tf": ("file", "m/x.tf"),
            "r/l": ("link", "m"),
        }

    def test_what_is_named_beneath_a_link_lies_behind_it(self) -> None:
        entries = {"r/x.tf": 1, "r/l": "m", "m/x.tf": 1, "m/sub/y.tf": 1}
        found = self.chosen(entries, Closure(("m", "r"), links=(("r/l", "m"),)), "r/l/sub", "r")
        assert found == {
            "r/x.tf": ("file", "r/x.tf"),
            "m/x.tf": ("file", "m/x.tf"),
            "m/sub/y.tf": ("file", "m/sub/y.tf"),
            "r/l": ("link", "m"),
        }

    def test_a_link_behind_a_link_is_one_there(self) -> None:
        entries = {"r/x.tf": 1, "r/l": "m", "m/x.tf": 1, "m/n": "o", "o/x.tf": 1}
        closure = Closure(("m", "o", "r"), links=(("r/l", "m"), ("r/l/n", "o")))
        found = self.chosen(entries, closure)
        assert {p: f for p, f in found.items() if f[0] == "link"} == {
            "r/l": ("link", "m"),
            "m/n": ("link", "o"),
        }

    def test_a_link_behind_links_behind_a_link_is_where_the_repository_has_it(self) -> None:
        """Put elsewhere, its way back would be too long, and lead out of the workspace."""
        entries: dict[str, int | str] = {
            "r/x.tf": 1, "a": "S-1", "S-1/x.tf": 1, "S-1/b": "S", "S/x.tf": 1, "S/c": "h",
            "h/x.tf": 1, "h/.gitconfig": 1,
        }  # fmt: skip
        links = (("S-1/b/c", "h"), ("a", "S-1"), ("a/b", "S"))
        closure = Closure(("S", "S-1", "h", "r"), links=links)
        found = self.chosen(entries, closure, "S/c/.gitconfig", "a/b/c/x.tf")
        assert found == {
            "r/x.tf": ("file", "r/x.tf"),
            "a": ("link", "S-1"),
            "S-1/x.tf": ("file", "S-1/x.tf"),
            "S-1/b": ("link", "S"),
            "S/x.tf": ("file", "S/x.tf"),
            "S/c": ("link", "h"),
            "h/x.tf": ("file", "h/x.tf"),
            "h/.gitconfig": ("file", "h/.gitconfig"),
        }

    def test_what_is_named_below_a_link_of_a_link_has_its_place(self) -> None:
        entries: dict[str, int | str] = {
            "r/x.tf": 1, "a": "R", "R/x.tf": 1, "R/b": "S", "S/x.tf": 1, "S/t.txt": 1,
        }  # fmt: skip
        closure = Closure(("R", "S", "r"), links=(("a", "R"), ("a/b", "S")))
        found = self.chosen(entries, closure, "R/b/t.txt")
        assert found["R/b"] == ("link", "S")
        assert found["S/t.txt"] == ("file", "S/t.txt")
        assert "R/b/t.txt" not in found

    def test_links_that_lead_behind_one_another_are_refused(self) -> None:
        closure = Closure(("r",), links=(("a", "b/x"), ("a/z", "t"), ("b", "a/y")))
        with pytest.raises(SourceRefused, match="circle"):
            select(closure, [], Memory({"r/x.tf": 1, "t": 1}), PLENTY)


_TOPS = ("r", "s", "t")


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(_TOPS), st.sampled_from("abc")), st.sampled_from(_TOPS)
    ),
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), min_size=1, max_size=5),
    st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=5),
)
def test_nothing_that_is_chosen_lies_below_a_link(
    links: dict[tuple[str, str], str], modules: list[list[str]], named: list[list[str]]
) -> None:
    """What was laid out there would be written wherever the link leads."""
    memory = Memory(
        {f"{top}/x.tf": 1 for top in _TOPS}
        | {f"{folder}/{name}": target for (folder, name), target in links.items()}
    )
    through: dict[str, str] = {}
    for steps in modules:
        for length in range(1, len(steps) + 1):
            path = "/".join(["r", *steps[:length]])
            found = memory.find(path)
            if found is not None and found.path != path:
                through[path] = found.path
    wanted = ["/".join(["r", *steps, "x.tf"]) for steps in named]
    closure = Closure(_TOPS, links=tuple(sorted(through.items())))
    chosen = select(closure, wanted, memory, PLENTY)
    for path, found in chosen.items():
        above = [path[:at] for at, letter in enumerate(path) if letter == "/"]
        assert all(chosen[folder].kind == "folder" for folder in above if folder in chosen)
        assert memory.find(path) == (memory.find(found.path) if found.kind == "link" else found)
