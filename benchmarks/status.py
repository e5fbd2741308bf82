"""`driftfleet status` over 1,000 roots with 100,000 results, in a folder and in moto's S3.

Each is read without the catalog and with it, by the command as people run it: its wall, its CPU,
its peak memory, and what it asks S3 for. Moto is filled from within, for over HTTP that would take
longer than all the rest.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.bucket import BUCKET, environment_of, new_text, serve, settings_of
from driftfleet.fingerprint import fingerprint
from driftfleet.jobs import Job, Source
from driftfleet.latest import LatestRecord, follow
from driftfleet.results import Change, Result, Summary, Timings, Verdict, Versions
from driftfleet.settings import ResultSettings
from driftfleet.store import FleetReader, open_objects
from tests.e2e.aws import running_moto
from tests.e2e.command import COMMAND

TARGET_SECONDS, TARGET_BYTES = 3.0, 150e6
_FULL = "full"
_LISTED = re.compile(rf"GET /{BUCKET}\?\S*prefix=([^&\s]*)")
_READ = re.compile(rf"GET /{BUCKET}/(\w+)")


def objects(roots: int, results: int) -> Iterator[tuple[str, bytes]]:
    """Keys and bodies: what ``results`` checks of each root leave, six hours apart."""
    now = datetime.now(UTC)
    for number in range(roots):
        latest: LatestRecord | None = None
        for age in reversed(range(results)):
            result = _result(number, age, now - timedelta(hours=6 * age))
            latest = follow(latest, result)
            yield result.history_key, f"{result.model_dump_json()}\n".encode()
        assert latest is not None
        yield latest.result.latest_key, f"{latest.model_dump_json()}\n".encode()


def _result(number: int, age: int, finished_at: datetime) -> Result:
    """Each tenth root has drifted, as it did now and then before; the others are clean."""
    verdict = Verdict.DRIFTED if number % 10 == 0 and age // 4 % 2 == 0 else Verdict.CLEAN
    changes = tuple(
        Change(
            address=f"module.network.aws_security_group.allowed[{index}]",
            module="module.network",
            type="aws_security_group",
            provider="registry.terraform.io/hashicorp/aws",
            kind="drift",
            actions=("update",),
            attributes=("ingress", "tags"),
        )
        for index in range(5 if verdict == Verdict.DRIFTED else 0)
    )
    source = Source(kind="github", repo=f"team-{number % 50}/infrastructure", sha="0" * 40)
    return Result(
        job=Job(sweep_id=f"s{age}", source=source, root=f"environments/prod/stack-{number}"),
        verdict=verdict,
        changes=changes,
        summary=Summary(drifted=len(changes)),
        fingerprint=fingerprint(changes),
        versions=Versions(terraform="1.11.4", providers={"hashicorp/aws": "5.99.1"}),
        timings_seconds=Timings(wait=1.5, source=0.5, init=2.5, plan=30, show=1.5, total=36),
        started_at=finished_at - timedelta(seconds=36),
        finished_at=finished_at,
        worker="worker@host",
    )


@dataclass(frozen=True)
class Run:
    """What one command took, and how it ended."""

    exit_code: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def is_in_target(self) -> bool:
        return self.wall_seconds <= TARGET_SECONDS and self.peak_bytes <= TARGET_BYTES


# The peak of a process begins with that of the one it was forked from: that has to be small.
_MEASURED = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.call(sys.argv[2:])
wall = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024], file)
"""


def run_measured(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path
) -> Run:
    """Run ``driftfleet`` in ``folder`` with its stdout into ``output``."""
    told = output.with_suffix(".used")
    with output.open("wb") as stdout:
        subprocess.run(
            [sys.executable, "-S", "-E", "-c", _MEASURED, told, COMMAND, *arguments],
            env=environment, cwd=folder, stdout=stdout, check=True,
        )  # fmt: skip
    return Run(*json.loads(told.read_text()))


def run_status(roots: int, environment: Mapping[str, str], folder: Path) -> Run:
    """Run the command, and make sure that it told of every root."""
    output = folder / "out"
    run = run_measured(["status"], environment, folder, output)
    told = output.read_text()
    if run.exit_code != 3 or f"\n{roots:,} roots: " not in told:
        raise SystemExit(f"a wrong answer, exit {run.exit_code}:\n{told[-1000:]}")
    return run


def measure(
    name: str, settings: ResultSettings, roots: int, folder: Path, asked: Callable[[], str]
) -> bool:
    """Print a line for each way to read it; whether all are in the target."""
    environment = environment_of(settings)
    run_status(roots, environment, folder)  # nobody pays for a cold page cache
    runs = []
    for way in ("all is read", "from the catalog"):
        asked()
        runs.append(run_status(roots, environment, folder))
        run = runs[-1]
        print(
            f"{name:<8}{way:<18}{run.wall_seconds:>6.2f} s{run.cpu_seconds:>8.2f} s"
            f"{run.peak_bytes / 1e6:>8.0f} MB  {asked()}",
            flush=True,
        )
        reader = FleetReader(open_objects(settings))
        reader.read()
        reader.keep()
    return all(run.is_in_target for run in runs)


def in_folder(roots: int, results: int, folder: Path) -> bool:
    top = folder / "store"
    for key, body in objects(roots, results):
        path = top / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return measure("folder", ResultSettings(store=f"file://{top}"), roots, folder, lambda: "")


def in_s3(roots: int, results: int, folder: Path) -> bool:
    log = folder / "s3.log"
    server = [sys.executable, str(Path(__file__).absolute()), "--serve", f"{roots}x{results}"]
    with running_moto(log, server) as endpoint:
        settings = settings_of(endpoint)
        store, new = open_objects(settings), new_text(log)
        while store.get(_FULL) is None:
            time.sleep(0.5)
        return measure("S3", settings, roots, folder, lambda: _requests(new()))


def _requests(log: str) -> str:
    """What was asked for, from the server's log."""
    lists = Counter(found.replace("%2F", "/") for found in _LISTED.findall(log))
    if any("results/" in prefix for prefix in lists):
        raise SystemExit(f"the history was listed: {lists}")
    return f"{lists.total()} LIST, {len(_READ.findall(log))} GET"


def serve_full(size: str, arguments: list[str]) -> None:
    """Be moto's server, with a bucket that is full."""
    roots, results = map(int, size.split("x"))

    def fill(put: Callable[[str, bytes], Any]) -> None:
        for key, body in objects(roots, results):
            put(key, body)
        put(_FULL, b"")

    # It takes longer than anybody waits for a server to answer.
    serve(lambda put: threading.Thread(target=fill, args=(put,), daemon=True).start(), arguments)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roots", type=int, default=1000)
    parser.add_argument("--results", type=int, default=100, help="of each root")
    parser.add_argument("--serve", metavar="ROOTSxRESULTS", help=argparse.SUPPRESS)
    parser.add_argument("-p", dest="port", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_full(options.serve, ["-p", options.port])
        return 0
    print(f"{options.roots:,} roots, {options.roots * options.results:,} results")
    print(f"{'':<26}{'wall':>8}{'CPU':>10}{'peak memory':>13}")
    met = True
    for way in (in_folder, in_s3):
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            met = way(options.roots, options.results, folder) and met
    print(
        f"target {TARGET_SECONDS:.0f} s, {TARGET_BYTES / 1e6:.0f} MB: {'met' if met else 'MISSED'}"
    )
    return not met


if __name__ == "__main__":
    sys.exit(main())
