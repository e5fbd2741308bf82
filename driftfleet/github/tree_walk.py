"""Reads a commit's listing from GitHub, in few requests, and verifies it."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from urllib.parse import quote

from driftfleet.errors import GitHubRefused, GitHubUnavailable, SourceRefused
from driftfleet.github.client import GitHub
from driftfleet.github.git_trees import (
    LINK,
    SUBMODULE,
    TREE,
    Answer,
    Row,
    is_lossy,
    matches,
    read_answer,
    tree_hash,
)
from driftfleet.github.listing import Entry, Kind, Listing
from driftfleet.github.paths import LONGEST_PATH, join, shown, why_odd
from driftfleet.github.urls import repository_path

# The largest repositories known have about as many. Beyond it somebody builds trees out of spite:
# one that holds the same folder ten times, ten levels deep, costs a hostile person nothing.
MOST_ENTRIES = 500_000
# What their paths have together: ten times what a large repository has. Long names for folders of
# folders make gigabytes of paths out of a few kilobytes.
MOST_CHARACTERS = 64 << 20
MOST_REQUESTS = 1_000
# GitHub itself cuts an answer at 7 MB or 100,000 entries.
_ANSWER_BYTES = 64 << 20


def read_listing(
    github: GitHub, repo: str, commit_sha: str, tree_sha: str | None = None
) -> Listing:
    """List a commit, with one request where the listing isn't truncated.

    Every folder's entries must have the hash that the folder above names. The top's must have
    ``tree_sha``; without it, the one that the answer names. GitHub names the commit there when a
    commit was asked for: the top's own entries are then believed.

    Raises
    ------
    GitHubUnavailable
        The listing lacks something, or isn't that of the commit.
    SourceRefused
        The repository is too large to be listed. A name that is refused, and what is nested too
        deeply, is a gap of its folder.
    """
    return _Walk(github, repo, commit_sha).run(tree_sha)


class _Walk:
    """Collects tree objects by hash until none is missing below the top.

    What a truncated answer holds in full is kept, and equal folders are asked for once.
    """

    def __init__(self, github: GitHub, repo: str, commit_sha: str) -> None:
        self._github = github
        self._repo = repo
        self._commit = commit_sha
        self._trees: dict[str, list[Row]] = {}
        # Those whose whole listing GitHub truncates or refuses.
        self._large: set[str] = set()
        self._requests = 0

    def run(self, tree_sha: str | None) -> Listing:
        top = self._top(tree_sha)
        while missing := self._missing(top):
            calls = (partial(self._ask_tree, sha, folder) for sha, folder in missing.items())
            with closing(self._github.many(calls)) as answers:
                for (sha, folder), answer in zip(missing.items(), answers, strict=True):
                    self._take(sha, folder, answer)
        return _expand(top, self._trees, self._repo)

    def _top(self, tree_sha: str | None) -> str:
        answer, recursive = self._ask(self._commit, ".", recursive=True), True
        if answer is None or answer.truncated:
            if answer is not None:
                self._absorb(answer, "", recursive=True)
            answer, recursive = self._ask(self._commit, ".", recursive=False), False
        if answer is None or answer.truncated:
            raise self._endless(".")
        rows = answer.folders[""]
        expected = tree_sha or (answer.sha if answer.sha != self._commit else None)
        if expected is None:
            expected = tree_hash(rows, len(self._commit))
        elif not matches(expected, rows) and not is_lossy(rows):
            raise self._wrong(".", f"its entries aren't those of the tree {expected}")
        self._trees[expected] = rows
        self._absorb(answer, "", recursive=recursive)
        return expected

    def _take(self, sha: str, folder: str, answer: Answer | None) -> None:
        recursive = sha not in self._large
        if answer is not None:
            rows = answer.folders[""]
            if matches(sha, rows) or (is_lossy(rows) and not answer.truncated):
                self._trees[sha] = rows
            elif not answer.truncated:
                raise self._wrong(folder, f"its entries aren't those of the tree {sha}")
            self._absorb(answer, folder, recursive=recursive)
        if sha not in self._trees:
            if not recursive:
                raise self._endless(folder)
            self._large.add(sha)

    def _absorb(self, answer: Answer, top: str, *, recursive: bool) -> None:
        """Keep the trees below an answer's own that it holds in full."""
        whole = recursive and not answer.truncated
        for path, sha in answer.shas.items():
            rows = answer.folders[path]
            if sha in self._trees:
                continue
            if matches(sha, rows):
                self._trees[sha] = rows
            elif whole and not (is_lossy(rows) or "\ufffd" in path):
                raise self._wrong(join(top, path), f"its entries aren't those of the tree {sha}")

    def _missing(self, top: str) -> dict[str, str]:
        """The trees that are still to be asked for, with a folder where each lies."""
        missing: dict[str, str] = {}
        seen: set[str] = set()
        # The shortest path first: what is nested too deeply in one place may not be in another.
        waiting = [(0, "", top)]
        while waiting:
            _, folder, sha = heapq.heappop(waiting)
            if sha in seen:
                continue
            seen.add(sha)
            for row in self._trees[sha]:
                if row.mode != TREE or row.sha in seen or _why_left_out(row, folder):
                    continue
                path = join(folder, row.name)
                if row.sha in self._trees:
                    heapq.heappush(waiting, (len(path), path, row.sha))
                else:
                    missing.setdefault(row.sha, path)
        return missing

    def _ask_tree(self, sha: str, folder: str) -> Answer | None:
        return self._ask(sha, folder, recursive=sha not in self._large)

    def _ask(self, sha: str, folder: str, *, recursive: bool) -> Answer | None:
        """Ask for a tree; None where GitHub can't recurse into it, as it can't into some."""
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise self._endless(folder)
        path = f"{repository_path(self._repo)}/git/trees/{quote(sha, safe='')}"
        try:
            answer = self._github.get(
                path, params={"recursive": "1"} if recursive else None, limit_bytes=_ANSWER_BYTES
            )
            return read_answer(answer.json(), folder)
        except GitHubRefused as error:
            if error.status != 422 or not recursive:
                raise
            return None
        except ValueError as error:
            raise self._wrong(folder, f"GitHub's answer {error}") from error

    def _wrong(self, folder: str, reason: str) -> GitHubUnavailable:
        where = "the top folder" if folder in ("", ".") else shown(folder)
        return GitHubUnavailable(
            f"{self._repo}: the listing of {where} at {self._commit} is not whole: {reason}; "
            "asking again may give the whole one"
        )

    def _endless(self, folder: str) -> SourceRefused:
        where = "the top folder" if folder in ("", ".") else shown(folder)
        return SourceRefused(
            f"{self._repo}: {where} at {self._commit} has more entries than GitHub's API lists"
        )


