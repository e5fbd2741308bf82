"""The Lambda function's settings, its sandbox's files, and the bound of its answers."""

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftfleet.configuration import load_settings
from driftfleet.jobs import Job, Source
from driftfleet.results import Change, Result, Verdict
from driftfleet.settings import Settings
from worker.aws_lambda import bounded
from worker.aws_lambda_settings import function_settings, worker_environment, worker_name
from worker.sandbox import Sandbox

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def result_with(changes: int, notes: int = 0) -> Result:
    source = Source(kind="github", repo="payments/infra", sha="0" * 40)
    change = Change(address="aws_x.y" * 20, kind="drift", actions=("update",), attributes=("tags",))
    return Result(
        job=Job(sweep_id="s", source=source, root="."),
        verdict=Verdict.DRIFTED,
        changes=(change,) * changes,
        notes=("a note " * 20,) * notes,
        started_at=NOON,
        finished_at=NOON,
    )


def test_a_result_that_fits_is_the_answer() -> None:
    result = result_with(3)
    assert bounded(result, "key") == result.model_dump(mode="json")


@pytest.mark.parametrize("notes", [0, 1000])
@pytest.mark.parametrize("most_bytes", [3000, 10_000, 200_000])
def test_one_that_does_not_fit_is_cut_and_says_where_the_rest_is(
    most_bytes: int, notes: int
) -> None:
    answer = bounded(result_with(1000, notes), "results/key.json", most_bytes)
    assert len(json.dumps(answer)) <= most_bytes
    left = 1000 - len(answer["changes"])
    assert answer["notes"][-1].startswith(f"{left:,} of 1,000 changes are left out")
    assert answer["notes"][-1].endswith("results/key.json")
    assert answer["changes_cut"] == left
    assert Result.model_validate(answer).verdict is Verdict.DRIFTED


class TestSettings:
    """The disk is shared out where nobody says how."""

    def settings(self, folder: Path, more: Mapping[str, str] | None = None) -> Settings:
        environment = {
            "DRIFTFLEET_WORKER__WRITABLE_ROOT": str(folder / "w"),
            "DRIFTFLEET_RESULTS__STORE": "file:///mnt/results",
        }
        return function_settings(load_settings(environment={**environment, **(more or {})}))

    def test_caches_and_the_check_fit_into_the_disk(self, tmp_path: Path) -> None:
        fitted = self.settings(tmp_path)
        shared = fitted.limits.workspace_bytes + fitted.cache.limit_bytes
        disk = os.statvfs(tmp_path)
        size = disk.f_blocks * disk.f_frsize
        assert shared + fitted.installs.limit_bytes == pytest.approx(size, abs=8)
        assert fitted.installs.unused_seconds == 0

    def test_what_is_set_stays(self, tmp_path: Path) -> None:
        fitted = self.settings(tmp_path, {
            "DRIFTFLEET_CACHE__LIMIT_BYTES": "5000000",
            "DRIFTFLEET_INSTALLS__UNUSED_SECONDS": "7",
            "DRIFTFLEET_LIMITS__WORKSPACE_BYTES": "12345",
        })  # fmt: skip
        assert fitted.cache.limit_bytes == 5_000_000
        assert fitted.installs.unused_seconds == 7
        assert fitted.limits.workspace_bytes == 12_345

    def test_a_plan_sees_nothing_of_lambdas_own(self) -> None:
        environment = {
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
            "AWS_LAMBDA_FUNCTION_NAME": "fleet",
            "AWS_REGION": "eu-central-1",
        }
        assert worker_environment(environment) == {"AWS_REGION": "eu-central-1"}
        assert worker_name(environment) == "fleet"


