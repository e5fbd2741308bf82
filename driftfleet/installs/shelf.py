"""Where installed versions are: ``terraform/1.5.7/terraform``, ``tofu/1.6.2/tofu``.

A version gets its place by one rename, with a record of what it was then; what has no record, or
is something else than its record says, passes for none.
"""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from driftfleet.durable import sync_to_disk
from driftfleet.errors import ConfigurationError
from driftfleet.installs.version import PROGRAMS, Program, is_exact

_RECORD = "installed.json"
_RECORD_BYTES = 1 << 12


@dataclass(frozen=True)
class Installed:
    """A version that is there; ``path`` is the binary, ``used_at`` a time of ``time.time``."""

    program: Program
    version: str
    path: Path
    size_bytes: int
    used_at: float


class Shelf:
    """The installed versions in ``folder``; what changes it is to hold the version's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, program: Program, version: str) -> tuple[Path, os.stat_result] | None:
        """The binary of a version that is whole, with its status.

        Raises
        ------
        ConfigurationError
            Somebody else may write where it is: it would be run with a worker's rights.
        """
        place = self._place(program, version)
        binary = place / program
        try:
            status = os.lstat(binary)
            record = _read(place / _RECORD)
            whole = stat.S_ISREG(status.st_mode) and stat.S_ISDIR(os.lstat(place).st_mode)
        except (OSError, ValueError):
            return None
        if not whole or record != _record(program, version, status.st_size):
            return None
        try:
            for path in (self._folder, self._folder / program, place, binary):
                self._require_ours(path)
        except OSError:
            # Since it was looked at somebody has removed it.
            return None
        return binary, status

    def versions(self) -> Iterator[tuple[Program, str]]:
        """All that might be installed; `find` knows whether it is."""
        for program in PROGRAMS:
            try:
                names = sorted(os.listdir(self._folder / program))
            except OSError:
                continue
            yield from ((program, name) for name in names if is_exact(name))

    def put(self, ready: Path, program: Program, version: str, away: Path) -> Path:
        """Give the binary in the folder ``ready`` its place; returns its path there.

        What is half there goes to ``away``, which must not exist. Raises `OSError`.
        """
        binary = ready / program
        binary.chmod(0o555)
        text = json.dumps(_record(program, version, binary.stat().st_size))
        (ready / _RECORD).write_text(text)
        # All that is in it is on the disk before its name is: after a power cut too it is whole.
        for path in (binary, ready / _RECORD, ready):
            sync_to_disk(path, os.O_NOFOLLOW)
        place = self._place(program, version)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.take(program, version, away)
        os.rename(ready, place)
        sync_to_disk(place.parent, os.O_NOFOLLOW)
        return place / program

    def take(self, program: Program, version: str, away: Path) -> None:
        """Move a version to ``away`` at once, for nobody may see a part of it."""
        try:
            os.rename(self._place(program, version), away)
        except FileNotFoundError:
            return

    def _place(self, program: Program, version: str) -> Path:
        return self._folder / program / version

    def _require_ours(self, path: Path) -> None:
        status = os.lstat(path)
        # Volumes of a pod belong to a group of its own, which may write.
        ours = {0, os.getegid(), *os.getgroups()}
        group = status.st_mode & stat.S_IWGRP and status.st_gid not in ours
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH or group:
            raise ConfigurationError(
                f"{path} belongs to another user or is writable by others, who could change what "
                "is run from it: take those rights away, or name another folder with "
                "installs.folder (DRIFTFLEET_INSTALLS__FOLDER)"
            )


def _record(program: Program, version: str, size: int) -> dict[str, object]:
    return {"program": program, "version": version, "bytes": size}


def _read(path: Path) -> object:
    with path.open("rb") as file:
        return json.loads(file.read(_RECORD_BYTES))
