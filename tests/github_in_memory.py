"""A repository that a real client reads through httpx's transport seam: no socket, no git.

`tests/standin` is a whole server with real repositories; this one is for what git wouldn't store
and a server wouldn't say.
"""

import gzip
import io
import itertools
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from driftfleet.blobs import blob_hash
from driftfleet.cache import Cache, open_cache
from driftfleet.github.auth import Anonymous
from driftfleet.github.client import GitHub
from driftfleet.github.git_trees import Row, tree_hash
from driftfleet.github.host import host_of
from driftfleet.github.snapshot import Snapshot
from driftfleet.settings import CacheSettings, GitHubSettings

REPO = "o/r"
COMMIT = "c" * 40
API = "/api/v3/repos/o/r"
Payload = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class Submodule:
    """A commit of another repository."""


File = bytes | Link | Submodule


class Repository:
    """One commit's files, and what of them the server says.

    ``tree_limit`` truncates recursive answers, ``edit`` changes a tree's answer, ``archived``
    what the archive holds, ``blobs`` what a blob's answer is.
    """

    def __init__(self, files: Mapping[str, File]) -> None:
        self.files = dict(files)
        self.tree_limit = 100_000
        self.tells_commit = True
        self.edit: Callable[[str, Payload], Payload] = lambda path, payload: payload
        self.archived: Callable[[], bytes] = lambda: archive_of(self.files)
        self.blobs = {content_hash(f): content_of(f) for f in files.values()}
        self.requests: list[str] = []
        self._trees: dict[str, list[Row]] = {}
        self.tree_sha = self._hash("")

    def client(self, **settings: Any) -> GitHub:
        github = GitHubSettings(url="https://ghe.example.com", **settings)
        return GitHub(
            host_of(github),
            Anonymous(),
            github,
            patience_seconds=0,
            transport=httpx.MockTransport(self._answer),
            sleep=lambda seconds: None,
        )

    def snapshot(self, cache: Cache | Path, **settings: Any) -> Snapshot:
        opened = open_cache(cache, 1 << 30) if isinstance(cache, Path) else cache
        return Snapshot(self.client(), REPO, COMMIT, opened, CacheSettings(**settings))

    def asked(self, kind: str) -> list[str]:
        """The last parts of the requests of a kind: ``trees``, ``blobs``, ``tarball``."""
        return [path.rpartition("/")[2] for path in self.requests if f"/{kind}/" in path]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requests.append(request.url.raw_path.decode())
        if path == f"{API}/tarball/{COMMIT}":
            return httpx.Response(302, headers={"Location": f"/_codeload/{COMMIT}?token=x"})
        if path.startswith("/_codeload/"):
            return httpx.Response(200, content=self.archived())
        kind, _, sha = path.removeprefix(f"{API}/git/").partition("/")
        if kind == "blobs" and sha in self.blobs:
            return httpx.Response(200, content=self.blobs[sha])
        top = self.tree_sha if sha == COMMIT else sha
        if kind != "trees" or top not in self._trees:
            return httpx.Response(404, json={"message": "Not Found"})
        found = self._items(top, "", "recursive" in request.url.params)
        items = list(itertools.islice(found, self.tree_limit + 1))
        payload = {
            "sha": COMMIT if sha == COMMIT and self.tells_commit else top,
            "tree": items[: self.tree_limit],
            "truncated": len(items) > self.tree_limit,
        }
        return httpx.Response(200, content=json.dumps(self.edit(sha, payload)))

    def _items(self, sha: str, folder: str, recursive: bool) -> Any:
        for row in self._trees[sha]:
            path = folder + row.name
            kind = {"40000": "tree", "160000": "commit"}.get(row.mode, "blob")
            item = {"path": path, "mode": row.mode.zfill(6), "type": kind, "sha": row.sha}
            yield item | ({"size": row.size} if kind == "blob" else {})
            if kind == "tree" and recursive:
                yield from self._items(row.sha, f"{path}/", recursive)

    def _hash(self, folder: str) -> str:
        rows = {}
        for path, file in self.files.items():
            if not path.startswith(folder):
                continue
            name, slash, _ = path[len(folder) :].partition("/")
            if not slash:
                rows[name] = Row(_mode(file), name, content_hash(file), len(content_of(file)))
            elif name not in rows:
                rows[name] = Row("40000", name, self._hash(f"{folder}{name}/"), 0)
        sha = tree_hash(rows.values())
        self._trees[sha] = [rows[name] for name in sorted(rows)]
        return sha


def content_of(file: File) -> bytes:
    if isinstance(file, Link):
        return file.target.encode()
    return b"" if isinstance(file, Submodule) else file


def content_hash(file: File) -> str:
    return "d" * 40 if isinstance(file, Submodule) else blob_hash(content_of(file))


def archive_of(files: Mapping[str, File], top: str = "o-r-c/") -> bytes:
    """As ``git archive`` makes it: a comment for all, folders, pax headers for long names."""
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": COMMIT}
    ) as archive:
        archive.addfile(_member(top.rstrip("/"), tarfile.DIRTYPE))
        for path, file in sorted(files.items()):
            if isinstance(file, Submodule):
                archive.addfile(_member(top + path, tarfile.DIRTYPE))
            elif isinstance(file, Link):
                member = _member(top + path, tarfile.SYMTYPE)
                member.linkname = file.target
                archive.addfile(member)
            else:
                member = _member(top + path, tarfile.REGTYPE)
                member.size = len(file)
                archive.addfile(member, io.BytesIO(file))
    return gzip.compress(packed.getvalue(), 1)


def _member(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    return member


def _mode(file: File) -> str:
    if isinstance(file, Link):
        return "120000"
    return "160000" if isinstance(file, Submodule) else "100644"
