"""Which folders are roots, and why; every class has its reason."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftfleet.globs import folder_matches
from driftfleet.hcl import READ_BYTES
from driftfleet.settings import DiscoverySettings
from driftfleet.tree import LocalTree, MemoryTree
from producer.discovery import Discovery, Folder, discover
from producer.found import find_in_folders

RESOURCE = 'resource "terraform_data" "x" {}\n'
BACKEND = 'terraform {\n  backend "s3" {}\n}\n'


def call(source: str) -> str:
    return f'module "m" {{\n  source = "{source}"\n}}\n'


def tree(files: dict[str, str]) -> MemoryTree:
    return MemoryTree({path: text.encode() for path, text in files.items()})


def folders(files: dict[str, str], **globs: tuple[str, ...]) -> dict[str, Folder]:
    return {folder.path: folder for folder in discover(tree(files), **globs).folders}


def kinds(files: dict[str, str], **globs: tuple[str, ...]) -> dict[str, str]:
    return {path: folder.kind for path, folder in folders(files, **globs).items()}


class TestClasses:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (RESOURCE, "resources"),
            ('data "x" "y" {}\n', "data sources"),
            (call("hashicorp/x/aws"), "module calls"),
            ('provider "aws" {}\n', "a provider"),
        ],
    )
    def test_what_declares_something_to_plan_is_a_root(self, text: str, words: str) -> None:
        folder = folders({"a/x.tf": text})["a"]
        assert folder.kind == "root"
        assert folder.reason == f"declares {words}, and no other folder calls it"

    def test_the_reason_lists_all_that_is_declared(self) -> None:
        reason = folders({"x.tf": RESOURCE + 'data "x" "y" {}\nprovider "aws" {}\n'})["."].reason
        assert reason.startswith("declares resources, data sources and a provider")

    def test_what_declares_nothing_to_plan_is_other(self) -> None:
        folder = folders({"a/x.tf": 'variable "x" {}\noutput "y" {\n  value = 1\n}\n'})["a"]
        assert folder.kind == "other"
        assert folder.reason == "declares no resource, data source, module call or provider"

    def test_what_another_folder_calls_is_a_child(self) -> None:
        found = folders(
            {"a/x.tf": call("../m"), "b/x.tf": call("../m"), "m/x.tf": RESOURCE, "c/x.tf": RESOURCE}
        )
        assert {path: folder.kind for path, folder in found.items()} == {
            "a": "root",
            "b": "root",
            "c": "root",
            "m": "child",
        }
        assert found["m"].reason == "is called by a and 1 more"

    @pytest.mark.parametrize("block", ['backend "s3" {}', "cloud {}"])
    def test_a_backend_makes_a_root_of_a_called_folder_and_of_one_under_modules(
        self, block: str
    ) -> None:
        terraform = f"terraform {{\n  {block}\n}}\n"
        found = kinds({"a/x.tf": call("../m"), "m/x.tf": terraform, "modules/n/x.tf": terraform})
        assert found == {"a": "root", "m": "root", "modules/n": "root"}

    def test_the_reason_names_the_backend(self) -> None:
        assert folders({"a/x.tf": BACKEND})["a"].reason == "has a backend block (s3)"

    @pytest.mark.parametrize(
        "path",
        [
            "modules/a",
            "modules",
            "x/modules/a/b",
            "examples/a",
            "m/examples",
            "test/a",
            "tests/a",
        ],
    )
    def test_folders_that_support_others_are_ignored(self, path: str) -> None:
        folder = folders({f"{path}/x.tf": RESOURCE})[path]
        assert folder.kind == "ignored"
        assert folder.reason.startswith("is under ")

    @pytest.mark.parametrize("path", ["my-modules/a", "examples2", "contest/a", "Tests"])
    def test_a_name_that_only_looks_like_it_is_not(self, path: str) -> None:
        assert kinds({f"{path}/x.tf": RESOURCE}) == {path: "root"}

    @pytest.mark.parametrize("path", ["a/.terraform/modules/m", "a/.terragrunt-cache/x/y"])
    def test_copies_that_terraform_made_are_ignored_and_call_nothing(self, path: str) -> None:
        up = "/".join([".."] * len(path.split("/")))
        files = {f"{path}/x.tf": BACKEND + call(f"{up}/b"), "b/x.tf": RESOURCE}
        assert kinds(files) == {path: "ignored", "b": "root"}

    def test_an_example_that_calls_the_top_makes_it_a_child(self) -> None:
        files = {"main.tf": RESOURCE, "examples/a/main.tf": call("../../")}
        assert kinds(files) == {".": "child", "examples/a": "ignored"}

    def test_a_call_of_itself_or_out_of_the_repository_does_not_count(self) -> None:
        files = {"a/x.tf": RESOURCE + call("./"), "b/x.tf": call("../../a")}
        assert kinds(files) == {"a": "root", "b": "root"}

    def test_two_folders_that_call_each_other_are_children(self) -> None:
        assert kinds({"a/x.tf": call("../b"), "b/x.tf": call("../a")}) == {
            "a": "child",
            "b": "child",
        }

    def test_a_folder_without_terraform_files_is_not_listed(self) -> None:
        assert discover(tree({"a/README.md": "", "b/x.tfvars": ""})).folders == ()


class TestErrors:
    def test_a_broken_file_makes_its_folder_a_root_in_error(self) -> None:
        found = folders(
            {
                "a/x.tf": "\n\n}\n",
                "a/y.tf": BACKEND,
                "modules/b/x.tf": 'resource "a" "b" {\n',
                "c/x.tf": RESOURCE,
            }
        )
        assert {path: folder.kind for path, folder in found.items()} == dict.fromkeys(
            ("a", "modules/b", "c"), "root"
        )
        (error,) = found["a"].errors
        assert (error.file, error.line) == ("x.tf", 3)
        assert found["a"].reason.startswith("can't be read: x.tf:3: ")
        assert found["a"].backend == "s3"
        assert found["c"].errors == ()

    def test_a_called_folder_that_is_broken_is_a_root_in_error_too(self) -> None:
        assert kinds({"a/x.tf": call("../m"), "m/x.tf": "{"}) == {"a": "root", "m": "root"}

    def test_a_dangling_link_is_an_error_and_stops_nothing(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.tf").write_text(RESOURCE)
        (tmp_path / "a" / "common.tf").symlink_to("../gone.tf")
        found = discover(LocalTree(tmp_path))
        assert [(folder.path, len(folder.errors)) for folder in found.roots] == [("a", 1), ("b", 0)]

    def test_a_name_that_is_not_utf8_is_listed_and_never_stops_the_rest(self) -> None:
        files = {"a\udcff/x.tf": RESOURCE, "b/\udcff.tf": "{", "c/x.tf": RESOURCE}
        found = kinds(files)
        assert found == {"a\\udcff": "ignored", "b": "root", "c": "root"}
        assert json.loads(discover(tree(files)).model_dump_json())


class TestGlobs:
    def test_include_makes_a_root_whatever_the_folder_is(self) -> None:
        files = {"a/x.tf": call("../modules/m"), "modules/m/x.tf": "", "modules/n/x.tf": ""}
        found = folders(files, include=("modules/m",))
        assert found["modules/m"].kind == "root"
        assert found["modules/m"].reason == "matches the include glob 'modules/m'"
        assert found["modules/n"].kind == "ignored"

    def test_exclude_wins_over_include_a_backend_and_errors(self) -> None:
        files = {"a/x.tf": BACKEND, "a/b/x.tf": "{", "c/x.tf": RESOURCE}
        found = folders(files, include=("**",), exclude=("a/**",))
        assert {path: folder.kind for path, folder in found.items()} == {
            "a": "ignored",
            "a/b": "ignored",
            "c": "root",
        }
        assert found["a"].reason == "matches the exclude glob 'a/**'"

    def test_an_excluded_folder_still_calls_others(self) -> None:
        files = {"a/x.tf": call("../m"), "m/x.tf": RESOURCE}
        assert kinds(files, exclude=("a",)) == {"a": "ignored", "m": "child"}

    @pytest.mark.parametrize(
        ("folder", "glob", "expected"),
        [
            ("modules", "modules", True),
            ("modules/a", "modules", False),
            ("modules/a", "modules/", False),
            ("modules", "modules/", True),
            ("modules", "./modules", True),
            ("modules", "modules/**", True),
            ("modules/a/b", "modules/**", True),
            ("modules-old", "modules/**", False),
            ("envs/prod/legacy", "envs/*/legacy", True),
            ("envs/legacy", "envs/*/legacy", False),
            ("envs/a/b/legacy", "envs/*/legacy", False),
            ("envs/a/b/legacy", "envs/**/legacy", True),
            ("envs/legacy", "envs/**/legacy", True),
            ("a/b", "*", False),
            ("a", "*", True),
            (".", "*", False),
            (".", ".", True),
            ("a", ".", False),
            (".", "**", True),
            ("a/b/c", "**/c", True),
            ("c", "**/c", True),
            ("stack-12", "stack-[0-9]*", True),
            ("stack-x", "stack-[!0-9]", True),
            ("stack", "s?ack", True),
            ("A", "a", False),
        ],
    )
    def test_what_a_glob_matches(self, folder: str, glob: str, expected: bool) -> None:
        assert folder_matches(folder, glob) is expected

    @given(
        st.lists(st.sampled_from("ab"), max_size=6),
        st.lists(st.sampled_from(["a", "b", "*", "**"]), max_size=5),
    )
    def test_it_agrees_with_the_definition(self, parts: list[str], wanted: list[str]) -> None:
        def matches(parts: list[str], wanted: list[str]) -> bool:
            if not wanted:
                return not parts
            if wanted[0] == "**":
                return matches(parts, wanted[1:]) or (bool(parts) and matches(parts[1:], wanted))
            here = bool(parts) and wanted[0] in ("*", parts[0])
            return here and matches(parts[1:], wanted[1:])

        glob = "/".join(wanted) or "."
        assert folder_matches("/".join(parts) or ".", glob) is matches(parts, wanted)

    def test_many_stars_cost_no_more(self) -> None:
        assert not folder_matches("/".join("a" * 200), "/".join(["**", "a"] * 200) + "/b")


class TestWhatARootNeeds:
    FILES = {  # noqa: RUF012
        "envs/prod/main.tf": (
            'terraform {\n  required_version = "~> 1.5"\n  backend "gcs" {}\n'
            '  required_providers {\n    aws = { source = "hashicorp/aws", version = ">= 5" }\n'
            f"  }}\n}}\n{call('../../modules/a')}"
            'locals {\n  x = file("../x.json")\n  gone = file("../gone.json")\n}\n'
        ),
        "envs/prod/.terraform-version": "# pinned\r\n\r\n1.5.7 # for now\r\n",
        "envs/prod/.terraform.lock.hcl": "",
        "envs/prod/inner/main.tf": "",
        "envs/x.json": "{}",
        "modules/a/main.tf": call("../b") + 'locals {\n  d = "${path.module}/../../data"\n}\n',
        "modules/b/main.tf": call("../../../out"),
        "data/deep/file": "",
    }

    def test_all_of_it_is_recorded(self) -> None:
        root = folders(self.FILES)["envs/prod"]
        assert root.needs == ("modules/a", "modules/b")
        assert root.files == ("data", "envs/x.json")
        assert root.required_version == ("~> 1.5",)
        assert root.providers == {"hashicorp/aws": ">= 5"}
        assert root.backend == "gcs"
        assert root.terraform_version == "1.5.7"
        assert root.lock_file is True
        (problem,) = root.problems
        assert "modules/b" in problem
        assert "../../../out" in problem

    def test_a_child_lists_no_needs(self) -> None:
        assert folders(self.FILES)["modules/a"].needs == ()

    def test_folders_inside_a_root_are_not_outside_it(self) -> None:
        found = folders({"x.tf": call("./a"), "a/x.tf": call("./b"), "a/b/x.tf": ""})
        assert found["."].needs == ()

    @pytest.mark.parametrize(
        ("text", "version"),
        [("1.5.7", "1.5.7"), ("v1.5.7\n", "v1.5.7"), ("latest:^1.5\n", "latest:^1.5"),
         ("# none\n", None), ("", None), ("\ufeff1.2.3\n", "1.2.3")],
    )  # fmt: skip
    def test_the_version_file(self, text: str, version: str | None) -> None:
        found = folders({"x.tf": RESOURCE, ".terraform-version": text})["."]
        assert found.terraform_version == version

    def test_records_survive_json(self) -> None:
        found = discover(tree(self.FILES))
        assert Discovery.model_validate_json(found.model_dump_json()) == found

    def test_folders_are_sorted(self) -> None:
        paths = [folder.path for folder in discover(tree(self.FILES)).folders]
        assert paths == sorted(paths)


class TestDigest:
    FILES = {"a/x.tf": RESOURCE, "a/x.tfvars": "a = 1", "README.md": "x"}  # noqa: RUF012

    def test_it_looks_like_a_commit(self) -> None:
        digest = discover(tree(self.FILES)).digest
        assert len(digest) == 40
        assert int(digest, 16)

    @pytest.mark.parametrize(
        "change",
        [
            {"a/x.tf": RESOURCE + "\n"},
            {"a/x.tfvars": "a = 2"},
            {"a/.terraform.lock.hcl": ""},
            {"a/.terraform-version": "1.0.0"},
            {"b/x.tf": ""},
        ],
    )
    def test_it_changes_with_what_decides_a_plan(self, change: dict[str, str]) -> None:
        assert discover(tree(self.FILES | change)).digest != discover(tree(self.FILES)).digest

    def test_it_changes_when_content_moves(self) -> None:
        one = discover(tree({"a/x.tf": "", "a/y.tf": RESOURCE})).digest
        assert one != discover(tree({"a/x.tf": RESOURCE, "a/y.tf": ""})).digest

    def test_it_is_the_same_whatever_the_order_and_the_readme(self) -> None:
        turned = dict(reversed(self.FILES.items())) | {"README.md": "y"}
        assert discover(tree(turned)).digest == discover(tree(self.FILES)).digest


def deeper_than_a_path_may_be(folder: Path) -> None:
    """Folders in folders, of which the last can't be named from here, by root neither."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=at)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


