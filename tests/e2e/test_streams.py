"""The command where its streams, its folder or its very first moments are out of order."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.e2e.command import COMMAND
from tests.workers import short_folder

ROOT = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
COMMANDS = (
    ["--help"],
    ["discover", "."],
    ["discover", "--json", "."],
    ["doctor"],
    ["doctor", "--json"],
    ["scan", "."],
    ["scan", "--json", "."],
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    require_program("terraform", "install Terraform 1.11")
    folder = tmp_path / "infra"
    folder.mkdir()
    (folder / "main.tf").write_text(ROOT)
    return folder


def run(
    tree: Path, script: str, *arguments: str, temporary: Path
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}
    return subprocess.run(
        ["/bin/sh", "-c", script, str(COMMAND), *arguments],
        check=False,
        cwd=tree,
        env={**kept, "TMPDIR": str(temporary), "HOME": str(tree)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_a_stdout_that_takes_nothing_is_one_line_and_exit_1(
    tree: Path, arguments: list[str], redirection: str, reason: str
) -> None:
    with short_folder("s") as temporary:
        done = run(tree, f'"$0" "$@" {redirection}', *arguments, temporary=temporary)
        assert list(temporary.iterdir()) == []
    assert done.stderr == f"Error: stdout can't be written to: {reason}\n"
    assert done.returncode == 1


def test_without_a_stderr_all_is_done_as_ever(tree: Path) -> None:
    with short_folder("s") as temporary:
        done = run(tree, '"$0" "$@" 2>&-', "discover", ".", temporary=temporary)
        wrong = run(tree, '"$0" "$@" 2>&- <&-', "discover", "nowhere", temporary=temporary)
    assert (done.returncode, wrong.returncode) == (0, 2)
    assert "1 root module" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [(["scan", "."], 2), (["discover"], 2), (["doctor", "."], 1)]
)
def test_a_folder_that_was_deleted_is_said_to_be(
    tree: Path, arguments: list[str], code: int
) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"'
    with short_folder("s") as temporary:
        done = run(tree, script, *arguments, temporary=temporary)
    told = done.stdout + done.stderr
    assert "the current folder can't be found" in told
    assert "Traceback" not in told
    assert done.returncode == code


@pytest.mark.parametrize("command", ["enqueue", "worker", "doctor"])
def test_a_database_that_is_no_number_is_told_with_its_setting(tree: Path, command: str) -> None:
    script = f'DRIFTFLEET_BROKER__URL=redis://:s3cr3t@127.0.0.1:1/abc exec "$0" {command}'
    variables = "DRIFTFLEET_GITHUB__URL=https://ghe.invalid DRIFTFLEET_REPOSITORIES='[a/b]' "
    github = variables if command == "enqueue" else ""
    with short_folder("s") as temporary:
        done = run(tree, github + script, temporary=temporary)
    told = done.stdout + done.stderr
    assert "DRIFTFLEET_BROKER__URL" in told
    assert "number of a database" in " ".join(told.split())
    assert "s3cr3t" not in told
    assert "Traceback" not in told
    assert done.returncode == (1 if command == "doctor" else 2)


def test_ctrl_c_at_any_early_moment_is_130_without_a_traceback(tree: Path) -> None:
    for step in range(12):
        # It says what it imports: what Python does before our first line is not ours to catch.
        with subprocess.Popen(
            [COMMAND, "scan", "."], cwd=tree, bufsize=0,
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(tree), "PYTHONVERBOSE": "1"},
        ) as one:  # fmt: skip
            assert one.stderr is not None
            before = next((line for line in one.stderr if b"producer/output" in line), None)
            assert before is not None
            time.sleep(step * 0.02)
            one.send_signal(signal.SIGINT)
            _, told = one.communicate(timeout=60)
        stderr = told.decode()
        assert one.returncode == 130, stderr
        assert "Traceback" not in stderr
        assert "Aborted" not in stderr