def _expand(top: str, trees: Mapping[str, Sequence[Row]], repo: str) -> Listing:
    """All there is by path, folder by folder."""
    entries: list[Entry] = []
    empty: list[str] = []
    gaps: dict[str, str] = {}
    rows_left, characters_left = MOST_ENTRIES, MOST_CHARACTERS
    waiting = [(top, "")]
    while waiting:
        sha, folder = waiting.pop()
        if folder and not trees[sha]:
            empty.append(folder)
        rows_left -= len(trees[sha])
        if rows_left < 0:
            raise SourceRefused(f"{repo}: has more than {MOST_ENTRIES} files and folders")
        for path, row in _listed(trees[sha], folder, gaps):
            characters_left -= len(path)
            if characters_left < 0:
                raise SourceRefused(
                    f"{repo}: the paths of its files and folders have more than "
                    f"{MOST_CHARACTERS:,} characters together; near {shown(folder)} there are long "
                    "ones"
                )
            if row.mode == TREE:
                waiting.append((row.sha, path))
            else:
                entries.append(Entry(path, _kind(row.mode), row.sha, row.size))
    return Listing(top, entries, empty, gaps)


def _listed(rows: Sequence[Row], folder: str, gaps: dict[str, str]) -> Iterator[tuple[str, Row]]:
    """A folder's entries with their paths; where some are left out, the folder becomes a gap."""
    twins: set[str] = set()
    # Git has them in broken trees only, and which one counts is anyone's.
    if len({row.name for row in rows}) != len(rows):
        twins = {name for name, count in Counter(row.name for row in rows).items() if count > 1}
    for row in rows:
        reason = _why_left_out(row, folder)
        if reason is None and row.name in twins:
            reason = f"the name '{shown(row.name)}' is in it twice"
        if reason is None:
            yield join(folder, row.name), row
        else:
            gaps.setdefault(folder or ".", reason)


def _why_left_out(row: Row, folder: str) -> str | None:
    if reason := why_odd(row.name):
        return f"in it the name '{shown(row.name)}' {reason}"
    if len(folder) + 1 + len(row.name) > LONGEST_PATH:
        return (
            f"folders are nested too deeply below it: paths of more than {LONGEST_PATH:,} "
            "characters are not read"
        )
    return None


def _kind(mode: str) -> Kind:
    if mode == LINK:
        return "link"
    if mode == SUBMODULE:
        return "submodule"
    # As git itself: what the owner may execute is executable, and no other bit counts.
    return "executable" if int(mode, 8) & 0o100 else "file"
