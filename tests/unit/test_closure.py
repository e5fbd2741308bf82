"""Which folders and files a root needs."""

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.closure import (
    MOST_FOLDERS,
    Closure,
    closure_of,
    holds_values,
    is_beneath,
    resolve,
    with_values,
)
from driftfleet.hcl import READ_BYTES, Allowance
from driftfleet.module_folders import FOLDER_BYTES, FolderModules, TreeModules, read_folder
from driftfleet.tree import MemoryTree


def calls(*sources: str) -> str:
    return "".join(
        f'module "m{index}" {{\n  source = "{source}"\n}}\n' for index, source in enumerate(sources)
    )


def closure(root: str, files: dict[str, str]) -> Closure:
    tree = MemoryTree({path: text.encode() for path, text in files.items()})
    return closure_of(root, TreeModules(tree).facts)


class TestFolders:
    def test_a_root_without_calls_needs_itself(self) -> None:
        assert closure("a", {"a/x.tf": "locals {}"}) == Closure(("a",))

    def test_local_sources_are_followed_transitively(self) -> None:
        found = closure(
            "envs/prod",
            {
                "envs/prod/main.tf": calls("../../modules/vpc", "./local", "hashicorp/x/aws"),
                "envs/prod/local/a.tf": "",
                "modules/vpc/main.tf": calls("../net"),
                "modules/net/main.tf.json": '{"module": {"x": {"source": "./deep/er"}}}',
                "modules/net/deep/er/main.tf": "",
                "modules/unused/main.tf": "",
            },
        )
        assert found == Closure(
            ("envs/prod", "envs/prod/local", "modules/net", "modules/net/deep/er", "modules/vpc"),
            remote=(("envs/prod", "hashicorp/x/aws"),),
        )

    def test_remote_sources_are_told_with_the_folder_that_has_them(self) -> None:
        git = "git@ghe.example.com:o/r.git//sub?ref=v1"
        found = closure(
            "a", {"a/x.tf": calls("../b", git), "b/x.tf": calls(git), "c/x.tf": calls("unused")}
        )
        assert found.remote == (("a", git), ("b", git))

    def test_cycles_end(self) -> None:
        files = {"a/x.tf": calls("../b", "./"), "b/x.tf": calls("../a", "../b")}
        assert closure("a", files) == Closure(("a", "b"))

    def test_the_top_can_be_a_root_and_a_module(self) -> None:
        files = {"x.tf": calls("./m"), "m/x.tf": "", "examples/a/x.tf": calls("../..", "../../")}
        assert closure(".", files).folders == (".", "m")
        # Terraform takes "../.." for a local source as well.
        assert closure("examples/a", files).folders == (".", "examples/a", "m")

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            ("../../out", "leads out of the repository"),
            ("../none", "names no folder with Terraform files"),
            ("../b-${var.x}", "is not a plain path"),
            ("../a/..", "names no folder with Terraform files"),
        ],
    )
    def test_a_source_that_cannot_be_followed_is_named_with_its_folder(
        self, source: str, problem: str
    ) -> None:
        found = closure("a", {"a/x.tf": calls(source, "../b"), "b/x.tf": ""})
        assert found.folders == ("a", "b")
        (sentence,) = found.problems
        assert sentence.startswith(f"a: the module source '{source}' {problem}")

    def test_a_broken_file_does_not_stop_the_rest(self) -> None:
        found = closure("a", {"a/x.tf": "{", "a/y.tf": calls("../b"), "b/x.tf": "}"})
        assert found.folders == ("a", "b")


