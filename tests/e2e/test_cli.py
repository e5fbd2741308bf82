"""The `driftfleet` command as people run it: its streams, its exit code, what it leaves."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from driftfleet.latest import LatestRecord
from driftfleet.model import decode_record
from driftfleet.results import Result, Verdict
from driftfleet.sweeps import SweepRecord
from tests.conftest import require_program
from tests.e2e.command import COMMAND, run_command
from tests.workers import short_folder, wait_until

UNAPPLIED = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
CLEAN = 'module "names" {\n  source = "../modules/names"\n}\n'
MODULE = 'output "name" {\n  value = "x"\n}\n'
BROKEN = 'resource "terraform_data" "this" {\n'

# A terraform that never ends and doesn't want to, in a process of its own.
HANGING = "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 600 &\nwait\nsleep 600\n"
# One that hangs in the root `app` alone.
HANGING_IN_APP = '#!/bin/sh\ncase "$PWD/" in */app/*) sleep 600 ;; esac\nexec {terraform} "$@"\n'
# One that hangs only while MARK is missing.
HANGING_ONCE = (
    '#!/bin/sh\nif [ ! -e "{mark}" ]; then : > "{mark}"; sleep 600; fi\nexec {terraform} "$@"\n'
)


@pytest.fixture(autouse=True)
def _needs_terraform() -> None:
    require_program("terraform", "install Terraform 1.11")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The TMPDIR of the commands: all that they leave is in it."""
    with short_folder("c") as folder:
        yield folder


