"""What a producer takes for a sweep of one repository with 5,000 roots, and for it unchanged.

The repository is on the tests' stand-in for GitHub, in the parent process; the store is a folder. A
fresh process does what the producer does: look, ask for the checks that are due, note it all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.many_roots import HOUR
from benchmarks.measure import WrongAnswer, cores
from benchmarks.scale import peak_bytes, row, spending
from driftfleet.celery_app import build_app
from driftfleet.configuration import environment_of, load_settings, process_environment
from driftfleet.logs import configure_logs
from driftfleet.redis_client import connect
from driftfleet.repository_rule import RepositoryRule
from driftfleet.schedule_settings import ScheduleSettings
from driftfleet.settings import (
    BrokerSettings,
    CacheSettings,
    GitHubSettings,
    LogSettings,
    ResultSettings,
    Settings,
)
from producer.headquarters import Headquarters
from producer.notebook import Notebook
from producer.repositories import Wanted
from tests.producing import overdue
from tests.redis_server import redis_server
from tests.standin import StandIn

_REPO = "many/large"
_ROOT = 'terraform {{\n  backend "s3" {{}}\n}}\n\nlocals {{\n  number = {}\n}}\n'


def sweep() -> dict[str, Any]:
    """Be a producer that sweeps it once."""
    configure_logs(LogSettings(level="error"))
    environment = process_environment()
    settings = load_settings(None, environment)
    with build_app(settings) as app:
        headquarters = Headquarters(app, settings, environment)
        peak_bytes(begin=True)
        with spending() as spent:
            asked = headquarters.sweep(_REPO, "")
        wall, cpu = spent()
    return {"wall": wall, "cpu": cpu, "megabytes": peak_bytes() / 1e6, "asked": asked}


def _run(what: str, settings: Settings, token: str, roots: int) -> None:
    client = connect(settings.broker.url.get_secret_value() if settings.broker.url else "")
    notebook, rule = Notebook(client), settings.repositories[0]
    notebook.note_roster(settings.repositories, [Wanted(name=_REPO, rule=rule)])
    late = overdue(_REPO)
    notebook.note_swept({late.key: late})
    environment = {**os.environ, **environment_of(settings), "TOKEN": token}
    run = subprocess.run(
        [sys.executable, __file__, "--sweep"], env=environment, stdout=subprocess.PIPE, check=True
    )
    told = json.loads(run.stdout)
    if told["asked"] != roots:
        raise WrongAnswer(f"{told['asked']} of {roots} were asked for")
    row(what, f"{told['wall']:.1f} s", f"{told['cpu']:.1f} s CPU", f"{told['megabytes']:.0f} MB")


def main() -> int:
    """Measure, or with ``--sweep`` be the producer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roots", type=int, default=5000)
    parser.add_argument("--sweep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sweep:
        print(json.dumps(sweep()))
        return 0
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}; {options.roots:,} roots")
    with (
        tempfile.TemporaryDirectory(prefix="df-") as base,
        redis_server(Path(base)) as server,
        StandIn(Path(base) / "server") as ghe,
    ):
        files = {f"envs/e{n % 50}/s{n}/main.tf": _ROOT.format(n) for n in range(options.roots)}
        ghe.add_repository(_REPO, files)
        settings = Settings(
            broker=BrokerSettings(url=server.url),  # type: ignore[arg-type]
            results=ResultSettings(store=f"file://{base}/store"),
            cache=CacheSettings(folder=Path(base) / "cache"),
            github=GitHubSettings(url=ghe.url, token="env://TOKEN"),
            repositories=(RepositoryRule(repo=_REPO),),
            schedule=ScheduleSettings(every=6 * HOUR),
        )
        _run("seen for the first time", settings, ghe.token, options.roots)
        connect(server.url).flushall()
        _run("unchanged", settings, ghe.token, options.roots)
        print(f"asked of GitHub: {len(ghe.requests)} requests for both")
    return 0


if __name__ == "__main__":
    sys.exit(main())