class TestFiles:
    def test_every_path_that_an_expression_names_is_listed(self) -> None:
        found = closure(
            "envs/prod",
            {
                "envs/prod/main.tf": (
                    calls("../../modules/vpc")
                    + 'locals {\n  a = file("${path.module}/a.txt")\n'
                    + '  b = file("../shared/b.txt")\n  c = "${path.root}/../../modules/vpc/c"\n'
                    + '  d = templatefile("${path.module}/../tpl/${var.x}.tpl", {})\n}\n'
                ),
                "modules/vpc/main.tf": 'locals {\n  e = file("${path.module}/../../e.json")\n}\n',
            },
        )
        assert found.files == (
            "e.json",
            "envs/prod/a.txt",
            "envs/shared/b.txt",
            "envs/tpl",
            "modules/vpc/c",
        )

    @pytest.mark.parametrize("named", ["path.module", '"${path.module}/"', '"../a"'])
    def test_a_folder_that_is_needed_and_named_is_needed_whole(self, named: str) -> None:
        files = {"a/x.tf": f'locals {{\n a = fileset({named}, "*")\n}}\n'}
        assert closure("a", files) == Closure(("a",), ("a",))

    def test_what_values_name_is_named_by_the_root(self) -> None:
        found = closure("a/r", {"a/r/x.tf": 'locals {\n a = file("f")\n}\n'})
        values = ['d = "../policies"\n', '{"e": "./../../x.json", "f": "plain"}']
        assert with_values(found, "a/r", values).files == ("a/policies", "a/r/f", "x.json")

    @pytest.mark.parametrize(
        ("name", "holds"),
        [
            ("terraform.tfvars", True), ("terraform.tfvars.json", True), ("a.auto.tfvars", True),
            ("a.auto.tfvars.json", True), ("prod.tfvars", False), ("auto.tfvars", False),
        ],
    )  # fmt: skip
    def test_files_whose_values_count_are_known_by_name(self, name: str, holds: bool) -> None:
        assert holds_values(name) is holds

    def test_a_bare_path_in_a_module_counts_from_the_root(self) -> None:
        files = {"r/s/x.tf": calls("../../m"), "m/x.tf": 'locals {\n a = file("../a")\n}\n'}
        assert closure("r/s", files).files == ("r/a",)

    def test_a_path_out_of_the_repository_is_not_listed(self) -> None:
        files = {"a/x.tf": 'locals {\n a = file("../../../etc/passwd")\n}\n'}
        assert closure("a", files) == Closure(("a",))

    def test_a_mere_string_does_not_pull_in_a_whole_repository(self) -> None:
        files = {"a/b/x.tf": 'locals {\n a = "../.."\n b = "../../lambda"\n}\n'}
        assert closure("a/b", files).files == ("lambda",)

    def test_a_certain_path_does(self) -> None:
        """``fileset`` on a folder that isn't there is empty: a wrong verdict, and no error."""
        files = {"a/b/x.tf": 'locals {\n a = fileset("${path.module}/../..", "**")\n}\n'}
        assert closure("a/b", files).files == (".",)


class LinkedTree:
    """Many names of one content, which is a new object each time that it is read."""

    def __init__(self, names: int, content: bytes) -> None:
        self._names = names
        self._content = content
        self.reads = 0

    def paths(self) -> Iterator[str]:
        return (f"d/{n}.tf" for n in range(self._names))

    def read(self, path: str) -> bytes:
        self.reads += 1
        return bytes(bytearray(self._content))

    def identify(self, path: str) -> bytes:
        return b""


class TestBounds:
    def test_a_folder_is_read_file_by_file_and_no_more_of_it_than_a_bound(self) -> None:
        tree = LinkedTree(60, b"#" * (READ_BYTES - 1))
        tracemalloc.start()
        facts = TreeModules(tree).facts("d")
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < FOLDER_BYTES
        assert tree.reads == FOLDER_BYTES // READ_BYTES + 1
        assert facts is not None
        (error,) = facts.errors
        assert "more than 16 MiB" in error.message

    def test_of_a_repository_no_more_is_read_than_a_bound(self) -> None:
        allowance = Allowance(bytes_left=10)
        read = {"a.tf": b"# 3456", "b.tf": b"# 3456", "c.tf": b"# 3456"}.__getitem__
        facts = read_folder(["a.tf", "b.tf", "c.tf"], read, allowance=allowance)
        (error,) = facts.skipped
        assert error.file == "c.tf"
        assert "too much to read" in error.message

    def test_what_was_not_read_is_a_problem_of_every_root_that_needs_it(self) -> None:
        found = closure("a", {"a/x.tf": calls("../b"), "b/x.tf": "#" * (READ_BYTES + 1)})
        assert found.folders == ("a", "b")
        assert found.problems == ("b/x.tf: the file is larger than 2 MiB and was not read",)

    def test_a_closure_has_so_many_folders(self) -> None:
        chain = {f"{n}/x.tf": calls(f"../{n + 1}") for n in range(MOST_FOLDERS + 500)}
        chain[f"{MOST_FOLDERS + 500}/x.tf"] = ""
        found = closure("500", chain)
        assert len(found.folders) == MOST_FOLDERS
        (problem,) = found.problems
        assert problem.startswith("500: ")
        assert "more than 2,000 folders" in problem
        assert closure("501", chain).problems == ()

    def test_a_closure_names_so_many_others(self) -> None:
        names = "".join(f'x = "../f{n}"\n' for n in range(19_000))
        files = {f"{n}/x.tf": calls(f"../{n + 1}") + names for n in range(9)} | {"9/x.tf": ""}
        found = closure("0", files)
        assert "more than 100,000 others" in found.problems[0]
        assert found.followed < 130_000

    def test_problems_are_counted(self) -> None:
        found = closure("a", {"a/x.tf": calls(*(f"../{n}" for n in range(100)))})
        assert len(found.problems) == 51
        assert found.problems[-1] == "and 50 more problems like these"


