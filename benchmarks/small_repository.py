"""How many requests a repository of 20 roots is to GitHub: a sweep of it, and workers of it.

60 files of roots, three of a module that all call, twenty that no plan reads. Counted on the tests'
stand-in for GitHub, blob by blob (the default) and by the archive (``cache.blobs_at_most: 0``).
"""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.scale import row
from driftfleet.cache import open_cache
from driftfleet.github.connect import open_github
from driftfleet.github.repositories import head, repository
from driftfleet.github.snapshot import Snapshot
from driftfleet.jobs import Job, Source
from driftfleet.settings import CacheSettings, GitHubSettings
from producer.discovery import discover
from producer.look import paths_that_matter
from tests.standin import StandIn
from worker.github_connection import LazyConnection
from worker.github_source import GitHubSource
from worker.workspace import Workspaces

_REPO, _ROOTS = "many/small", 20
_WAYS = {"blobs": CacheSettings(), "archive": CacheSettings(blobs_at_most=0)}


def _files() -> dict[str, str]:
    files = {f"modules/m/f{n}.tf": f"# {n}\n" for n in range(3)}
    for n in range(_ROOTS):
        files[f"envs/s{n}/main.tf"] = f'module "m" {{\n  source = "../../modules/m"\n}}\n# {n}\n'
        files[f"envs/s{n}/backend.tf"] = f'terraform {{\n  backend "s3" {{}}\n}}\n# {n}\n'
        files[f"envs/s{n}/.terraform.lock.hcl"] = f"# {n}\n"
        files[f"docs/{n}.md"] = f"{n}" * 4000
    return files


class _Client:
    """Somebody on a host whose cache is in ``folder``."""

    def __init__(self, ghe: StandIn, folder: Path, cache: CacheSettings) -> None:
        self._ghe, self._folder, self._cache = ghe, folder, cache
        self._settings = GitHubSettings(url=ghe.url, token="env://TOKEN")
        self._environment = {"TOKEN": ghe.token}

    def sweep(self, known: str | None = None) -> int:
        """Look at it as a producer does; how many requests that was."""
        self._ghe.clear()
        with open_github(self._settings, self._environment, patience_seconds=0) as github:
            if known is None:
                repository(github, _REPO)
            if (sha := head(github, _REPO, known_sha=known)) is not None:
                cache = open_cache(self._folder, self._cache.limit_bytes)
                snapshot = Snapshot(github, _REPO, sha, cache, self._cache)
                snapshot.fetch(paths_that_matter(snapshot))
                assert len(discover(snapshot).roots) == _ROOTS
        return len(self._ghe.requests)

    def work(self, sha: str, *numbers: int) -> int:
        """Lay out roots as a worker does; how many requests that was."""
        self._ghe.clear()
        connection = LazyConnection(self._settings, self._cache, self._folder, self._environment)
        source = GitHubSource(connection)
        with tempfile.TemporaryDirectory() as writable:
            workspaces = Workspaces(Path(writable))
            for number in numbers:
                origin = Source(kind="github", repo=_REPO, sha=sha)
                job = Job(sweep_id="s", source=origin, root=f"envs/s{number}")
                with workspaces.use(job.limits.workspace_bytes) as workspace:
                    source.fetch(job, workspace, time.monotonic() + 60)
        connection.close()
        return len(self._ghe.requests)

    def disk_bytes(self) -> int:
        """What the cache takes of its disk."""
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return sum(path.stat().st_blocks * 512 for path in files)


def main() -> int:
    """Run the benchmark."""
    row(f"requests, {_ROOTS} roots", *_WAYS)
    with tempfile.TemporaryDirectory() as folder, StandIn(Path(folder) / "server") as ghe:
        sha = ghe.add_repository(_REPO, _files())
        clients = {
            (who, way): _Client(ghe, Path(folder) / f"{who}-{way}", cache)
            for way, cache in _WAYS.items()
            for who in ("producer", "one", "all")
        }
        told = [[clients["producer", way].sweep() for way in _WAYS]]
        told.append([clients["producer", way].sweep(sha) for way in _WAYS])
        told.append([clients["one", way].work(sha, 0) for way in _WAYS])
        told.append([clients["all", way].work(sha, *range(_ROOTS)) for way in _WAYS])
        newer = ghe.commit(_REPO, {"envs/s3/backend.tf": 'terraform {\n  backend "s3" {}\n}\n'})
        told.append([clients["producer", way].sweep(sha) for way in _WAYS])
        told.append([clients["one", way].work(newer, 0) for way in _WAYS])
        told.append([clients["all", way].work(newer, 3) for way in _WAYS])
        for what, counts in zip(
            ("a sweep, the first", "... unchanged (304, free)", "a worker, one root",
             "a worker, all roots", "a sweep, one file changed", "a worker then, another root",
             "a worker then, that root"), told, strict=True,
        ):  # fmt: skip
            row(what, *map(str, counts))
        size = clients["all", "blobs"].disk_bytes()
        print(f"a worker's cache of all roots: {size:,} bytes on the disk")
    return 0


if __name__ == "__main__":
    sys.exit(main())