class TestLocalTree:
    def test_a_folder_that_cant_be_looked_into_is_told_and_the_look_has_a_gap(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "main.tf").write_text('terraform {\n  backend "s3" {}\n}\n')
        deeper_than_a_path_may_be(tmp_path)
        outlook = find_in_folders([tmp_path], DiscoverySettings())
        (trouble,) = outlook.troubles
        assert f"{tmp_path}: dddd" in trouble.reason
        assert "can't be listed (File name too long)" in trouble.reason
        assert not outlook.is_whole(outlook.found[0])
        assert [root.path for root in outlook.found[0].discovery.roots] == ["."]
        excluding = DiscoverySettings(exclude=("d*/**",))
        assert find_in_folders([tmp_path], excluding).troubles == ()

    def test_what_is_no_file_is_listed_where_terraform_would_read_it(self, tmp_path: Path) -> None:
        (tmp_path / "folder.tf").mkdir()
        (tmp_path / "link.tf").symlink_to("folder.tf")
        (tmp_path / "gone.tf").symlink_to("nowhere")
        for name in ("x.tf", "pipe"):
            os.mkfifo(tmp_path / name)
        assert sorted(LocalTree(tmp_path).paths()) == ["gone.tf", "x.tf"]

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("../../pipe", "leads out of the repository"),
            ("../../outside.tf", "leads out of the repository"),
            ("/proc/kmsg", "leads out of the repository"),
            ("/dev/zero", "leads out of the repository"),
            ("../inside", "it is no regular file"),
            ("x.tf", "Too many levels of symbolic links"),
        ],
    )
    def test_a_link_to_what_is_no_file_of_the_folder_is_an_error_of_its_folder_alone(
        self, tmp_path: Path, target: str, reason: str
    ) -> None:
        top = tmp_path / "top"
        for folder in ("bad", "good"):
            (top / folder).mkdir(parents=True)
            (top / folder / "main.tf").write_text(RESOURCE)
        os.mkfifo(tmp_path / "pipe")
        os.mkfifo(top / "inside")
        (tmp_path / "outside.tf").write_text(BACKEND)
        for name in ("x.tf", "x.tfvars", ".terraform-version", ".terraform.lock.hcl"):
            (top / "bad" / name).symlink_to(target)
        bad, good = discover(LocalTree(top)).folders
        assert [(error.file, reason in error.message) for error in bad.errors] == [("x.tf", True)]
        assert bad.errors[0].message.startswith("can't be read: ")
        assert (bad.kind, bad.backend, bad.terraform_version) == ("root", None, None)
        assert (good.kind, good.errors) == ("root", ())

    def test_links_inside_the_folder_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "real" / "a").mkdir(parents=True)
        (tmp_path / "real" / "common").write_text(BACKEND)
        (tmp_path / "real" / "a" / "x.tf").symlink_to("../common")
        (tmp_path / "top").symlink_to("real")
        (root,) = discover(LocalTree(tmp_path / "top")).roots
        assert (root.path, root.backend) == ("a", "s3")

    def test_a_large_file_is_an_error_and_changes_the_digest_all_the_same(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "x.tf"
        path.write_bytes(b"#" * (READ_BYTES + 1))
        before = discover(LocalTree(tmp_path))
        path.write_bytes(b"#" * READ_BYTES + b"/")
        assert before.folders[0].errors[0].message.startswith("the file is larger than 2 MiB")
        assert discover(LocalTree(tmp_path)).digest != before.digest


def test_what_the_roots_of_a_repository_need_is_bounded_together() -> None:
    """Each of so many roots needs so many folders: 2,250,000 names."""
    count = 1_500
    files = {}
    for n in range(count):
        files[f"r{n:04}/x.tf"] = BACKEND + call("../m0")
        files[f"m{n}/x.tf"] = call(f"../m{n + 1}")
    roots = discover(tree(files)).roots
    assert len(roots) == count
    assert len(roots[0].needs) == count
    assert sum(len(root.needs) for root in roots) <= 1_010_000
    assert roots[-1].needs == ()
    assert "what it needs is not listed" in roots[-1].problems[0]


def test_which_files_lie_within_modules_takes_linear_time() -> None:
    names = "".join(f'x = "../f/{n}"\n' for n in range(19_000))
    files = {f"f/{n}": "" for n in range(19_000)}
    files |= {f"m{n}/x.tf": call(f"../m{n + 1}") for n in range(1_990)}
    files["r/x.tf"] = BACKEND + call("../m0") + names
    started = time.process_time()
    (root,) = discover(tree(files)).roots
    assert time.process_time() - started < 3
    assert len(root.files) == 19_000