class TestFolderModules:
    def test_links_in_a_circle_lead_to_no_module(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "x.tf").write_text(calls("../round"))
        (tmp_path / "round").symlink_to("round")
        found = closure_of("a", FolderModules(tmp_path).facts)
        assert found.folders == ("a",)
        assert "round" in found.problems[0]

    def test_it_answers_like_a_tree(self, tmp_path: Path) -> None:
        files = {
            "a/x.tf": calls("../b", "../none") + 'locals {\n f = file("../f")\n}\n',
            "b/x.tf": calls("./c"),
            "b/c/x.tf.json": "{}",
        }
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        assert closure_of("a", FolderModules(tmp_path).facts) == closure("a", files)

    def test_it_lists_only_the_folders_reached(self, tmp_path: Path) -> None:
        for folder, text in {"a": calls("../b"), "b": "", "locked": ""}.items():
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.tf").write_text(text)
        listed: list[str] = []
        modules = FolderModules(tmp_path)

        def facts(folder: str):  # type: ignore[no-untyped-def]
            listed.append(folder)
            return modules.facts(folder)

        assert closure_of("a", facts).folders == ("a", "b")
        assert set(listed) == {"a", "b"}

    def test_a_link_out_of_the_top_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret" / "x.tf").write_text("")
        (tmp_path / "top" / "a").mkdir(parents=True)
        (tmp_path / "top" / "a" / "x.tf").write_text(calls("../link"))
        (tmp_path / "top" / "link").symlink_to(tmp_path / "secret")
        found = closure_of("a", FolderModules(tmp_path / "top").facts)
        assert found.folders == ("a",)
        assert len(found.problems) == 1

    def test_a_file_that_cannot_be_read_is_an_error_of_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "x.tf").symlink_to(tmp_path / "nowhere")
        (tmp_path / "y.tf").write_text(calls("./m"))
        os.mkfifo(tmp_path / "z.tf")
        (tmp_path / "folder.tf").mkdir()
        facts = FolderModules(tmp_path).facts(".")
        assert facts is not None
        assert facts.local_sources == ("./m",)
        assert [(error.file, error.message) for error in facts.errors] == [
            ("x.tf", "can't be read: No such file or directory"),
            ("z.tf", "can't be read: it is no regular file"),
        ]

    def test_a_file_that_leads_out_of_the_top_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text(calls("./secret"))
        (tmp_path / "top").mkdir()
        (tmp_path / "top" / "x.tf").symlink_to("../secret")
        facts = FolderModules(tmp_path / "top").facts(".")
        assert facts is not None
        assert facts.local_sources == ()
        assert "leads out of the repository" in facts.errors[0].message

    def test_a_large_file_is_judged_by_its_size(self, tmp_path: Path) -> None:
        with (tmp_path / "x.tf").open("wb") as file:
            file.truncate(1 << 40)
        facts = FolderModules(tmp_path).facts(".")
        assert facts is not None
        assert [error.message for error in facts.skipped] == [
            "the file is larger than 2 MiB and was not read"
        ]


part = st.sampled_from(["a", "b", ".", "..", "", "..."])
paths = st.lists(part, min_size=1, max_size=6).map("/".join)
folders = st.lists(st.sampled_from("abc"), max_size=4).map(lambda parts: "/".join(parts) or ".")


class TestPaths:
    @given(folders, paths)
    def test_a_resolved_path_is_normal_and_inside(self, folder: str, relative: str) -> None:
        path = resolve(folder, relative)
        if path is not None:
            parts = path.split("/")
            assert path == "." or not {"..", ".", ""} & set(parts)

    @given(folders, paths)
    def test_resolving_does_what_the_file_system_does(self, folder: str, relative: str) -> None:
        absolute = os.path.normpath(f"/top/x/{folder}/{relative}".replace("//", "/"))
        path = resolve(f"x/{folder}", relative)
        if not relative.startswith("/") and path is not None:
            assert os.path.normpath(f"/top/{path}") == absolute

    @given(folders, folders)
    def test_beneath_is_the_same_as_going_down(self, folder: str, below: str) -> None:
        assert is_beneath(resolve(folder, below) or "", folder)

    def test_a_common_prefix_of_names_is_not_beneath(self) -> None:
        assert not is_beneath("modules-old/a", "modules")
