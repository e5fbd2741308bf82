"""Workspaces from GitHub: byte for byte what a checkout of the same commit gives, or a refusal."""

import contextlib
import itertools
import os
import random
import re
import stat
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from driftfleet.closure import Closure
from driftfleet.errors import CheckFailed, GitHubUnavailable
from driftfleet.jobs import Job, Limits, Source, Variant
from driftfleet.settings import CacheSettings, GitHubSettings
from tests.standin import Executable, Fault, Link, Request, StandIn, Submodule
from tests.standin.fixture import serving
from worker.github_connection import LazyConnection
from worker.github_source import GitHubSource
from worker.local_source import LocalSource
from worker.source import RootSource
from worker.workspace import Workspaces

Tree = dict[str, tuple[str, bytes]]
SLACK = 20.0  # of a slow machine
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.fixture(scope="module")
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        yield standin


def laid_out(
    source: RootSource, job: Job, place: Path, seconds: float = 60
) -> tuple[Tree, Closure]:
    """What a source writes: path -> mode and bytes, folders included."""
    with Workspaces(place).use(job.limits.workspace_bytes) as workspace:
        closure = source.fetch(job, workspace, time.monotonic() + seconds)
        top = workspace.source
        tree = {str(path.relative_to(top)): _entry(path) for path in top.rglob("*")}
    return tree, closure


def _entry(path: Path) -> tuple[str, bytes]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return "link", os.readlink(path).encode()
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return stat.filemode(status.st_mode), content


def checkout(ghe: StandIn, repo: str, folder: Path) -> Path:
    """The repository as git lays it out."""
    bare = ghe.repository(repo).folder
    subprocess.run(
        ["git", "-c", "core.autocrlf=false", "clone", "-q", str(bare), str(folder)],
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
    )
    return folder


