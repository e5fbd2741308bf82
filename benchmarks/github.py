"""What looking at a repository on GitHub costs: requests, CPU and memory of the client.

`python benchmarks/github.py` serves a monorepo of 5,800 files (4,000 of them `.tf` in 340 folders)
from the tests' stand-in for GitHub, and has a fresh process look at it: cold, unchanged, and with
one file changed. Another one writes the workspaces of all its roots as a worker does, with an empty
cache and again. Then a truncated tree of 200,000 entries is walked. The server is the parent
process, so the figures are the client's alone. A wrong answer ends it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from driftfleet.cache import open_cache
from driftfleet.github.connect import open_github
from driftfleet.github.repositories import head, repository
from driftfleet.github.snapshot import Snapshot
from driftfleet.jobs import Job, Source
from driftfleet.settings import CacheSettings, GitHubSettings
from producer.discovery import discover
from producer.look import paths_that_matter
from tests.standin import StandIn
from tests.standin.monorepo import FILES, ROOTS, make_monorepo, make_wide_tree, root_folders
from worker.github_connection import LazyConnection
from worker.github_source import GitHubSource
from worker.workspace import Workspaces

_REPO = "payments/environments"
_WIDE = "payments/wide"
_MEGABYTE = 1 << 20
TOKEN = {"TOKEN": "ghp_standin0000000000000000000000000001"}
COLD_REQUESTS, COLD_CPU_SECONDS, COLD_MEGABYTES = 5, 3.0, 60.0
# For all roots of a new commit, on a worker that has seen the one before: its tree, and the blob.
NEW_COMMIT_REQUESTS = 2
WIDE_ENTRIES, WIDE_REQUESTS = 200_000, 40


class WrongAnswer(Exception):
    """A run that did not do the work: its cost means nothing."""


# --- the client, in a process of its own ----------------------------------------------------------


def look(url: str, repo: str, cache_folder: Path, known: str | None) -> dict[str, float]:
    """Look at a repository as `driftfleet discover` does, and say what it took."""
    github = open_github(
        GitHubSettings(url=url, token="env://TOKEN"),
        TOKEN,
        patience_seconds=0,
    )
    cache = open_cache(cache_folder, CacheSettings().limit_bytes)
    _forget_peak()
    idle, started, cpu = _status("VmRSS"), time.perf_counter(), time.process_time()
    facts: dict[str, float] = {"roots": 0, "entries": 0, "parsing": 0.0}
    with github:
        if known is None:
            repository(github, repo)
        sha = head(github, repo, known_sha=known)
        if sha is not None:
            snapshot = Snapshot(github, repo, sha, cache, CacheSettings())
            snapshot.fetch(paths_that_matter(snapshot))
            facts["entries"] = len(snapshot.listing.entries)
            parsing = time.process_time()
            facts["roots"] = len(discover(snapshot).roots)
            facts["parsing"] = time.process_time() - parsing
    return {
        **facts,
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "megabytes": (_status("VmHWM") - idle) / _MEGABYTE,
    }


def lay_out_all(url: str, repo: str, sha: str, cache_folder: Path) -> dict[str, float]:
    """Write each root's workspace as a worker does, one after the other, and say what it took."""
    settings = GitHubSettings(url=url, token="env://TOKEN")
    connection = LazyConnection(settings, CacheSettings(), cache_folder, TOKEN)
    source = GitHubSource(connection)
    origin = Source(kind="github", repo=repo, sha=sha)
    _forget_peak()
    idle, started, cpu = _status("VmRSS"), time.perf_counter(), time.process_time()
    size = 0
    with tempfile.TemporaryDirectory() as writable:
        workspaces = Workspaces(Path(writable))
        for root in root_folders():
            job = Job(sweep_id="s", source=origin, root=root)
            with workspaces.use(job.limits.workspace_bytes) as workspace:
                source.fetch(job, workspace, time.monotonic() + 600)
                size += workspace.measure()
    connection.close()
    return {
        "roots": len(root_folders()),
        "entries": size,
        "parsing": 0.0,
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "megabytes": (_status("VmHWM") - idle) / _MEGABYTE,
    }


