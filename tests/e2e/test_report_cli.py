"""`driftfleet report` as people run it: its pages, its server, and its end."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from driftfleet.results import Verdict
from driftfleet.store.files import FileObjects
from tests.e2e.command import COMMAND, run_command
from tests.site_links import broken_links
from tests.sites import swept


@pytest.fixture
def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "drift-results"
    swept(FileObjects(folder), ["a", "b"], Verdict.DRIFTED, at=datetime.now(UTC))
    return folder


@pytest.fixture
def serving(
    tmp_path: Path, results: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [COMMAND, "report", "--serve", "--port", "0"], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    yield started
    started.kill()
    started.communicate()


def url_of(serving: subprocess.Popen[str]) -> str:
    assert serving.stdout is not None
    line = serving.stdout.readline()
    found = re.fullmatch(r"dashboard: (http://127\.0\.0\.1:\d+/site/index\.html)\n", line)
    assert found, line
    return found[1]


def test_it_makes_the_pages_and_says_where(
    tmp_path: Path, results: Path, environment: dict[str, str]
) -> None:
    done = run_command(["report"], tmp_path, environment, 0)
    assert done.stdout == "dashboard: drift-results/site/index.html\n"
    assert done.stderr == ""
    assert broken_links(FileObjects(results)) == []
    told = json.loads(run_command(["report", "--json"], tmp_path, environment, 0).stdout)
    assert told == {
        "dashboard": str(results / "site" / "index.html"), "roots": 2, "pages": 2, "removed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(
    serving: subprocess.Popen[str], end: signal.Signals
) -> None:
    url = url_of(serving)
    with urllib.request.urlopen(url, timeout=60) as page:
        assert b"driftfleet" in page.read()
    serving.send_signal(end)
    out, err = serving.communicate(timeout=60)
    assert serving.returncode == 128 + end
    assert "Traceback" not in err
    assert out == ""


def test_where_nobody_may_write_the_pages_that_are_there_are_shown(
    tmp_path: Path, results: Path, environment: dict[str, str]
) -> None:
    run_command(["report"], tmp_path, environment, 0)
    # In the way of what is written each time.
    (results / "site" / "pages.json").unlink()
    (results / "site" / "pages.json").mkdir()
    (results / "site" / "pages.json" / "x").write_text("")
    assert "pages.json" in run_command(["report"], tmp_path, environment, 1).stderr
    with subprocess.Popen(
        [COMMAND, "report", "--serve", "--port", "0"], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as serving:  # fmt: skip
        with urllib.request.urlopen(url_of(serving), timeout=60) as page:
            assert page.status == 200
        serving.terminate()
        _, err = serving.communicate(timeout=60)
    assert "warning: the pages are as they were made before" in err


def test_mistakes_are_explained(
    tmp_path: Path, results: Path, environment: dict[str, str], serving: subprocess.Popen[str]
) -> None:
    port = url_of(serving).split(":")[2].split("/")[0]
    taken = run_command(["report", "--serve", "--port", port], tmp_path, environment, 2)
    assert "name another port with --port" in taken.stderr
    wrong = run_command(["report", "--stale", "soon"], tmp_path, environment, 2)
    assert "report.stale_after" in wrong.stderr
    assert "no length of time" in wrong.stderr
    often = {**environment, "DRIFTFLEET_REPORT__EVERY": "5s"}
    assert "1m at least" in run_command(["report"], tmp_path, often, 2).stderr
    assert "no known scheme" in run_command(
        ["report", "--results", "ftp://x/y"], tmp_path, environment, 2
    ).stderr  # fmt: skip


def test_a_scan_whose_dashboard_fails_says_so_and_ends_as_it_would(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    root = tmp_path / "infra" / "app"
    root.mkdir(parents=True)
    (root / "main.tf").write_text('resource "terraform_data" "this" {}\n')
    (tmp_path / "drift-results").mkdir()
    (tmp_path / "drift-results" / "site").write_text("no folder")
    done = run_command(["scan", "infra"], tmp_path, environment, 3)
    assert "warning: the dashboard was not made" in done.stderr
    assert done.stdout.splitlines()[-1].startswith("results: ")
    off = {**environment, "DRIFTFLEET_REPORT__ENABLED": "false"}
    silent = run_command(["scan", "--json", "infra"], tmp_path, off, 3)
    assert [json.loads(line)["verdict"] for line in silent.stdout.splitlines()] == ["unapplied"]
    assert silent.stderr == ""
