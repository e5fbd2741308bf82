"""Whether the disk of the mirror has room for what comes, and what to say where it has none."""

import os
from pathlib import Path

from driftfleet.errors import PermanentError


class MirrorDiskFull(PermanentError):
    """The disk has no room for a package; the next one will not fit either."""


def require_room(folder: Path, sizes: list[int]) -> None:
    """Refuse what the disk of ``folder`` has no room for; ``sizes`` are of files, in bytes.

    Asked before anything is written, so that no other user of the disk meets it full.

    Raises
    ------
    MirrorDiskFull
        Says how many bytes are missing, and where.
    """
    status = os.statvfs(folder)
    block = status.f_frsize
    needed = sum(-(-size // block) * block for size in sizes)
    free = status.f_bavail * block
    if needed > free:
        raise MirrorDiskFull(
            f"the disk of {folder.parent} is full: {needed - free:,} bytes are missing there "
            f"({needed:,} are needed next, {free:,} are free). Make room (`driftfleet mirror "
            "prune` shows what no root needs), and sync again: it goes on where it ended"
        )


def free_bytes(folder: Path) -> int:
    """What may still be written to the disk of ``folder``."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