class TestSandbox:
    """What is removed from the temporary directory, and when nothing is."""

    @pytest.fixture
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        (tmp_path / "root" / "cache").mkdir(parents=True)
        return tmp_path

    def sandbox(self, temporary: Path) -> Sandbox:
        root = temporary / "root"
        return Sandbox(root, [root / "cache", root / "installs"])

    def test_all_but_what_is_kept_goes(self, temporary: Path) -> None:
        sandbox = self.sandbox(temporary)
        assert sandbox.claim()
        (temporary / "root" / "cache" / "blob").touch()
        (temporary / "root" / "stray").mkdir()
        (temporary / "root" / "stray" / "file").touch()
        (temporary / "link").symlink_to(temporary / "root" / "cache")
        (temporary / ".hidden").touch()
        assert sandbox.clear() == 3
        left = {path.name for path in temporary.rglob("*")}
        assert left == {".driftfleet", "root", "cache", "blob"}

    def test_a_file_in_the_place_of_the_root_goes(self, temporary: Path) -> None:
        sandbox = self.sandbox(temporary)
        assert sandbox.claim()
        (temporary / "root").rename(temporary / "other")
        (temporary / "root").touch()
        assert sandbox.clear() == 2

    def test_a_link_in_the_place_of_the_root_goes_and_not_what_it_leads_to(
        self, temporary: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "precious").touch()
        sandbox = self.sandbox(temporary)
        assert sandbox.claim()
        (temporary / "root").rename(temporary / "other")
        (temporary / "root").symlink_to(elsewhere)
        assert sandbox.clear() == 2
        assert [path.name for path in temporary.iterdir()] == [".driftfleet"]
        assert (elsewhere / "precious").exists()

    def test_the_next_process_knows_that_it_is_its_own(self, temporary: Path) -> None:
        assert self.sandbox(temporary).claim()
        (temporary / "stray").touch()
        again = self.sandbox(temporary)
        assert again.claim()
        assert again.clear() == 1

    @pytest.mark.parametrize("how", ["a folder", "a full file", "a link", "nothing"])
    def test_what_stands_in_the_marks_place_goes(self, temporary: Path, how: str) -> None:
        sandbox = self.sandbox(temporary)
        assert sandbox.claim()
        marker = temporary / ".driftfleet"
        marker.unlink()
        if how == "a folder":
            (marker / "hidden").mkdir(parents=True)
        elif how == "a full file":
            marker.write_text("hidden")
        elif how == "a link":
            marker.symlink_to("/")
        assert sandbox.clear() == (0 if how == "nothing" else 1)
        assert marker.lstat().st_size == 0
        assert self.sandbox(temporary).claim()

    def test_a_writable_root_with_nothing_kept_in_it_is_no_strangers(
        self, temporary: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        (temporary / "root" / "cache").rmdir()
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "version").touch()
        sandbox = Sandbox(temporary / "root", [elsewhere])
        assert sandbox.claim()
        (temporary / "root" / "stray").touch()
        assert sandbox.clear() == 1
        assert [path.name for path in elsewhere.iterdir()] == ["version"]

    @pytest.mark.parametrize("closed", [".", "root", "root/cache", "root/cache/blobs"])
    def test_a_folder_that_was_closed_is_opened_again(self, temporary: Path, closed: str) -> None:
        (temporary / "root" / "cache" / "blobs").mkdir()
        sandbox = self.sandbox(temporary)
        assert sandbox.claim()
        (temporary / "stray").touch()
        (temporary / closed).chmod(0)
        assert sandbox.clear() == 1
        assert (temporary / closed).stat().st_mode & 0o700 == 0o700

    @pytest.mark.parametrize("how", ["a file", "a link"])
    def test_what_stands_in_the_place_of_a_kept_folder_goes(
        self, temporary: Path, how: str
    ) -> None:
        sandbox = self.sandbox(temporary)
        assert sandbox.claim()
        cache = temporary / "root" / "cache"
        cache.rmdir()
        if how == "a file":
            cache.touch()
        else:
            cache.symlink_to(temporary)
        assert sandbox.clear() == 1
        assert not cache.is_symlink()
        assert not cache.exists()

    def test_where_others_have_files_nothing_is_removed(self, temporary: Path) -> None:
        (temporary / "theirs").touch()
        sandbox = self.sandbox(temporary)
        assert not sandbox.claim()
        assert sandbox.clear() == 0
        assert (temporary / "theirs").exists()
