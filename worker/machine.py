"""What this machine, or the container that it is, has left: memory and disk."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from worker.runner import resident_bytes


@dataclass(frozen=True)
class Disk:
    """The bytes of a file system: all, and those that may still be written."""

    total_bytes: int
    free_bytes: int


class Machine(Protocol):
    """Answers how much there is."""

    def available_memory_bytes(self) -> int:
        """What may still be used, of the machine and of each cgroup that this process is in."""
        ...

    def resident_bytes(self, pid: int) -> int:
        """The memory of all that lives below a process."""
        ...

    def disk(self, folder: Path) -> Disk:
        """The file system of ``folder``, or where that will be made."""
        ...


class ThisMachine:
    """The one that this process runs on."""

    def available_memory_bytes(self) -> int:
        return available_memory_bytes()

    def resident_bytes(self, pid: int) -> int:
        return resident_bytes(pid)

    def disk(self, folder: Path) -> Disk:
        while not folder.exists():
            folder = folder.parent
        status = os.statvfs(folder)
        # Without what is kept for root.
        return Disk(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)


def available_memory_bytes(proc: Path = Path("/proc")) -> int:
    """The memory that may still be used: the machine's, or that of the narrowest cgroup."""
    fields = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
    left = [int(fields["MemAvailable"].split()[0]) * 1024]
    for group in _groups(proc):
        # Neither the top nor a group without this controller has such files; "max" is no number.
        with contextlib.suppress(OSError, LookupError, ValueError):
            left.append(_left(group))
    return max(0, min(left))


def _left(group: Path) -> int:
    if (group / "memory.limit_in_bytes").exists():
        # Version 1, which counts what is below in fields of their own.
        limit = int((group / "memory.limit_in_bytes").read_text())
        used, cached = group / "memory.usage_in_bytes", "total_inactive_file"
    else:
        limit = int((group / "memory.max").read_text())
        used, cached = group / "memory.current", "inactive_file"
    counts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    # What was read of files and is in nobody's use is given back when memory is wanted.
    return limit - max(0, int(used.read_text()) - int(counts[cached]))


def _groups(proc: Path) -> Iterator[Path]:
    """The folders of the cgroups that limit this process's memory, each with all above it."""
    paths = _paths(proc)
    for line in (proc / "self" / "mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        system, _, options = kind.split(" ", 2)
        version = {"cgroup2": "", "cgroup": "memory"}.get(system)
        is_for_memory = version == "" or "memory" in options.split(",")
        if version is None or version not in paths or not is_for_memory:
            continue
        root, point = map(_unescaped, place.split()[3:5])
        group = Path(point)
        yield group
        # In a container the mount may begin at the container's own group, or be shown as if.
        with contextlib.suppress(ValueError):
            for name in PurePosixPath(paths[version]).relative_to(root).parts:
                group = group / name
                yield group


def _paths(proc: Path) -> dict[str, str]:
    """The path of this process's group by controller; that of version 2 is the empty one's."""
    paths = {}
    for line in (proc / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _unescaped(text: str) -> str:
    """As /proc/PID/mountinfo has blanks."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)
