"""What the sources of root modules share: how failures are answered, what may be written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from driftfleet.closure import Closure
from driftfleet.errors import (
    CheckFailed,
    CredentialsRefused,
    DriftfleetError,
    GitHubNotFound,
    GitHubRefused,
    GitHubUnavailable,
    RepositoryEmpty,
    SourceRefused,
)
from driftfleet.jobs import Job, Source
from worker.selection import Found
from worker.source import Sources, enforce_deadline, explained, lay_out
from worker.workspace import Workspace, Workspaces

JOB = Job(
    sweep_id="s", source=Source(kind="github", repo="payments/infra", sha="c0ffee" * 6), root="a"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspaces(tmp_path).use(1 << 20) as workspace:
        yield workspace


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (GitHubNotFound("GET /x: 404", 404), "source_missing", "our token may not see it"),
        (CredentialsRefused("the token was refused"), "credentials", "the token was refused"),
        (GitHubRefused("GET /x: 451", 451), "source_refused", "451"),
        (RepositoryEmpty("no commit", 409), "source_refused", "no commit"),
        (SourceRefused("a/link: leads out"), "source_refused", "a/link"),
    ],
)
def test_what_ends_a_fetch_is_answered_with_its_repository_and_reason(
    error: DriftfleetError, kind: str, says: str
) -> None:
    with pytest.raises(CheckFailed) as caught, explained(JOB):
        raise error
    assert (caught.value.phase, caught.value.kind, caught.value.transient) == (
        "source",
        kind,
        False,
    )
    assert caught.value.message.startswith("payments/infra at c0ffeec0ffee: ")
    assert says in caught.value.message


def test_what_may_pass_is_left_to_be_tried_again() -> None:
    with pytest.raises(GitHubUnavailable), explained(JOB):
        raise GitHubUnavailable


def test_a_kind_of_source_that_the_worker_lacks_is_refused_with_the_setting(
    workspace: Workspace,
) -> None:
    with pytest.raises(CheckFailed, match=r"github\.url") as caught:
        Sources({}).fetch(JOB, workspace, 0)
    assert caught.value.kind == "job_refused"


def test_each_job_goes_to_the_source_of_its_kind_and_all_secrets_are_known(
    workspace: Workspace,
) -> None:
    class Fixed:
        def __init__(self, name: str) -> None:
            self.name = name

        def fetch(self, job: Job, workspace: Workspace, deadline: float) -> Closure:
            return Closure((self.name,))

        def secrets(self) -> list[str]:
            return [f"secret of {self.name}"]

    sources = Sources({"local": Fixed("local"), "github": Fixed("github")})
    assert sources.fetch(JOB, workspace, 0).folders == ("github",)
    assert set(sources.secrets()) == {"secret of local", "secret of github"}


def test_a_check_whose_time_is_over_fetches_no_further() -> None:
    with pytest.raises(CheckFailed, match=r"fetched and read.*limits\.timeout_seconds") as caught:
        enforce_deadline(JOB, 0)
    assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../../x",
        "/etc/x",
        "a//x",
        "a/./x",
        "a/\0",
        "",
        "a/..",
        "half \ud83d",
        "a/" + "n" * 300,
    ],
)
def test_no_name_of_a_repository_is_written_outside_or_breaks_the_worker(
    workspace: Workspace, path: str
) -> None:
    def put(found: Found, target: Path) -> None:
        target.write_bytes(b"x")

    with pytest.raises(SourceRefused):
        lay_out({path: Found(path, "file")}, workspace, put)
    assert [p for p in workspace.path.parent.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_is_written_by_way_of_a_link(
    workspace: Workspace, kind: Literal["file", "folder", "link"]
) -> None:
    """Whatever a selection holds: a link may lead anywhere."""

    def put(found: Found, target: Path) -> None:
        target.write_bytes(b"x")

    chosen = {"a": Found("../h", "link"), "a/x": Found("y", kind)}
    with pytest.raises(SourceRefused, match="a/x: lies below a symbolic link"):
        lay_out(chosen, workspace, put)
    assert os.listdir(workspace.home) == []


def test_what_is_two_things_is_refused(workspace: Workspace) -> None:
    chosen = {"a": Found("a", "file"), "a/x": Found("a/x", "file")}
    with pytest.raises(SourceRefused, match=r"^a/x: is two things at once"):
        lay_out(chosen, workspace, lambda found, target: target.touch())


def test_the_workspaces_may_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "w").symlink_to("real")
    with Workspaces(tmp_path / "w").use(1 << 20) as workspace:
        lay_out({"a/x": Found("a/x", "file")}, workspace, lambda found, target: target.touch())
        assert (workspace.source / "a/x").is_file()


def test_files_come_with_their_folders_and_folders_without_files(workspace: Workspace) -> None:
    def put(found: Found, target: Path) -> None:
        target.write_bytes(found.path.encode())

    chosen = {
        "a/b/x": Found("real", "file"), "a": Found("a", "folder"), "e": Found("e", "folder"),
        "caf\udce9": Found("latin", "file"),
    }  # fmt: skip
    lay_out(chosen, workspace, put)
    assert (workspace.source / "a/b/x").read_bytes() == b"real"
    assert (workspace.source / "e").is_dir()
    assert (workspace.source / "caf\udce9").read_bytes() == b"latin"
