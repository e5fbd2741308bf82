"""What earlier sweeps saw of a repository, so that one that hasn't changed costs one request."""

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import Field

from driftfleet.model import Record
from producer.discovery import Discovery

# Its name, and whether it is archived, are asked again after this.
_FACTS_SECONDS = 86_400
_FORGET_SECONDS = 90 * 86_400
# What decides which files discovery is given, and what it makes of them.
READERS = (
    "driftfleet.blocks", "driftfleet.closure", "driftfleet.globs", "driftfleet.hcl",
    "driftfleet.implied", "driftfleet.json_syntax",
    "driftfleet.model", "driftfleet.module_facts", "driftfleet.module_folders",
    "driftfleet.references", "driftfleet.tree", "driftfleet.github.contents",
    "driftfleet.github.git_trees", "driftfleet.github.links", "driftfleet.github.listing",
    "driftfleet.github.paths", "driftfleet.github.snapshot", "driftfleet.github.tree_walk",
    "driftfleet.versions.constraint", "driftfleet.versions.pattern",
    "driftfleet.versions.printable", "driftfleet.versions.version_file", "producer.discovery",
    "producer.look", "producer.version_files",
)  # fmt: skip


class Remembered(Record):
    """A repository as it was last seen.

    ``asked_at`` is when its ``full_name`` was asked for; ``sha`` is the commit of its ref;
    ``discovery_key`` says what ``discovery`` was made of (`discovery_key`); ``gaps`` are sentences
    about what could not be looked at then.
    """

    schema_version: Literal[1] = 1
    full_name: str
    asked_at: datetime
    sha: str = Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")
    discovery_key: str
    discovery: Discovery
    gaps: tuple[str, ...] = ()

    def is_fresh(self, now: datetime) -> bool:
        """Whether its name may be used without asking for it again."""
        return 0 <= (now - self.asked_at).total_seconds() < _FACTS_SECONDS


class Memory:
    """One file a repository and ref in ``folder``; ``host`` keeps those of two servers apart.

    It only spares requests: what can't be read, or is not what was written, is forgotten; what
    can't be written is not kept.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host

    def recall(self, name: str, ref: str) -> Remembered | None:
        """What is known of the repository of this name (any case) at ``ref``."""
        path = self._path(name, ref)
        try:
            remembered = Remembered.model_validate_json(_unsealed(path.name, path.read_bytes()))
            os.utime(path)
        except (OSError, ValueError):
            return None
        return remembered

    def note(self, name: str, ref: str, seen: Remembered) -> None:
        """Keep what was seen."""
        path = self._path(name, ref)
        staged = path.with_name(f".{secrets.token_hex(4)}.tmp")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Renamed into place: another command may read it now.
            staged.write_bytes(_sealed(path.name, seen.model_dump_json().encode()))
            os.replace(staged, path)
        except OSError:
            with contextlib.suppress(OSError):
                staged.unlink()

    def forget_the_old(self) -> None:
        """Remove what no sweep has asked for in 90 days, and what killed writers left."""
        oldest = time.time() - _FORGET_SECONDS
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._folder):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)

    def _path(self, name: str, ref: str) -> Path:
        text = json.dumps([self._host, name.lower(), ref])
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.json"


def discovery_key(sha: str, include: Iterable[str], exclude: Iterable[str]) -> str:
    """What a discovery depends on: the commit, the globs, and who read the files."""
    text = json.dumps([sha, list(include), list(exclude), _readers()])
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _readers() -> list[str]:
    """The code itself: a version alone would let a discovery outlive the mistake in it."""
    digest = hashlib.sha256()
    for name in READERS:
        spec = importlib.util.find_spec(name)
        with contextlib.suppress(OSError):
            digest.update(Path(spec.origin if spec and spec.origin else "").read_bytes())
    return [version("driftfleet"), version("python-hcl2"), digest.hexdigest()]


def _sealed(name: str, record: bytes) -> bytes:
    """A record, a JSON object, that holds its own digest, and that of its file's name, first."""
    digest = hashlib.sha256(name.encode() + record).hexdigest()
    return b'{"digest":"%s",%s' % (digest.encode(), record[1:])


def _unsealed(name: str, content: bytes) -> bytes:
    """The record that was sealed. Raises `ValueError` where a byte of it is another."""
    record = b"{" + content.partition(b",")[2]
    if _sealed(name, record) != content:
        raise ValueError("this is not what was written")
    return record


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