class Repositories:
    """Random repositories with all that roots refer to."""

    FOLDERS = (
        "envs/prod", "envs/dev", "envs", "modules/a", "modules/a/nested", "modules/b", "shared/x",
        "stacks/one/two", "data",
    )  # fmt: skip

    ATTRIBUTES = (
        "* text=auto eol=crlf", "*.tf text eol=crlf", "*.tpl text eol=crlf ident", "*.tpl -text",
        "* ident", "data/** binary", "*.txt eol=crlf",
        '"\\303\\274 ml.txt" working-tree-encoding=UTF-16LE-BOM', "*.sh !eol",
        "[attr]dos text eol=crlf", "run.sh dos",
        "deep/er/* working-tree-encoding=UTF-16 eol=crlf\r", "/modules/a/** -ident",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.files: dict[str, Any] = {}

    def make(self) -> Mapping[str, Any]:
        for folder in self._some(self.FOLDERS, 4, 9):
            self._fill(folder)
        for _ in range(self._random.randint(0, 6)):
            self._link()
        for folder in self._some(["", *(f"{folder}/" for folder in self.FOLDERS)], 0, 4):
            lines = self._some(self.ATTRIBUTES, 1, 5)
            self.files[f"{folder}.gitattributes"] = "".join(f"{line}\n" for line in lines)
        return self.files

    def roots(self) -> list[str]:
        return sorted({p.rpartition("/")[0] or "." for p in self.files if p.endswith(".tf")})

    def variant(self) -> Variant:
        plain = [p for p, f in self.files.items() if not isinstance(f, Link)]
        return Variant(
            var_files=tuple(self._some(plain, 0, 2)),
            backend_config=(*self._some(plain, 0, 1), "key=a/b/c"),
        )

    def _fill(self, folder: str) -> None:
        choose = self._random
        if choose.random() < 0.75:
            self.files[f"{folder}/main.tf"] = self._hcl(folder)
            self.files[f"{folder}/.terraform.lock.hcl"] = f"# {folder}\n"
        if choose.random() < 0.3:
            self.files[f"{folder}/.terraform-version"] = "1.11.4\n"
        if choose.random() < 0.3:
            self.files[f"{folder}/.terraform/modules/x.tf"] = "# left behind\n"
        for name in self._some(
            ["run.sh", "a.tpl", "deep/er/b.tpl", "\u00fc ml.txt", "x.tf.json", "data/y.bin"], 1, 5
        ):
            content = choose.randbytes(choose.randint(0, 3000))
            if choose.random() < 0.5:
                content = "".join(choose.choices("a$ \n\u00fc", k=99)).encode() + b"$Id$\n"
            if name == "x.tf.json":
                content = b"{}"
            self.files[f"{folder}/{name}"] = (
                Executable(content) if name == "run.sh" or choose.random() < 0.1 else content
            )

    def _hcl(self, folder: str) -> str:
        choose = self._random
        lines = [f"# {folder}"]
        for number in range(choose.randint(0, 3)):
            source = os.path.relpath(choose.choice([*self.FOLDERS, "l0", "l1/nested"]), folder)
            source = source if source.startswith("..") else f"./{source}"
            if choose.random() < 0.8:
                source = source if self._is_there(folder, source) else "hashicorp/x/aws"
            lines.append(f'module "m{number}" {{\n  source = "{source}"\n}}')
        for number in range(choose.randint(0, 4)):
            target = choose.choice([*self.FOLDERS, "shared/x/a.tpl", "nowhere", "l2"])
            path = os.path.relpath(target, folder)
            call = choose.choice(
                [
                    f'file("${{path.module}}/{path}")',
                    f'templatefile("${{path.root}}/{path}", {{}})',
                    f'fileset("${{path.module}}/{path}", "**")',
                    f'filebase64("{path}/${{var.x}}.bin")',
                    f'"{path}"',
                ]
            )
            lines.append(f"locals {{\n  v{number} = {call}\n}}")
        return "\n".join(lines) + "\n"

    def _is_there(self, folder: str, source: str) -> bool:
        return os.path.normpath(f"{folder}/{source}/main.tf") in self.files

    def _link(self) -> None:
        choose = self._random
        number = choose.randint(0, 3)
        place = choose.choice([f"l{number}", f"envs/prod/l{number}", f"modules/a/l{number}.tf"])
        if any(p == place or p.startswith(f"{place}/") for p in self.files):
            return
        target = choose.choice([*self.files, *self.FOLDERS, "nowhere", "l0", "l1"])
        self.files[place] = Link(os.path.relpath(target, os.path.dirname(place) or "."))

    def _some(self, pool: Iterable[str], least: int, most: int) -> list[str]:
        names = sorted(pool)
        return self._random.sample(names, min(len(names), self._random.randint(least, most)))


@pytest.fixture
def source(ghe: StandIn, tmp_path: Path) -> Iterator[GitHubSource]:
    ghe.heal()
    ghe.clear()
    with opened(ghe, tmp_path / "cache") as source:
        yield source


@contextlib.contextmanager
def opened(
    ghe: StandIn,
    folder: Path,
    cache: CacheSettings | None = None,
    token: str | None = None,
    patience_seconds: float = 0,
    timeout_seconds: float = 30,
) -> Iterator[GitHubSource]:
    settings = GitHubSettings(
        url=ghe.url,
        token="env://TOKEN",
        worker_patience_seconds=patience_seconds,
        timeout_seconds=timeout_seconds,
    )
    connection = LazyConnection(
        settings, cache or CacheSettings(), folder, {"TOKEN": token or ghe.token}
    )
    yield GitHubSource(connection)
    connection.close()


_numbers = itertools.count()


def serve(ghe: StandIn, files: Mapping[str, Any]) -> Source:
    """A new repository and its commit, as a job names it."""
    repo = f"payments/infra-{next(_numbers)}"
    sha = ghe.add_repository(repo, files)
    return Source(kind="github", repo=repo, sha=sha)


def job_of(
    source: Source, root: str, variant: Variant | None = None, limit_bytes: int = 1 << 30
) -> Job:
    return Job(
        sweep_id="s", source=source, root=root, variant=variant or Variant(),
        limits=Limits(workspace_bytes=limit_bytes),
    )  # fmt: skip


def refused(source: RootSource, job: Job, place: Path, seconds: float = 60) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        laid_out(source, job, place, seconds)
    assert caught.value.phase == "source"
    return caught.value


class TestLikeACheckout:
    """The same files, bytes and modes as git and `LocalSource` give: the plan can't differ."""

    @pytest.mark.parametrize("seed", range(24))
    def test_whatever_the_repository_holds(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path, seed: int
    ) -> None:
        repositories = Repositories(seed)
        commit = serve(ghe, repositories.make())
        folder = checkout(ghe, commit.repo, tmp_path / "checkout")
        local = LocalSource([folder])
        for root in repositories.roots():
            variant = repositories.variant()
            theirs = outcome(
                local, job_of(Source(kind="local", repo=str(folder)), root, variant), tmp_path / "w"
            )
            ours = outcome(source, job_of(commit, root, variant), tmp_path / "w")
            assert ours == theirs, (seed, root)

    def test_the_generator_makes_what_it_is_there_for(self, tmp_path: Path) -> None:
        kinds = Counter[str]()
        for seed in range(24):
            repositories = Repositories(seed)
            files = repositories.make()
            for content in files.values():
                kinds[type(content).__name__] += 1
            text = "".join(f for p, f in files.items() if p.endswith("main.tf"))
            kinds.update(re.findall(r"fileset|templatefile|source = \"\.\.", text))
            rules = "".join(f for p, f in files.items() if p.endswith(".gitattributes"))
            kinds.update(re.findall(r"eol=crlf|ident|UTF-16", rules))
        assert min(kinds[k] for k in ("eol=crlf", "ident", "UTF-16")) > 5
        assert min(kinds[k] for k in ("Link", "Executable", "fileset", 'source = "..')) > 10


def outcome(source: RootSource, job: Job, place: Path) -> tuple[Any, ...]:
    try:
        tree, closure = laid_out(source, job, place)
    except CheckFailed as error:
        return (error.kind,)
    return tree, closure


def test_version_files_of_the_root_and_of_the_folders_above_come_along(
    ghe: StandIn, source: GitHubSource, tmp_path: Path
) -> None:
    wanted = ("a/b/.terraform-version", "a/.opentofu-version", ".tool-versions")
    other = ("c/.terraform-version", "a/c/.terraform-version")
    texts = dict.fromkeys((*wanted, *other), "1.11.4\n")
    served = serve(ghe, {"a/b/main.tf": "", "c/x": "", **texts})
    tree, _ = laid_out(source, job_of(served, "a/b"), tmp_path)
    files = {path for path, (mode, _) in tree.items() if mode.startswith("-")}
    assert files == {"a/b/main.tf", *wanted}


class TestLinks:
    def test_links_to_files_and_folders_and_chains_work(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(
            ghe,
            {
                "root/main.tf": 'module "m" {\n  source = "./linked"\n}\n',
                "root/common.tf": Link("../common/common.tf"),
                "root/linked": Link("../chain"), "chain": Link("modules/m"),
                "modules/m/main.tf": "# m\n", "modules/m/run.sh": Executable("x"),
                "common/common.tf": "# common\n", "root/data": Link("../data"), "data/x": "data",
                "root/gone": Link("nowhere"),
            },
        )  # fmt: skip
        tree, closure = laid_out(source, job_of(commit, "root"), tmp_path / "w")
        assert closure.folders == ("modules/m", "root")
        assert tree["root/linked"] == ("link", b"../modules/m")
        assert {path: content for path, (mode, content) in tree.items() if content} == {
            "root/main.tf": b'module "m" {\n  source = "./linked"\n}\n',
            "root/common.tf": b"# common\n", "root/linked": b"../modules/m",
            "modules/m/main.tf": b"# m\n", "modules/m/run.sh": b"x", "root/data/x": b"data",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("target", "reason"),
        [("../../etc/passwd", "leads out"), ("/etc/passwd", "absolute"), ("a", "circle")],
    )
    @pytest.mark.parametrize("name", ["a", "a.tf"])
    def test_links_that_lead_elsewhere_are_refused_by_name(
        self,
        ghe: StandIn,
        source: GitHubSource,
        tmp_path: Path,
        target: str,
        reason: str,
        name: str,
    ) -> None:
        target = name if target == "a" else target
        commit = serve(ghe, {"root/main.tf": "", f"root/{name}": Link(target)})
        error = refused(source, job_of(commit, "root"), tmp_path / "w")
        assert error.kind == "source_refused"
        assert f"root/{name}" in error.message
        assert reason in error.message
        assert commit.repo in error.message

    def test_a_bad_link_that_the_root_does_not_reach_is_nobodys_business(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"root/main.tf": "", "other/main.tf": "", "other/a": Link("/etc")})
        tree, _ = laid_out(source, job_of(commit, "root"), tmp_path / "w")
        assert set(tree) == {"root", "root/main.tf"}


class TestSubmodules:
    SHA = "1" * 40

    @pytest.mark.parametrize(
        "hcl",
        [
            'module "m" {\n  source = "../sub"\n}\n',
            'module "m" {\n  source = "../sub/inner"\n}\n',
            'locals {\n  a = file("${path.module}/../sub/x.txt")\n}\n',
            'locals {\n  a = fileset("${path.module}/../up", "**")\n}\n',
            'locals {\n  a = file("../link/x.txt")\n}\n',
        ],
    )
    def test_one_that_a_plan_would_read_is_refused_by_name(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path, hcl: str
    ) -> None:
        module = Submodule("https://example.com/x.git", self.SHA)
        commit = serve(
            ghe,
            {
                "root/main.tf": hcl, "sub": module, "up/sub": module, "up/x": "",
                "link": Link("sub"),
            },
        )  # fmt: skip
        error = refused(source, job_of(commit, "root"), tmp_path / "w")
        assert error.kind == "source_refused"
        assert "submodule" in error.message
        assert re.search(r"sub|link/x", error.message)

    def test_one_under_the_root_or_the_root_itself_is_refused(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        module = Submodule("https://example.com/x.git", self.SHA)
        commit = serve(ghe, {"root/main.tf": "", "root/deep/sub": module, "vendor": module})
        for root in ("root", "vendor", "vendor/x"):
            error = refused(source, job_of(commit, root), tmp_path / "w")
            assert error.kind == "source_refused"
            assert "is a git submodule or lies in one" in error.message

    def test_one_elsewhere_is_nobodys_business(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        module = Submodule("https://example.com/x.git", self.SHA)
        commit = serve(ghe, {"root/main.tf": "", "sub": module})
        assert "root/main.tf" in laid_out(source, job_of(commit, "root"), tmp_path / "w")[0]


class TestRefusals:
    def test_an_lfs_pointer_is_refused_by_name_where_the_plan_would_read_it(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "", "a/data/x.bin": LFS, "b/main.tf": "", "c/y.bin": LFS})
        error = refused(source, job_of(commit, "a"), tmp_path / "w")
        assert (error.kind, "a/data/x.bin" in error.message) == ("source_refused", True)
        laid_out(source, job_of(commit, "b"), tmp_path / "w")
        named = Variant(var_files=("c/y.bin",))
        assert "c/y.bin" in refused(source, job_of(commit, "b", named), tmp_path / "w").message

    def test_a_file_too_large_is_refused_before_it_is_fetched(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "", "a/big": b"x" * 200_000})
        ghe.clear()
        with opened(ghe, tmp_path / "cache", CacheSettings(member_bytes=100_000)) as source:
            error = refused(source, job_of(commit, "a"), tmp_path / "w")
        assert (error.kind, "a/big" in error.message) == ("source_refused", True)
        assert sum(request.sent for request in ghe.requests) < 100_000

    def test_a_root_larger_than_its_quota_is_refused_before_it_is_fetched(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "", **{f"a/{n}": bytes([n]) * 20_000 for n in range(30)}})
        ghe.clear()
        error = refused(source, job_of(commit, "a", limit_bytes=300_000), tmp_path / "w")
        assert error.kind == "disk_quota"
        # Only what had to be read to know what the root needs.
        assert [kind_of(r) for r in ghe.requests] == ["tree", "blob"]

    def test_modules_larger_than_the_quota_are_not_read_either(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "#" * 50_000})
        ghe.clear()
        error = refused(source, job_of(commit, "a", limit_bytes=20_000), tmp_path / "w")
        assert error.kind == "disk_quota"
        assert [kind_of(r) for r in ghe.requests] == ["tree"]

    def test_a_folder_that_is_gone_at_that_commit_is_missing(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        error = refused(source, job_of(serve(ghe, {"a/x": ""}), "gone"), tmp_path / "w")
        assert (error.kind, "gone" in error.message) == ("source_missing", True)

    def test_a_commit_or_a_repository_that_is_not_there_is_missing(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": ""})
        for wrong in (
            commit.model_copy(update={"sha": "0" * 40}),
            commit.model_copy(update={"repo": "payments/nowhere"}),
        ):
            error = refused(source, job_of(wrong, "a"), tmp_path / "w")
            assert error.kind == "source_missing"
            assert "may not see it" in error.message

    def test_a_module_source_that_leads_nowhere_is_the_roots_fault(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": 'module "m" {\n  source = "../nowhere"\n}\n'})
        error = refused(source, job_of(commit, "a"), tmp_path / "w")
        assert (error.kind, "../nowhere" in error.message) == ("module_fetch", True)

    @pytest.mark.parametrize(
        ("repo", "sha"),
        [
            ("../../user", "0" * 40), ("payments/infra/../..", "0" * 40), ("x", "0" * 40),
            ("a/b?c=d", "0" * 40), ("payments/infra", ""), ("payments/infra", "main"),
            ("payments/infra", "0" * 41),
        ],
    )  # fmt: skip
    def test_a_job_that_names_no_repository_or_commit_is_refused_unasked(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path, repo: str, sha: str
    ) -> None:
        odd = Source(kind="github", repo=repo, sha=sha)
        assert refused(source, job_of(odd, "a"), tmp_path / "w").kind == "job_refused"
        assert ghe.requests == []

    def test_no_time_left_fetches_nothing(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": ""})
        error = refused(source, job_of(commit, "a"), tmp_path / "w", seconds=-1)
        assert error.kind == "timeout"


class TestAttributes:
    """What `.gitattributes` do in a checkout; `test_attributes_git.py` has all of it."""

    def test_files_are_as_a_checkout_has_them_and_links_have_what_they_lead_to(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        files = {
            ".gitattributes": "*.ps1 text eol=crlf\n*.txt working-tree-encoding=UTF-16LE-BOM\n",
            "root/main.tf": "", "root/u.ps1": Executable("a\nb\n"), "root/u.txt": "\u00fc\n",
            "root/linked.sh": Link("../other/v.ps1"), "root/plain.ps1": Link("../other/v.sh"),
            "other/v.ps1": "v\n", "other/v.sh": "v\n", "other/.gitattributes": "*.sh ident\n",
        }  # fmt: skip
        commit = serve(ghe, files)
        ours, _ = laid_out(source, job_of(commit, "root"), tmp_path / "w")
        local = LocalSource([checkout(ghe, commit.repo, tmp_path / "checkout")])
        folder = Source(kind="local", repo=str(tmp_path / "checkout"))
        assert ours == laid_out(local, job_of(folder, "root"), tmp_path / "w")[0]
        assert ours["root/u.ps1"][1] == b"a\r\nb\r\n"
        assert ours["root/linked.sh"][1] == b"v\r\n"
        assert ours["root/u.txt"][1] == b"\xff\xfe\xfc\0\n\0"

    def test_their_files_come_with_the_others_and_only_those_above_what_is_taken(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        files = {
            f"{f}.gitattributes": f"* text\n# {f}\n" for f in ("", "a/", "a/b/", "c/", "a/d/e/")
        }
        commit = serve(
            ghe, files | {"a/b/main.tf": "#\n", "a/b/x": "x", "a/d/e/y": "y", "c/main.tf": ""}
        )
        ghe.clear()
        laid_out(source, job_of(commit, "a/b"), tmp_path / "w")
        assert Counter(kind_of(r) for r in ghe.requests) == {"tree": 1, "blob": 2 + 3}
        ghe.clear()
        laid_out(source, job_of(commit, "a/b"), tmp_path / "w")
        assert ghe.requests == []

    def test_a_file_in_a_filter_is_refused_where_the_plan_would_read_it(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        files = {
            ".gitattributes": "*.key filter=git-crypt\n",
            "a/main.tf": "",
            "a/x.key": "\0GITCRYPT",
        }
        commit = serve(ghe, files | {"b/main.tf": ""})
        error = refused(source, job_of(commit, "a"), tmp_path / "w")
        assert error.kind == "source_refused"
        assert "a/x.key" in error.message
        assert "git-crypt" in error.message
        laid_out(source, job_of(commit, "b"), tmp_path / "w")

    def test_what_conversions_add_counts_for_the_quota(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        files = {".gitattributes": "*.x ident\n", "a/main.tf": ""}
        commit = serve(ghe, files | {f"a/{n}.x": f"{n}" + "$Id$" * 1000 for n in range(20)})
        whole = 20 * 47 * 1000
        laid_out(source, job_of(commit, "a", limit_bytes=whole + 50_000), tmp_path / "w")
        error = refused(source, job_of(commit, "a", limit_bytes=whole - 50_000), tmp_path / "w")
        assert error.kind == "disk_quota"

    def test_attributes_too_large_refuse_the_root_unread(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/.gitattributes": "#" * 1_100_000, "a/main.tf": "", "b/main.tf": ""})
        ghe.clear()
        error = refused(source, job_of(commit, "a"), tmp_path / "w")
        assert (error.kind, "a/.gitattributes" in error.message) == ("source_refused", True)
        assert sum(request.sent for request in ghe.requests) < 100_000
        laid_out(source, job_of(commit, "b"), tmp_path / "w")


class TestNeighbours:
    """One process checks many roots of a commit: what ends one of them is nothing to the next."""

    def test_a_root_that_reaches_too_much_leaves_nothing_behind(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        files = {f"huge/{n}.tf": b"#" * 500_000 for n in range(10)}
        files |= {"evil/main.tf": calls("../huge").encode(), "good/main.tf": b"# good\n"}
        commit = serve(ghe, files)
        for _ in range(2):
            job = job_of(commit, "evil", limit_bytes=3_000_000)
            assert refused(source, job, tmp_path / "w").kind == "disk_quota"
            tree, _ = laid_out(source, job_of(commit, "good", limit_bytes=3_000_000), tmp_path)
            assert set(tree) == {"good", "good/main.tf"}

    def test_a_root_that_is_refused_leaves_nothing_behind(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        sources = calls("../a") + 'module "b" {\n  source = "../sub/x"\n}\n'
        files = {
            "evil/main.tf": sources, "a/x.tf": Link("../../etc/passwd"), "a/y.tf": "#" * 3_000_000,
            "sub": Submodule("https://example.com/x.git", "1" * 40), "good/main.tf": "# good\n",
        }  # fmt: skip
        commit = serve(ghe, files)
        with opened(ghe, tmp_path / "cache", CacheSettings(member_bytes=1 << 20)) as source:
            for _ in range(2):
                error = refused(source, job_of(commit, "evil"), tmp_path / "w")
                assert error.kind == "source_refused"
                tree, _ = laid_out(source, job_of(commit, "good"), tmp_path / "w")
                assert set(tree) == {"good", "good/main.tf"}

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("evil/" + "/".join(["a"] * 2100) + "/main.tf", "source_refused"),
            ("evil/..\\x", "source_refused"),
        ],
    )
    def test_what_cannot_be_listed_ends_what_needs_it_and_nothing_else(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path, path: str, kind: str
    ) -> None:
        many = {f"good/{n}.tpl": f"{n}" for n in range(200)}
        commit = serve(ghe, {path: "# x\n", "evil/main.tf": "", "good/main.tf": "", **many})
        below = path.rpartition("/")[0]
        for root in {"evil", below}:
            error = refused(source, job_of(commit, root), tmp_path / "w")
            assert (error.kind, "evil" in error.message) == (kind, True)
        caller = serve(
            ghe, {path: "# x\n", "root/main.tf": calls(f"../{below}"), "evil/x/main.tf": ""}
        )
        assert refused(source, job_of(caller, "root"), tmp_path / "w").kind == kind
        tree, _ = laid_out(source, job_of(commit, "good"), tmp_path / "w")
        assert len(tree) == 202
        tree, _ = laid_out(source, job_of(caller, "evil/x"), tmp_path / "w")
        assert "evil/x/main.tf" in tree


class TestTrouble:
    def test_credentials_that_are_refused_are_said_to_be_and_not_hammered_with(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": ""})
        ghe.clear()
        with opened(
            ghe, tmp_path / "cache", token="ghp_wrong000000000000000000000000000001"
        ) as bad:
            for _ in range(3):
                error = refused(bad, job_of(commit, "a"), tmp_path / "w")
                assert error.kind == "credentials"
                assert "ghp_wrong" not in error.message
        assert len(ghe.requests) == 1

    def test_a_token_that_was_replaced_meanwhile_is_used_by_the_next_job(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": ""})
        kept = tmp_path / "token"
        kept.write_text("ghp_old0000000000000000000000000000001")
        settings = GitHubSettings(url=ghe.url, token=f"file://{kept}", worker_patience_seconds=0)
        connection = LazyConnection(settings, CacheSettings(), tmp_path / "cache", {})
        source = GitHubSource(connection)
        assert refused(source, job_of(commit, "a"), tmp_path / "w").kind == "credentials"
        kept.write_text(ghe.token)
        laid_out(source, job_of(commit, "a"), tmp_path / "w")
        assert set(source.secrets()) == {"ghp_old0000000000000000000000000000001", ghe.token}
        connection.close()

    @pytest.mark.parametrize(
        "fault",
        [Fault.server_error(502), Fault.drop(), Fault.secondary_limit(120)],
        ids=lambda fault: fault.name,
    )
    def test_what_may_pass_is_no_answer_and_later_it_works(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path, fault: Fault
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "# x\n"})
        ghe.fault("/git/", fault, times=None)
        began = time.monotonic()
        with pytest.raises(GitHubUnavailable) as caught:
            laid_out(source, job_of(commit, "a"), tmp_path / "w")
        if fault.name == "secondary limit":
            # What is left of it by then.
            passed = time.monotonic() - began
            assert 120 - passed <= caught.value.retry_after_seconds <= 120
        ghe.heal()
        with opened(ghe, tmp_path / "cache") as later:
            tree, _ = laid_out(later, job_of(commit, "a"), tmp_path / "w")
        assert tree["a/main.tf"][1] == b"# x\n"

    def test_a_file_that_dribbles_takes_no_longer_than_the_check_may(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "", "a/big.bin": random.Random(1).randbytes(200_000)})
        ghe.fault("/git/blobs/", Fault.slow_body(0.2, 100), times=None)
        with opened(ghe, tmp_path / "cache", timeout_seconds=10) as source:
            started = time.monotonic()
            error = refused(source, job_of(commit, "a"), tmp_path / "w", seconds=4)
            assert time.monotonic() - started < 4 + 10 + SLACK
        assert error.kind == "timeout"

    def test_a_server_that_hangs_holds_all_who_want_the_same_only_once(
        self, ghe: StandIn, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": ""})
        ghe.fault("/git/trees/", Fault.delay(60), times=None)
        ended: list[tuple[type[Exception], float]] = []

        def check(number: int) -> None:
            place = tmp_path / "cache"
            with opened(ghe, place, timeout_seconds=3, patience_seconds=1) as source:
                try:
                    laid_out(source, job_of(commit, "a"), tmp_path / f"w{number}", seconds=100)
                except (CheckFailed, GitHubUnavailable) as error:
                    ended.append((type(error), time.monotonic() - started))

        started = time.monotonic()
        threads = [threading.Thread(target=check, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ghe.heal()
        assert {kind for kind, _ in ended} == {GitHubUnavailable}
        seconds = [second for _, second in ended]
        # Who failed first failed for all: one after the other they would take six seconds each.
        assert len(seconds) == 4
        assert max(seconds) - min(seconds) < 12
        # What other tests had delayed may still come in.
        trees = f"/{commit.repo}/git/trees/"
        assert len([r for r in ghe.requests if trees in r.path]) <= 5

    def test_a_login_page_is_said_to_be_one(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": ""})
        ghe.fault("/git/", Fault.login_page(), times=None)
        error = refused(source, job_of(commit, "a"), tmp_path / "w")
        assert (error.kind, "login page" in error.message) == ("source_refused", True)

    def test_what_the_cache_lost_or_has_wrong_is_fetched_again(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "# right\n", "a/b/c": "also right"})
        job = job_of(commit, "a")
        before = laid_out(source, job, tmp_path / "w")
        for number, blob in enumerate(
            p for p in (tmp_path / "cache/blobs").rglob("??*") if p.is_file()
        ):
            blob.write_bytes(b"# wrong\n") if number % 2 else blob.unlink()
        assert laid_out(source, job, tmp_path / "w") == before


class TestRequests:
    def test_modules_are_fetched_in_rounds_and_each_file_once(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        files = {"root/main.tf": calls(*(f"../m{n}" for n in range(5))), "unused/main.tf": "#"}
        files |= {f"m{n}/main.tf": calls("../deep") + f"# {n}\n" for n in range(5)}
        files |= {"deep/main.tf": "# deep\n", "deep/x.tpl": "x", "unused/y": "y"}
        commit = serve(ghe, files)
        ghe.clear()
        tree, _ = laid_out(source, job_of(commit, "root"), tmp_path / "w")
        assert sorted(kind_of(r) for r in ghe.requests) == ["blob"] * 8 + ["tree"]
        assert "unused" not in tree
        ghe.clear()
        laid_out(source, job_of(commit, "root"), tmp_path / "w")
        with opened(ghe, tmp_path / "cache") as another:
            laid_out(another, job_of(commit, "m1"), tmp_path / "w")
        assert ghe.requests == []

    def test_the_next_commit_costs_its_tree_and_what_changed(
        self, ghe: StandIn, source: GitHubSource, tmp_path: Path
    ) -> None:
        commit = serve(ghe, {"a/main.tf": "# 1\n", "a/x": "x", "a/y": "y"})
        laid_out(source, job_of(commit, "a"), tmp_path / "w")
        sha = ghe.commit(commit.repo, {"a/main.tf": "# 2\n"})
        ghe.clear()
        newer = commit.model_copy(update={"sha": sha})
        tree, _ = laid_out(source, job_of(newer, "a"), tmp_path / "w")
        assert tree["a/main.tf"][1] == b"# 2\n"
        assert [kind_of(r) for r in ghe.requests] == ["tree", "blob"]


def calls(*sources: str) -> str:
    return "".join(f'module "m{n}" {{\n  source = "{s}"\n}}\n' for n, s in enumerate(sources))


def kind_of(request: Request) -> str:
    match = re.search(r"/git/(tree|blob)s/|/(tarball)/|(_codeload)", request.path)
    return next(filter(None, match.groups())) if match else request.path
