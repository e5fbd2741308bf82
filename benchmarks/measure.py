"""What a command costs with all that it starts: wall, CPU seconds, peak disk."""

import contextlib
import ctypes
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from driftfleet.results import Verdict
from tests.e2e.aws import read_results, scan_command

_PR_SET_CHILD_SUBREAPER = 36
_SAMPLE_SECONDS = 0.2
# init and plan as a person would write them; the folder's name is $0.
LOOP = 'cd "$0" && terraform init -input=false && terraform plan -input=false -no-color'
EXIT_CODES = {Verdict.CLEAN: 0, Verdict.DRIFTED: 3, Verdict.UNAPPLIED: 3}


@dataclass(frozen=True)
class Cost:
    """What one run of a command took. CPU is user and system time of its whole process tree."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Applied roots, and what both ways of planning them need.

    ``expected`` maps each root's path to the verdict that is right.
    """

    folder: Path
    expected: Mapping[str, Verdict]
    environment: Mapping[str, str]
    mirror: Path | None
    parallel: int


class WrongAnswer(Exception):
    """A run that did not do the work: its cost means nothing."""


def adopt_orphans() -> None:
    """Become the parent of what outlives its own: its CPU time is counted and it can't hide."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def measure(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: Path,
    stdin: bytes = b"",
) -> tuple[int, Cost]:
    """Run a command in ``folder`` and return its exit code and its cost.

    ``peak_bytes`` is what the folder held at most beyond what it held at the start, by blocks on
    disk, sampled every 0.2 s. Raises `WrongAnswer` where a process is left behind.
    """
    before_children = {child.pid for child in psutil.Process().children()}
    with (
        output.open("wb") as stdout,
        output.with_suffix(".err").open("wb") as stderr,
        _sampled_peak(folder) as peak,
    ):
        cpu, started = _children_cpu_seconds(), time.perf_counter()
        child = subprocess.Popen(
            arguments,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
        )
        child.communicate(stdin)
        wall = time.perf_counter() - started
    _reap_adopted(before_children)
    return child.returncode, Cost(wall, _children_cpu_seconds() - cpu, peak())


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _reap_adopted(known: set[int], grace_seconds: float = 2) -> None:
    """Collect what was orphaned, and with it its CPU time; what still lives is a leak."""
    deadline = time.monotonic() + grace_seconds
    while left := [c for c in psutil.Process().children() if c.pid not in known]:
        for child in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)
        living = [c for c in left if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
        if living and time.monotonic() > deadline:
            names = [" ".join(c.cmdline())[:200] for c in living]
            for child in living:
                child.kill()
            raise WrongAnswer(f"processes were left behind: {names}")
        time.sleep(0.02)


@contextlib.contextmanager
def _sampled_peak(folder: Path) -> Iterator[Callable[[], int]]:
    start = peak = _bytes_on_disk(folder)
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(_SAMPLE_SECONDS):
            peak = max(peak, _bytes_on_disk(folder))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield lambda: peak - start
    finally:
        done.set()
        sampler.join()
        peak = max(peak, _bytes_on_disk(folder))


def _bytes_on_disk(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # removed since it was listed
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    total += _bytes_on_disk(Path(entry.path))
    return total


def run_loop(fleet: Fleet, leg: Path) -> Cost:
    """Plan a copy of every root with xargs; each must say what its verdict lets expect."""
    names = "\0".join(str(leg / "fleet" / root) for root in fleet.expected)
    command = f'({LOOP}) > "$0/plan.log" 2>&1'
    exit_code, cost = measure(
        ["xargs", "-0", "-n", "1", "-P", str(fleet.parallel), "sh", "-c", command],
        folder=leg,
        environment={**fleet.environment, "TMPDIR": str(leg / "t")},
        output=leg / "out",
        stdin=names.encode(),
    )
    for root, verdict in fleet.expected.items():
        log = (leg / "fleet" / root / "plan.log").read_text()
        word = "No changes." if verdict is Verdict.CLEAN else "Plan: "
        if exit_code or word not in log:
            raise WrongAnswer(f"the loop, exit {exit_code}, {root}: no '{word}' in\n{log[-2000:]}")
    return cost


def run_scan(fleet: Fleet, leg: Path) -> Cost:
    """`driftfleet scan` over a copy of every root; each verdict and the exit code must be right."""
    exit_code, cost = measure(
        scan_command(leg / "fleet", fleet.mirror, leg / "results", fleet.parallel),
        folder=leg,
        environment={**fleet.environment, "TMPDIR": str(leg / "t")},
        output=leg / "out",
    )
    found = {root: r.verdict for root, r in read_results((leg / "out").read_bytes()).items()}
    expected_code = max(EXIT_CODES[verdict] for verdict in fleet.expected.values())
    if found != dict(fleet.expected) or exit_code != expected_code:
        wrong = {r: v for r, v in found.items() if fleet.expected.get(r) is not v}
        stderr = (leg / "out.err").read_text(errors="replace")[-2000:]
        raise WrongAnswer(
            f"the scan: exit {exit_code}, not {expected_code}; {len(found)} of"
            f" {len(fleet.expected)} roots answered; wrong: {wrong}\n{stderr}"
        )
    return cost


def compare(fleet: Fleet, legs: Path, rounds: int) -> dict[str, list[Cost]]:
    """Run both ``rounds`` times, each on a fresh copy, and take turns at going first."""
    ways = {"loop": run_loop, "scan": run_scan}
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        for name in order:
            leg = legs / f"{number}{name[0]}"
            shutil.copytree(fleet.folder, leg / "fleet")
            (leg / "t").mkdir()
            os.sync()  # the copy's own writing must not fall into what is measured
            costs[name].append(ways[name](fleet, leg))
            print(f"  round {number + 1} {name}: {_line(costs[name][-1])}", flush=True)
            shutil.rmtree(leg)
    return costs


def _line(cost: Cost) -> str:
    return f"{cost.wall_seconds:.1f} s wall, {cost.cpu_seconds:.1f} s CPU"


def table(costs: Mapping[str, Sequence[Cost]], loop_title: str, target: float) -> str:
    """Medians of both ways, their ratio, and whether the ratio of the walls meets its target."""
    titles = {"loop": loop_title, "scan": "driftfleet scan"}
    medians = {name: _median(rounds) for name, rounds in costs.items()}
    loop, scan = medians["loop"], medians["scan"]
    ratio = scan.wall_seconds / loop.wall_seconds
    lines = [f"{'':<34}{'wall':>9}{'CPU':>10}{'peak disk':>13}"]
    lines += [
        f"{titles[name]:<34}{m.wall_seconds:>7.1f} s{m.cpu_seconds:>8.1f} s"
        f"{m.peak_bytes / 1e6:>10.1f} MB"
        for name, m in medians.items()
    ]
    lines.append(
        f"{'ratio':<34}{ratio:>9.2f}{scan.cpu_seconds / loop.cpu_seconds:>10.2f}"
        f"{scan.peak_bytes / max(loop.peak_bytes, 1):>13.2f}"
    )
    met = "met" if ratio <= target else "MISSED"
    lines.append(f"target: at most {target} of the loop's wall: {met}")
    return "\n".join(lines)


def _median(rounds: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(c.wall_seconds for c in rounds),
        statistics.median(c.cpu_seconds for c in rounds),
        round(statistics.median(c.peak_bytes for c in rounds)),
    )


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine_facts() -> str:
    """One line about what was measured on."""
    terraform = subprocess.run(
        ["terraform", "version", "-json"], capture_output=True, text=True, check=True
    )
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("celery", "redis"))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{cores()} cores, {memory:.0f} GiB, load {os.getloadavg()[0]:.1f} at the start; "
        f"terraform {json.loads(terraform.stdout)['terraform_version']}, "
        f"Python {platform.python_version()}, {versions}"
    )
