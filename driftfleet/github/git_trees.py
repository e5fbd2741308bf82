"""What GitHub's answer to a tree says, and whether it is what git hashed. Pure.

A tree object's name is the hash of its entries, so an answer that lacks an entry, or has one too
many, shows. Its format: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from driftfleet.errors import SourceRefused
from driftfleet.github.paths import join, shown

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MODE = re.compile(r"0?40000|100[0-7]{3}|120000|160000")
# What stands for a byte that isn't UTF-8: JSON can't hold the name that was hashed.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
TREE = "40000"
LINK = "120000"
SUBMODULE = "160000"


class Row(NamedTuple):
    """An entry of one tree object; ``mode`` is octal as git hashes it, ``size`` that of a blob."""

    mode: str
    name: str
    sha: str
    size: int


@dataclass
class Answer:
    """One answer: the tree that it is about, and the rows of each folder in it by path.

    ``""`` is the tree itself. ``shas`` are the folders' hashes, as the trees above them say.
    """

    sha: str
    truncated: bool
    folders: dict[str, list[Row]] = field(default_factory=lambda: {"": []})
    shas: dict[str, str] = field(default_factory=dict)


def read_answer(payload: Any, folder: str) -> Answer:
    """Read the JSON about the tree at ``folder``.

    Names are as git has them, odd ones included: they are part of what it hashed. Of two folders
    of one name the rows can't be told apart here, so that both are left out.

    Raises ``ValueError`` where it isn't of that form, `SourceRefused` for what is no entry at all.
    """
    if not isinstance(payload, Mapping):
        raise ValueError("is no object")
    sha, items, truncated = (payload.get(key) for key in ("sha", "tree", "truncated"))
    if not isinstance(sha, str) or not _SHA.fullmatch(sha) or not isinstance(items, list):
        raise ValueError("has no tree")
    answer = Answer(sha=sha, truncated=bool(truncated))
    twins: set[str] = set()
    for item in items:
        path, row = _row(item, folder)
        above, _, _ = path.rpartition("/")
        # The answer's own path is "", too. What lies in a folder without a name nobody needs.
        if not path:
            answer.folders[""].append(row)
        if not path or path.startswith("/"):
            continue
        if row.mode == TREE and path in answer.shas:
            twins.add(path)
        answer.folders.setdefault(above, []).append(row)
        if row.mode == TREE:
            answer.folders.setdefault(path, [])
            answer.shas[path] = row.sha
    for path, rows in answer.folders.items():
        if path and path not in answer.shas and not answer.truncated:
            raise ValueError(f"has something in {shown(path)}, but not that folder")
        _drop_lossy_twins(rows)
    if twins:
        for path in [path for path in answer.shas if _is_beneath_any(path, twins)]:
            del answer.folders[path], answer.shas[path]
    return answer


def matches(sha: str, rows: Iterable[Row]) -> bool:
    """Whether a tree with these entries has the hash ``sha``."""
    # Some old tools wrote folders' modes with a zero before; fsck calls it zeroPaddedFilemode.
    return any(tree_hash(rows, len(sha), tree_mode=mode) == sha for mode in (TREE, f"0{TREE}"))


def tree_hash(rows: Iterable[Row], length: int = 40, *, tree_mode: str = TREE) -> str:
    """The name of the tree object with these entries, 40 (SHA-1) or 64 (SHA-256) digits long."""
    lines = sorted(
        # Git sorts by bytes, a folder as if its name ended with a slash.
        (row.name.encode() + (b"/" if row.mode == TREE else b""), row)
        for row in rows
    )
    body = b"".join(
        b"%s %s\0%s"
        % (
            (tree_mode if row.mode == TREE else row.mode).encode(),
            row.name.encode(),
            bytes.fromhex(row.sha),
        )
        for _, row in lines
    )
    algorithm = "sha1" if length == 40 else "sha256"
    return hashlib.new(
        algorithm, b"tree %d\0" % len(body) + body, usedforsecurity=False
    ).hexdigest()


def is_lossy(rows: Iterable[Row]) -> bool:
    """Whether a name may not be what git hashed: it isn't UTF-8, and JSON holds nothing else."""
    return any(_REPLACEMENT in row.name for row in rows)


def _row(item: Any, folder: str) -> tuple[str, Row]:
    if not isinstance(item, Mapping):
        raise ValueError("has an entry that is no object")
    path, mode, sha, size = (item.get(key) for key in ("path", "mode", "sha", "size"))
    if not isinstance(path, str) or not isinstance(sha, str) or not _SHA.fullmatch(sha):
        raise ValueError("has an entry without path or hash")
    if not isinstance(mode, str) or not _MODE.fullmatch(mode):
        raise SourceRefused(
            f"{shown(join(folder, path))}: an entry of mode {shown(str(mode))} is no file, "
            "folder, link or submodule"
        )
    name = path.rpartition("/")[2]
    if "\0" in path:
        # JSON can hold it, a tree object can't.
        raise ValueError("has a name with NUL")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise SourceRefused(f"{shown(join(folder, path))}: the name is no text") from error
    known = isinstance(size, int) and size >= 0
    return path, Row(mode.lstrip("0"), name, sha, size if known else 0)  # type: ignore[arg-type]


def _drop_lossy_twins(rows: list[Row]) -> None:
    """Names that aren't UTF-8 may look the same without being so: the first one stays."""
    names = {row.name for row in rows}
    if len(names) == len(rows):
        return
    first = {row.name: row for row in reversed(rows) if _REPLACEMENT in row.name}
    rows[:] = [row for row in rows if first.get(row.name, row) is row]


def _is_beneath_any(path: str, folders: set[str]) -> bool:
    while path and path not in folders:
        path = path.rpartition("/")[0]
    return bool(path)
