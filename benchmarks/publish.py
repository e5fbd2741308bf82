"""`driftfleet report` of 5,000 roots, in a folder and in moto's S3: cold, after 20 changed, again.

The command as people run it: its wall, its CPU, its peak memory, and what it asks the store for.
"""

import argparse
import contextlib
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bucket import BUCKET, environment_of, new_text, serve, settings_of
from benchmarks.status import run_measured
from driftfleet.results import Verdict
from driftfleet.settings import ResultSettings
from driftfleet.store import open_objects
from driftfleet.store.files import FileObjects
from driftfleet.store.objects import ObjectStore
from tests.e2e.aws import running_moto
from tests.sites import HOUR, swept

_ASKED = re.compile(rf'"(GET|PUT|DELETE) /{BUCKET}([/?])')
# Of 20 changed: their latest records and the sweep's, the catalog, the two manifests; their pages,
# the sweep's, both lists, the day, the catalog and the two manifests.
CHANGED, MOST_GETS, MOST_PUTS = 20, 28, 28
_PER_REPOSITORY = 50


def fill(objects: ObjectStore, roots: int) -> None:
    """So many roots of repositories of fifty, each tenth in drift, by a sweep each."""
    now = datetime.now(UTC)
    for number in range(roots // _PER_REPOSITORY):
        said = Verdict.DRIFTED if number % 10 == 0 else Verdict.CLEAN
        names = [f"environments/prod/stack-{n}" for n in range(_PER_REPOSITORY)]
        swept(objects, names, said, number=number, at=now - 2 * HOUR, repo=f"team-{number}/infra")


def change(objects: ObjectStore) -> None:
    """A sweep of 20 roots that says something else."""
    names = [f"environments/prod/stack-{n}" for n in range(CHANGED)]
    swept(objects, names, Verdict.UNAPPLIED, number=9999, at=datetime.now(UTC), repo="team-1/infra")


def measure(
    settings: ResultSettings,
    objects: ObjectStore,
    roots: int,
    folder: Path,
    asked: Callable[[], Counter[str]],
) -> bool:
    """Print a line for each way; whether what is asked for is bounded."""
    environment = environment_of(settings)
    name = "S3" if settings.s3.endpoint else "folder"
    met = True
    for way in ("cold", "20 changed", "unchanged"):
        if way == "20 changed":
            change(objects)
        asked()
        output = folder / "out"
        run = run_measured(["report", "--json"], environment, folder, output)
        said = json.loads(output.read_text())
        if run.exit_code or said["roots"] != roots:
            raise SystemExit(f"a wrong answer, exit {run.exit_code}: {said}")
        counts = asked()
        met &= way == "cold" or (counts["GET"] <= MOST_GETS and counts["PUT"] <= MOST_PUTS)
        requests = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        print(
            f"{name:<8}{way:<12}{run.wall_seconds:>7.2f} s{run.cpu_seconds:>8.2f} s"
            f"{run.peak_bytes / 1e6:>8.0f} MB {said['pages']:>6} pages  {requests}",
            flush=True,
        )
    return met


def in_folder(roots: int, folder: Path) -> bool:
    objects = FileObjects(folder / "store")
    fill(objects, roots)
    settings = ResultSettings(store=f"file://{folder / 'store'}")
    return measure(settings, objects, roots, folder, Counter)


def in_s3(roots: int, folder: Path) -> bool:
    log = folder / "s3.log"
    server = [sys.executable, str(Path(__file__).absolute()), "--serve", str(roots)]
    with running_moto(log, server) as endpoint:
        settings = settings_of(endpoint)
        objects, new = open_objects(settings), new_text(log)
        return measure(settings, objects, roots, folder, lambda: _requests(new()))


def _requests(log: str) -> Counter[str]:
    """What was asked for, from the server's log."""
    return Counter("LIST" if mark == "?" else kind for kind, mark in _ASKED.findall(log))


def serve_full(roots: int, arguments: list[str]) -> None:
    """Be moto's server, with a bucket that is full."""

    def fill_bucket(put: Callable[[str, bytes], Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fill(FileObjects(Path(folder)), roots)
            for path in Path(folder).rglob("*.json"):
                put(path.relative_to(folder).as_posix(), path.read_bytes())

    serve(fill_bucket, arguments)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roots", type=int, default=5000)
    parser.add_argument("--serve", metavar="ROOTS", type=int, help=argparse.SUPPRESS)
    parser.add_argument("-p", dest="port", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_full(options.serve, ["-p", options.port])
        return 0
    print(f"{options.roots:,} roots")
    print(f"{'':<20}{'wall':>9}{'CPU':>10}{'peak memory':>11}")
    met = True
    for way in (in_folder, in_s3):
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            met = way(options.roots, folder) and met
    print(f"target {MOST_GETS} GET, {MOST_PUTS} PUT: {'met' if met else 'MISSED'}")
    return not met


if __name__ == "__main__":
    sys.exit(main())