def _forget_peak() -> None:
    """Let the kernel count the peak anew (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


# --- the server, and the table --------------------------------------------------------------------


def _run(
    ghe: StandIn, repo: str, cache: Path, known: str = "", *, what: str = "--look"
) -> dict[str, float]:
    ghe.clear()
    arguments = [sys.executable, __file__, what, ghe.url, repo, str(cache), known]
    run = subprocess.run(arguments, check=True, stdout=subprocess.PIPE)
    return {**json.loads(run.stdout), "requests": len(ghe.requests)}


def _line(what: str, seen: Mapping[str, float]) -> None:
    own = seen["cpu"] - seen["parsing"]
    print(
        f"{what:<34}{seen['requests']:>9.0f}{seen['wall']:>8.2f}{own:>11.2f}"
        f"{seen['parsing']:>9.2f}{seen['megabytes']:>10.1f}"
    )


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise WrongAnswer(what)


def measure(folder: Path) -> bool:
    """Run all of it; whether every target was met."""
    print(f"{'':<34}{'requests':>9}{'wall s':>8}{'client s':>11}{'HCL s':>9}{'MB above':>10}")
    met = []
    with StandIn(folder / "server") as ghe:
        sha = ghe.add_repository(_REPO, bare=make_monorepo(folder / "monorepo"))
        cache = folder / "cache"
        cold = _run(ghe, _REPO, cache)
        _line(f"cold, {FILES:,} files, {cold['roots']:.0f} roots", cold)
        _require(cold["roots"] == ROOTS, f"{cold['roots']} roots, not {ROOTS}")
        met.append(cold["requests"] <= COLD_REQUESTS)
        met.append(cold["cpu"] - cold["parsing"] <= COLD_CPU_SECONDS)
        met.append(cold["megabytes"] <= COLD_MEGABYTES)
        unchanged = _run(ghe, _REPO, cache, sha)
        _line("unchanged", unchanged)
        _require(ghe.requests[0].status == 304, "the commit was not asked for conditionally")
        met.append(unchanged["requests"] == 1)
        for words in ("cold", "again"):
            work = _run(ghe, _REPO, folder / "cache-worker", sha, what="--work")
            _line(f"{ROOTS} workspaces, {words}", work)
            _require(work["entries"] > ROOTS * 1000, "workspaces are empty")
        met.append(work["requests"] == 0)
        changes = {"environments/dev/service-00/main.tf": 'locals {\n  new = "1"\n}\n'}
        newer = ghe.commit(_REPO, changes)
        changed = _run(ghe, _REPO, cache, sha)
        _line("one file changed", changed)
        work = _run(ghe, _REPO, folder / "cache-worker", newer, what="--work")
        _line(f"{ROOTS} workspaces of that commit", work)
        met.append(work["requests"] <= NEW_COMMIT_REQUESTS)
        met.append(changed["requests"] == 3)
        ghe.tree_limit = 55_000
        ghe.add_repository(_WIDE, bare=make_wide_tree(folder / "wide", WIDE_ENTRIES))
        wide = _run(ghe, _WIDE, folder / "cache-wide")
        _line(f"truncated tree, {wide['entries']:,.0f} files", wide)
        _require(wide["entries"] > WIDE_ENTRIES * 0.95, "the walk lost entries")
        met.append(wide["requests"] <= WIDE_REQUESTS)
        _require(not ghe.violations, "\n".join(ghe.violations[:5]))
    return all(met)


def main() -> int:
    """Measure, or with ``--look`` or ``--work`` be the client."""
    if sys.argv[1:2] == ["--look"]:
        url, repo, cache, known = sys.argv[2:]
        print(json.dumps(look(url, repo, Path(cache), known or None)))
        return 0
    if sys.argv[1:2] == ["--work"]:
        url, repo, cache, sha = sys.argv[2:]
        print(json.dumps(lay_out_all(url, repo, sha, Path(cache))))
        return 0
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        met = measure(Path(folder))
    print(
        f"targets: {COLD_REQUESTS} requests, {COLD_CPU_SECONDS:.0f} s of CPU besides HCL and "
        f"{COLD_MEGABYTES:.0f} MB above idle cold; 1 unchanged; 3 with one file changed; 0 again, "
        f"{NEW_COMMIT_REQUESTS} of a new commit; "
        f"{WIDE_REQUESTS} for the truncated tree: {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
