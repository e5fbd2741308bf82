"""`driftfleet status`, `history`, `results` and `prune` as people run them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.status import objects, run_measured
from driftfleet.model import decode_record
from driftfleet.results import Result, Verdict
from driftfleet.root_status import RootStatus
from driftfleet.settings import ResultSettings
from driftfleet.store import FleetReader, ResultStore, open_objects, open_store
from tests.checked import checked, job
from tests.e2e.command import COMMAND, run_command
from tests.s3 import have_keys, running_s3
from tests.workers import short_folder

Run = Callable[..., subprocess.CompletedProcess[str]]
CLEAN_ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*arguments: str, expect: int, **variables: str) -> subprocess.CompletedProcess[str]:
        return run_command(arguments, tmp_path, {**CLEAN_ENVIRONMENT, **variables}, expect)

    return call


def open_at(folder: Path) -> ResultStore:
    return open_store(ResultSettings(store=f"file://{folder}"))


def ago(result: Result, age: timedelta) -> Result:
    """The same, finished then."""
    at = datetime.now(UTC) - age
    return result.model_copy(update={"started_at": at, "finished_at": at})


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """What commands find by default: three roots, each checked each day of 100."""
    store = open_at(tmp_path / "drift-results")
    for days in reversed(range(100)):
        for root, verdict in (("a", Verdict.CLEAN), ("b", Verdict.DRIFTED)):
            age = timedelta(days=days, hours=1)
            store.add(ago(checked(job(f"envs/{root}"), 0, verdict), age))
    return store


def test_status_ends_with_what_it_found(run: Run, store: ResultStore) -> None:
    done = run("status", expect=3)
    assert [line.split()[2:5] for line in done.stdout.splitlines()[1:3]] == [
        ["envs/b", "99d01h", "1h00m"],
        ["envs/a", "99d01h", "1h00m"],
    ]
    assert done.stderr == ""
    assert run("status", "--root", "envs/a", expect=0).stdout.endswith("\n1 root: 1 clean\n")
    store.add(ago(checked(job("envs/c"), 0, Verdict.ERROR), timedelta(hours=3)))
    run("status", expect=1)
    run("status", "--verdict", "drifted", expect=3)
    run("status", "--stale", "2h", expect=1)
    run("status", "--stale", "2h", "--verdict", "clean", expect=0)
    run("status", "--stale", "soon", expect=2)
    run("status", "acme/none", expect=2)
    assert "holds no result" in run("status", "--results", "elsewhere", expect=2).stderr
    records = [decode_record(RootStatus, line) for line in
               run("status", "--json", expect=1).stdout.splitlines()]  # fmt: skip
    assert {one.root for one in records} == {"envs/a", "envs/b", "envs/c"}


def test_history_takes_what_status_prints(run: Run, store: ResultStore) -> None:
    row = run("status", expect=3).stdout.splitlines()[1].split()
    done = run("history", *row[1:3], expect=0)
    assert done.stdout.splitlines()[0] == "acme/infra envs/b default"
    assert re.search(r"^drifted +\S+ \S+Z +\S+ \S+Z +100 +\w{8}$", done.stdout, re.MULTILINE)
    done = run("history", "b", "--checks", "--since", "10d", "--json", expect=0)
    finished = [decode_record(Result, line).finished_at for line in done.stdout.splitlines()]
    assert len(finished) == 10
    assert finished == sorted(finished, reverse=True)
    assert "did you mean\n  acme/infra envs/b default" in run("history", "bb", expect=2).stderr
    run("history", expect=2)


def test_results_are_records_one_a_line(run: Run, store: ResultStore) -> None:
    done = run("results", "--json", expect=0)
    assert [json.loads(line)["job"]["root"] for line in done.stdout.splitlines()] == [
        "envs/a", "envs/b",
    ]  # fmt: skip
    done = run("results", "--json", "--since", "50d", expect=0)
    assert len(done.stdout.splitlines()) == 100
    run("results", "--json", "--since", "50d", "--latest", expect=2)


def test_prune_shows_and_then_removes(run: Run, store: ResultStore, tmp_path: Path) -> None:
    before = run("status", "--json", expect=3).stdout
    assert "would remove 20 older than 90d" in run("prune", expect=0).stdout
    assert "removed 20 older than 90d" in run("prune", "--yes", expect=0).stdout
    assert "nothing in " in run("prune", "--yes", expect=0).stdout
    assert run("status", "--json", expect=3).stdout == before
    done = run("prune", "--yes", expect=2, DRIFTFLEET_RESULTS__STORE="s3://bucket/fleet")
    assert "deploy/results-bucket" in done.stderr


def test_prune_beside_writers_loses_nothing_of_theirs(run: Run, tmp_path: Path) -> None:
    """Into folders that it empties, but for the newest, at that moment."""
    store = open_at(tmp_path / "drift-results")
    for number in range(50):
        for days in (100, 101, 102):
            result = checked(job(f"r{number}")).model_copy(update={"worker": f"w{days}"})
            store.add(ago(result, timedelta(days=days)))
    command = [COMMAND, "prune", "--yes"]
    with subprocess.Popen(command, cwd=tmp_path, env=CLEAN_ENVIRONMENT, stdout=-1) as prune:
        written = []
        while prune.poll() is None or len(written) < 50:
            result = checked(job(f"r{len(written) % 50}"))
            written.append(store.add(ago(result, timedelta(0))))
    assert prune.returncode == 0
    assert all(store.get(key) for key in written)
    assert run("prune", expect=0).stdout.startswith(("nothing in ", " "))


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("status", "--json"),
        ("history", "b", "--checks", "--limit", "1000"),
        ("history", "b", "--checks", "--json", "--limit", "1000"),
        ("results", "--json", "--since", "100d"),
    ],
    ids=" ".join,
)
def test_who_reads_no_further_ends_it_without_a_word(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    store = open_at(tmp_path / "drift-results")
    # More than a pipe holds.
    for number in range(150):
        for root in ("b", f"r{number}") if command[0] == "status" else ("b",):
            result = checked(job(root), 0, Verdict.DRIFTED, address="a" * 2000)
            store.add(ago(result, timedelta(minutes=200 - number)))
    for number in range(150):
        name = f"r{number}-{'x' * 400}"
        if command[0] == "status":
            store.add(ago(checked(job(name), 0, Verdict.DRIFTED), timedelta(minutes=1)))
    script = '"$0" "$@" | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["/bin/bash", "-c", script, str(COMMAND), *command],
        cwd=tmp_path, env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")


def test_nothing_heavy_is_imported_for_a_folder(store: ResultStore, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "def leave(code):\n"
        "    heavy = {'celery', 'kombu', 'redis', 'hcl2', 'httpx', 'boto3', 'botocore', 'jinja2'}\n"
        "    heavy &= set(sys.modules)\n"
        "    sys.stderr.write(f'imported: {heavy}' if heavy else '')\n"
        "    sys.exit(9 if heavy else 0)\n"
        "import producer.options\n"
        "producer.options.leave = leave\n"
        "from producer.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    leave(end.code)\n"
    )
    for command in (["status"], ["history", "b"], ["results", "--since", "1d"], ["prune"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=tmp_path, env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.fixture(scope="module")
def large() -> Iterator[Path]:
    """1,000 roots with 10,000 results; benchmarks/status.py has ten times as many."""
    with short_folder("l") as folder:
        for key, body in objects(1000, 10):
            path = folder / key
            if key.endswith("-s9.json") or key.startswith("latest/"):
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        yield folder


def test_a_large_fleet_is_read_in_little_time_and_memory(large: Path) -> None:
    """By processor time: this machine may be busy."""
    environment = {**CLEAN_ENVIRONMENT, "DRIFTFLEET_RESULTS__STORE": f"file://{large}"}
    for command, code, lines in (
        (["status"], 3, 1003),
        (["status", "--json"], 3, 1000),
        (["history", "stack-10", "--checks", "--json"], 0, 10),
    ):
        run = run_measured(command, environment, large, large / "out")
        assert run.exit_code == code
        assert len((large / "out").read_text().splitlines()) == lines
        assert run.cpu_seconds < 3
        assert run.peak_bytes < 150e6


def test_results_of_any_number_take_no_more_memory(large: Path) -> None:
    """As of one root."""
    environment = {**CLEAN_ENVIRONMENT, "DRIFTFLEET_RESULTS__STORE": f"file://{large}"}
    peaks = []
    for globs in (["--root", "**/stack-7"], ["--root", "**/stack-1??"]):
        command = ["results", "--json", "--since", "90d", *globs]
        run = run_measured(command, environment, large, large / "out")
        assert run.exit_code == 0
        peaks.append(run.peak_bytes)
    assert len((large / "out").read_text().splitlines()) == 100 * 10
    assert peaks[1] - peaks[0] < 10e6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(large: Path, number: signal.Signals) -> None:
    environment = {**CLEAN_ENVIRONMENT, "DRIFTFLEET_RESULTS__STORE": f"file://{large}"}
    command = [COMMAND, "results", "--json", "--since", "90d"]
    with subprocess.Popen(
        command, env=environment, cwd=large, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(number)
        started = time.monotonic()
        _, stderr = child.communicate(timeout=30)
    assert time.monotonic() - started < 10
    assert (child.returncode, stderr) == (128 + number, b"stopped\n")


@pytest.mark.parametrize("command", [("status",), ("history", "b"), ("results",), ("prune",)])
def test_a_stdout_that_takes_nothing_is_one_line_and_exit_1(
    store: ResultStore, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" "$@" > /dev/full', str(COMMAND), *command],
        cwd=tmp_path, env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    said = "Error: stdout can't be written to: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_they_say_the_same_of_s3(
    run: Run, store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_keys(monkeypatch)
    with running_s3(tmp_path) as s3:
        settings = s3.settings(prefix="fleet")
        objects = open_objects(settings)
        for path in (tmp_path / "drift-results").rglob("*.json"):
            key = path.relative_to(tmp_path / "drift-results").as_posix()
            if "envs/a" not in key or "latest" in key:
                objects.put(key, path.read_bytes())
        told = {
            "DRIFTFLEET_RESULTS__STORE": settings.store,
            "DRIFTFLEET_RESULTS__S3": json.dumps(settings.s3.model_dump(exclude_defaults=True)),
            **{name: os.environ[name] for name in os.environ if name.startswith("AWS_")},
        }
        for command, code in (
            (("status", "--json"), 3),
            (("history", "b", "--checks", "--since", "20d", "--json"), 0),
        ):
            there = run(*command, expect=code, **told)
            assert there.stdout == run(*command, expect=code).stdout != ""
            assert there.stderr == ""
        reader = FleetReader(objects)
        reader.read()
        reader.keep()
        assert run("status", "--json", expect=3, **told).stdout.count("\n") == 2