@pytest.fixture
def environment(temporary: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}
    return {**kept, "TMPDIR": str(temporary)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "infra"
    write(folder, {"app": UNAPPLIED, "net": CLEAN, "modules/names": MODULE})
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str], temporary: Path) -> Run:
    def call(
        *arguments: str | Path, expect: int, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = run_command(arguments, tmp_path, {**environment, **(variables or {})}, expect)
        assert left_in(temporary) == []
        return done

    return call


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def call(*arguments: str | Path) -> subprocess.Popen[str]:
        scan = subprocess.Popen(
            [COMMAND, *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(scan)
        return scan

    yield call
    for scan in started:
        scan.kill()
        scan.communicate()


def write(folder: Path, roots: dict[str, str]) -> None:
    for root, text in roots.items():
        (folder / root).mkdir(parents=True, exist_ok=True)
        (folder / root / "main.tf").write_text(text)


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def users_of(folder: Path) -> list[psutil.Process]:
    """Processes that live in ``folder``, or were told to write there."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            inside = one.cwd().startswith(str(folder))
            told = one.environ().get("TMPDIR", "").startswith(str(folder))
            if (inside or told) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def left_in(folder: Path) -> list[str]:
    """Files and processes that are left."""
    files = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    return files + [" ".join(one.cmdline()) for one in users_of(folder)]


def await_hanging(folder: Path) -> None:
    """Wait until a check hangs in its terraform."""

    def hangs() -> bool:
        return any("sleep" in one.name() for one in users_of(folder))

    assert wait_until(hangs, 60)


# What a scan says and keeps


def test_a_scan_tells_what_it_found_keeps_it_and_leaves_nothing(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    done = run("scan", "infra", expect=3)
    lines = done.stdout.splitlines()
    assert sorted(line[5:23].strip() for line in lines[:2]) == ["clean", "unapplied"]
    assert [line[:3] for line in lines[:2]] == ["1/2", "2/2"]
    assert any(re.search(r"app  [\d.]+ s  1 unapplied: terraform_data.this", x) for x in lines[:2])
    assert lines[3].split() == ["VERDICT", "ROOT", "SECONDS", "WHAT"]
    assert lines[4].startswith("unapplied  app")
    assert lines[5].startswith("clean      net")
    assert re.fullmatch(r"2 checked in [\d.]+ s: 1 unapplied, 1 clean", lines[-3])
    assert done.stderr == ""
    store = tmp_path / "drift-results"
    assert lines[-2].startswith(f"results: {store} ")
    assert lines[-1] == "dashboard: drift-results/site/index.html"
    (sweep,) = (store / "sweeps").iterdir()
    record = decode_record(SweepRecord, sweep.read_bytes())
    assert sorted(record.answered.values()) == [Verdict.CLEAN, Verdict.UNAPPLIED]
    assert record.missing == ()
    assert record.closed_at is not None
    assert len(list((store / "results").rglob("*.json"))) == 2
    latest = [
        decode_record(LatestRecord, p.read_bytes()) for p in (store / "latest").rglob("*.json")
    ]
    assert {one.result.job.root for one in latest} == {"app", "net"}
    assert not list(tree.rglob(".terraform*"))


def test_all_clean_is_exit_0_and_an_error_is_exit_1_over_drift(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    assert "1 clean" in run("scan", "infra", "--exclude", "app", expect=0).stdout
    write(tree, {"broken": BROKEN})
    done = run("scan", "infra", expect=1)
    assert "1 error, 1 unapplied, 1 clean" in done.stdout
    assert re.search(r"^broken: hcl \(in ", done.stdout, re.MULTILINE)


def test_json_is_one_result_a_line_on_stdout_and_nothing_else_anywhere(
    run: Run, tree: Path
) -> None:
    done = run("scan", "--json", "infra", expect=3)
    results = [decode_record(Result, line) for line in done.stdout.splitlines()]
    assert {(r.job.root, r.verdict.value) for r in results} == {
        ("app", "unapplied"), ("net", "clean"),
    }  # fmt: skip
    assert done.stderr == ""


def test_several_folders_are_one_sweep_and_are_told_apart(run: Run, tree: Path) -> None:
    write(tree.parent / "other", {"app": UNAPPLIED})
    done = run("scan", "infra", "other", "infra/", "infra/app", expect=3)
    assert "3 checked" in done.stdout
    assert re.search(r"^\d/3  unapplied +local/other-\w{8}: app  ", done.stdout, re.MULTILINE)
    assert done.stderr == f"{tree}/app: is looked at once, as part of {tree}\n"
    assert re.search(r"^unapplied  local/infra-\w{8}: app", done.stdout, re.MULTILINE)
    assert re.search(r"^unapplied  local/other-\w{8}: app", done.stdout, re.MULTILINE)


def test_variants_are_checks_of_their_own(run: Run, tree: Path) -> None:
    (tree.parent / "fleet.yaml").write_text(
        "variants: [{root: 'a*', variants: [{name: eu}, {name: us}]}]\n"
    )
    done = run("scan", "infra", expect=3)
    assert "app [eu]" in done.stdout
    assert "app [us]" in done.stdout


def test_results_go_where_they_are_told_to(run: Run, tree: Path, tmp_path: Path) -> None:
    run("scan", "infra", "--results", "some where", expect=3)
    assert (tmp_path / "some where" / "latest").is_dir()
    run("scan", "infra", "--results", f"file://{tmp_path}/url", expect=3)
    assert (tmp_path / "url" / "latest").is_dir()
    assert not (tmp_path / "drift-results").exists()


def test_a_writable_root_of_ones_own_is_used_and_left_empty(
    run: Run, tree: Path, tmp_path: Path
) -> None:
    root = tmp_path / "w"
    run("scan", "infra", expect=3, variables={"DRIFTFLEET_WORKER__WRITABLE_ROOT": str(root)})
    assert root.is_dir()
    assert list(root.iterdir()) == []


def test_a_configured_broker_is_not_touched_by_a_scan(run: Run, tree: Path) -> None:
    variables = {"DRIFTFLEET_BROKER__URL": "redis://127.0.0.1:1/0"}
    run("scan", "infra", expect=3, variables=variables)


def test_the_workers_log_is_shown_when_asked_for(run: Run, tree: Path) -> None:
    done = run("scan", "--json", "--log-level", "info", "infra", expect=3)
    assert "check_answered" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_folder_called_worker_in_the_current_one_is_not_imported(run: Run, tree: Path) -> None:
    for name in ("worker", "celery", "driftfleet"):
        (tree.parent / name).mkdir()
        (tree.parent / name / "__init__.py").write_text("raise SystemExit('imported')")
    run("scan", "infra", expect=3)


def test_a_hostile_folder_name_reaches_no_terminal(run: Run, tree: Path) -> None:
    write(tree, {"a\x1b[31m\nb [red]": UNAPPLIED})
    done = run("scan", "infra", expect=3)
    assert "\x1b" not in done.stdout + done.stderr
    assert "a\\x1b[31m\\nb [red]" in done.stdout
    assert "\x1b" not in run("discover", "infra", expect=0).stdout


# What a person did wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], r"nowhere: no such folder"),
        (["infra/app/main.tf"], r"main.tf: is a file; name the folder"),
        (["acme/infra"], r"acme/infra: no such folder here, and no GitHub is configured"),
        (["org:acme"], r"DRIFTFLEET_GITHUB__URL=https://.*\n *DRIFTFLEET_GITHUB__TOKEN=env://"),
        (["infra", "empty"], r"empty: no Terraform in it"),
        (["infra/modules"], r"no root module:\n +names \(\w+\): .*\nName the folders.*--include"),
        (["infra", "--terraform", "no-such-terraform"], r"'no-such-terraform' is no program here"),
        (["infra", "--mirror", "nowhere"], r"mirror .*/nowhere: no such folder"),
        (["infra", "--mirror", "infra/app/main.tf"], r"main.tf: is no folder"),
        (["infra", "--results", "infra/app/main.tf"], r"Not a directory; .*--results DIR"),
        (["infra", "--results", "gopher://x"], r"'gopher' is no known scheme"),
        (["infra", "--concurrency", "0"], r"--concurrency"),
        (["infra", "--frobnicate"], r"No such option"),
        ([], r"nothing to look at: name a folder.*or list repositories in fleet.yaml"),
    ],
)
def test_a_mistake_is_explained_on_stderr_with_exit_2(
    run: Run, tree: Path, arguments: list[str], message: str
) -> None:
    (tree.parent / "empty").mkdir()
    done = run("scan", *arguments, expect=2)
    assert re.search(message, done.stderr), done.stderr
    assert "Error: " in done.stderr
    assert done.stdout == ""
    assert not (tree.parent / "drift-results").exists()


def test_results_may_lie_in_a_folder_whose_name_looks_like_a_query(run: Run, tree: Path) -> None:
    run("scan", "infra", "--results", "a?b#c", expect=3)
    assert list((tree.parent / "a?b#c" / "latest").rglob("*.json"))


def test_an_unknown_key_of_fleet_yaml_is_named_with_the_nearest(run: Run, tree: Path) -> None:
    (tree.parent / "fleet.yaml").write_text("worker: {concurency: 2}\n")
    done = run("scan", "infra", expect=2)
    assert "fleet.yaml: unknown key 'worker.concurency'; did you mean 'concurrency'?" in done.stderr
    other = tree.parent / "other.yaml"
    other.write_text("limits: {timeout_seconds: 3.x}\n")
    done = run("--config", "other.yaml", "scan", "infra", expect=2)
    assert "other.yaml: 'limits.timeout_seconds'" in done.stderr


def test_a_writable_root_that_is_not_writable_is_named(run: Run, tree: Path) -> None:
    variables = {"DRIFTFLEET_WORKER__WRITABLE_ROOT": "infra/app/main.tf/w"}
    done = run("scan", "infra", expect=2, variables=variables)
    assert "DRIFTFLEET_WORKER__WRITABLE_ROOT" in done.stderr


def test_a_worker_without_a_queue_says_how_to_name_one(run: Run, tree: Path) -> None:
    assert "DRIFTFLEET_BROKER__URL" in run("worker", expect=2).stderr


def test_a_producer_that_knows_no_github_says_how_to_name_it(run: Run, tree: Path) -> None:
    variables = {
        "DRIFTFLEET_BROKER__URL": "redis://127.0.0.1:1/0",
        "DRIFTFLEET_REPOSITORIES": "[acme/infra]",
    }
    done = run("producer", expect=2, variables=variables)
    assert "DRIFTFLEET_GITHUB__URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DRIFTFLEET_WORKER__WRITABLE_ROOT", "infra/app/main.tf/w"),
        ("DRIFTFLEET_WORKER__MIRROR", "nowhere"),
        ("DRIFTFLEET_WORKER__TERRAFORM", "no-such-terraform"),
    ],
)
def test_a_worker_that_could_answer_nothing_but_errors_does_not_start(
    run: Run, tree: Path, name: str, value: str
) -> None:
    variables = {
        "DRIFTFLEET_BROKER__URL": "redis://127.0.0.1:1/0",
        "DRIFTFLEET_INSTALLS__INSTALLER": "none",
        name: value,
    }
    done = run("worker", expect=2, variables=variables)
    assert name in done.stderr or name.lower().removeprefix("driftfleet_").replace("__", ".") in (
        done.stderr
    )


# What ends a scan


@pytest.mark.alone("of five seconds it works for most")
@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_all_within_5_seconds_and_leaves_nothing(
    start: Start, tree: Path, temporary: Path, signum: int, code: int
) -> None:
    hanging = script(tree.parent / "terraform", HANGING)
    scan = start("scan", "infra", "--terraform", hanging)
    await_hanging(temporary)
    began = time.monotonic()
    scan.send_signal(signum)
    scan.send_signal(signum)
    stdout, stderr = scan.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert scan.returncode == code
    assert "stopped: 2 of 2 were not checked:" in stderr
    assert re.search(r"^  local/infra-\w+ app$", stderr, re.MULTILINE)
    assert "Traceback" not in stderr
    assert stdout == ""
    assert left_in(temporary) == []


def test_a_stopped_scan_shows_what_it_has_found_and_names_the_rest(
    start: Start, tree: Path, temporary: Path
) -> None:
    text = HANGING_IN_APP.format(terraform=shutil.which("terraform"))
    terraform = script(tree.parent / "terraform", text)
    # By default one for each CPU: with one alone `net` would wait for `app`.
    scan = start("scan", "infra", "--terraform", terraform, "--concurrency", "2")
    assert scan.stdout is not None
    first = scan.stdout.readline()
    await_hanging(temporary)
    scan.send_signal(signal.SIGINT)
    stdout, stderr = scan.communicate(timeout=60)
    assert re.match(r"1/2  clean +net", first)
    assert re.search(r"^clean +net +[\d.]+$", stdout, re.MULTILINE)
    assert re.search(r"^1 checked in [\d.]+ s: 1 clean$", stdout, re.MULTILINE)
    assert re.search(r"stopped: 1 of 2 were not checked:\n  local/infra-\w+ app\n$", stderr)
    assert scan.returncode == 130


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3])
def test_a_signal_at_any_moment_leaves_nothing(
    start: Start, tree: Path, temporary: Path, delay: float
) -> None:
    scan = start("scan", "infra")
    time.sleep(delay)
    scan.send_signal(signal.SIGTERM)
    _, stderr = scan.communicate(timeout=60)
    # Before the first line of ours runs, the signal ends Python itself.
    assert scan.returncode in (143, -signal.SIGTERM, 3)
    assert "Traceback" not in stderr
    assert left_in(temporary) == []


def test_a_killed_scan_takes_its_processes_along_and_the_next_one_cleans_up(
    start: Start, run: Run, tree: Path, tmp_path: Path, temporary: Path
) -> None:
    scan = start("scan", "infra", "--terraform", script(tmp_path / "terraform", HANGING))
    await_hanging(temporary)
    scan.kill()
    scan.wait()
    assert wait_until(lambda: users_of(temporary) == [], 60), users_of(temporary)
    assert list(temporary.iterdir()) != []
    run("scan", "infra", expect=3)


def test_a_neighbouring_scan_is_left_alone(
    start: Start, tree: Path, tmp_path: Path, environment: dict[str, str], temporary: Path
) -> None:
    first = start("scan", "infra", "--terraform", script(tmp_path / "terraform", HANGING))
    await_hanging(temporary)
    second = start("scan", "infra")
    second.communicate(timeout=60)
    assert second.returncode == 3
    assert first.poll() is None
    assert users_of(temporary) != []
    first.terminate()
    first.communicate(timeout=60)
    assert left_in(temporary) == []


def worker_of(scan: subprocess.Popen[str]) -> psutil.Process:
    children = psutil.Process(scan.pid).children()
    return next(one for one in children if "celery" in " ".join(one.cmdline()))


def test_a_worker_that_is_killed_is_started_again_and_every_root_answered(
    start: Start, tree: Path, tmp_path: Path, temporary: Path
) -> None:
    text = HANGING_ONCE.format(mark=tmp_path / "mark", terraform=shutil.which("terraform"))
    scan = start("scan", "infra", "--json", "--terraform", script(tmp_path / "terraform", text))
    await_hanging(temporary)
    worker_of(scan).kill()
    stdout, stderr = scan.communicate(timeout=60)
    verdicts = {r.job.root: r.verdict for r in map(read_result, stdout.splitlines())}
    assert verdicts == {"app": Verdict.UNAPPLIED, "net": Verdict.CLEAN}
    assert scan.returncode == 3
    assert "the worker process died and is started again" in stderr
    assert left_in(temporary) == []


def test_a_redis_that_is_killed_ends_the_scan_with_an_error_for_each_pending_root(
    start: Start, tree: Path, tmp_path: Path, temporary: Path
) -> None:
    scan = start("scan", "infra", "--json", "--terraform", script(tmp_path / "terraform", HANGING))
    await_hanging(temporary)
    children = psutil.Process(scan.pid).children()
    next(one for one in children if "redis" in one.name()).kill()
    stdout, stderr = scan.communicate(timeout=60)
    results = [read_result(line) for line in stdout.splitlines()]
    assert {r.error.kind.value for r in results if r.error} == {"worker_lost"}
    assert {r.job.root for r in results} == {"app", "net"}
    assert scan.returncode == 1
    assert "Traceback" not in stderr
    assert left_in(temporary) == []


def read_result(line: str) -> Result:
    return decode_record(Result, line)


@pytest.mark.parametrize("arguments", [["scan", "--json"], ["scan"], ["discover", "--json"]])
def test_a_reader_that_goes_away_is_no_traceback_and_leaves_nothing(
    environment: dict[str, str], tree: Path, tmp_path: Path, temporary: Path, arguments: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [COMMAND, *arguments, "infra"],
            check=False, cwd=tmp_path, env=environment,
            stdout=writing, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""
    assert left_in(temporary) == []


# A terminal


def on_terminal(
    arguments: list[str | Path], cwd: Path, environment: dict[str, str], columns: int = 100
) -> tuple[str, int]:
    """The output of a command whose streams are all a terminal, and its exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        # Here, so that it finds no other size.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        os.chdir(cwd)
        os.execve(COMMAND, [str(COMMAND), *map(str, arguments)], environment)
    output = b""
    with contextlib.suppress(OSError):  # EIO: the last writer has closed it
        while select.select([terminal], [], [], 60)[0]:
            data = os.read(terminal, 65536)
            if not data:
                break
            output += data
    os.close(terminal)
    return output.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_gets_a_bar_while_it_runs_and_a_table_in_colour(
    tree: Path, tmp_path: Path, environment: dict[str, str], temporary: Path
) -> None:
    # A check of a tenth of a second would be over between two looks at what runs.
    slow = f'#!/bin/sh\nsleep 0.5\nexec {shutil.which("terraform")} "$@"\n'
    arguments = ["scan", "infra", "--terraform", script(tmp_path / "terraform", slow)]
    text, code = on_terminal(arguments, tmp_path, {**environment, "TERM": "xterm-256color"})
    assert code == 3
    assert "0/2" in text
    assert "━" in text
    assert re.search(r"local/infra-\w+ (app|net)  \w+  \d s", text)
    assert re.search(r"\x1b\[\d*;?36munapplied", text)
    assert "2 checked in" in text
    *_, where, dashboard = text.rstrip().splitlines()
    assert where.startswith("results: ")
    assert dashboard.startswith("dashboard: drift-results/site/index.html")
    assert left_in(temporary) == []


@pytest.mark.parametrize("columns", [20, 50])
def test_no_color_and_narrow_terminals_are_honoured(
    tree: Path, tmp_path: Path, environment: dict[str, str], columns: int
) -> None:
    variables = {**environment, "TERM": "xterm-256color", "NO_COLOR": "1"}
    text, code = on_terminal(["scan", "infra"], tmp_path, variables, columns)
    assert code == 3
    assert not re.search(r"\x1b\[(\d+;)*(3[0-7]|9[0-7]|38)", text)
    assert "app" in text


@pytest.mark.alone("of five seconds it works for most")
def test_ctrl_c_on_a_terminal_ends_all(
    tree: Path, tmp_path: Path, environment: dict[str, str], temporary: Path
) -> None:
    hanging = script(tmp_path / "terraform", HANGING)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        arguments = [str(COMMAND), "scan", "infra", "--terraform", str(hanging)]
        os.execve(COMMAND, arguments, {**environment, "TERM": "xterm-256color"})
    await_hanging(temporary)
    began = time.monotonic()
    os.write(terminal, b"\x03")
    output = b""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 65536):
            output += data
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert code == 130
    assert time.monotonic() - began < 5
    assert "2 of 2 were not checked" in output.decode()
    assert "\x1b[?25h" in output.decode(), "the cursor is shown again"
    assert left_in(temporary) == []


# The other commands


def test_discover_shows_roots_and_counts_the_others(run: Run, tree: Path) -> None:
    done = run("discover", "infra", expect=0)
    assert re.search(r"^root +app +declares", done.stdout, re.MULTILINE)
    assert re.search(r"needs: modules/names", done.stdout)
    assert "2 root modules; no roots: 1 child (--all shows them)" in done.stdout
    assert re.search(
        r"^child +modules/names", run("discover", "--all", "infra", expect=0).stdout, re.M
    )


def test_discover_json_is_one_folder_a_line(run: Run, tree: Path) -> None:
    done = run("discover", "--json", "--all", "infra", expect=0)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(r["path"], r["kind"]) for r in records} == {
        ("app", "root"), ("net", "root"), ("modules/names", "child"),
    }  # fmt: skip
    assert {r["source"] for r in records} == {str(tree)}


def test_discover_of_a_folder_that_cannot_be_parsed_shows_where(run: Run, tree: Path) -> None:
    write(tree, {"broken": BROKEN})
    done = run("discover", "infra", expect=0)
    assert re.search(r"^root +broken +can't be read: main.tf:1: ", done.stdout, re.MULTILINE)


def test_discover_explains_mistakes_too(run: Run, tree: Path) -> None:
    assert "no such folder" in run("discover", "nowhere", expect=2).stderr


def test_every_command_has_a_help_that_names_its_settings(run: Run) -> None:
    assert "scan" in run("--help", expect=0).stdout
    text = run("scan", "--help", expect=0).stdout
    flat = " ".join(text.split())
    for key in ("worker.concurrency", "worker.mirror", "results.store", "discovery.exclude"):
        assert f"{key} in fleet.yaml; DRIFTFLEET_{key.replace('.', '__').upper()}" in flat
    assert "Exit codes:" in text
    for command in ("discover", "worker"):
        assert "Example" in run(command, "--help", expect=0).stdout


def test_the_version_is_told(run: Run) -> None:
    assert re.fullmatch(r"driftfleet, version [\d.]+\n", run("--version", expect=0).stdout)


def test_asking_for_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom producer.cli import main\n"
        "try:\n    main(['scan', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'celery', 'kombu', 'redis', 'hcl2', 'rich', 'httpx', 'boto3', 'jinja2'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
