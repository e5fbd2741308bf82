"""Checks of what `driftfleet doctor` finds of the disks that are written to."""

import os
from collections.abc import Iterator
from pathlib import Path

from driftfleet.settings import Settings
from producer.doctor.findings import Finding, fail, ok, warn
from producer.doctor.store import folder_of

_FULL_BYTES = 16 << 20
_FEW_BYTES = 1 << 30
_FEW_FILES = 10_000
_GIB = 1 << 30


def disks(settings: Settings) -> Iterator[Finding]:
    """One finding a disk: what of ours is on it, and how much is free."""
    uses: dict[int, dict[str, Path]] = {}
    for use, folder in _folders(settings).items():
        existing = next(one for one in (folder, *folder.parents) if one.exists())
        uses.setdefault(existing.stat().st_dev, {})[use] = existing
    for folders in uses.values():
        needed = settings.limits.workspace_bytes if "workspaces" in folders else _FEW_BYTES
        yield disk_finding(", ".join(folders), next(iter(folders.values())), needed)


def _folders(settings: Settings) -> dict[str, Path]:
    """The folders that are written to, by what they are for."""
    named = {"workspaces": settings.worker.writable_root}
    if (store := folder_of(settings)) is not None:
        named["results"] = store
    mirror = settings.worker.mirror
    # One that others fill may be on a disk that is made full.
    if mirror is not None and os.access(mirror, os.W_OK):
        named["mirror"] = mirror
    return named


def disk_finding(uses: str, folder: Path, needed_bytes: int) -> Finding:
    """Whether the disk of ``folder`` has room; ``needed_bytes`` is what it should have at least."""
    try:
        told = os.statvfs(folder)
    except OSError as error:
        return fail("disk", f"{folder} ({uses}): {error.strerror}", "see whether it is mounted")
    free = told.f_bavail * told.f_frsize
    text = f"{_size(free)} of {_size(told.f_blocks * told.f_frsize)} free at {folder} ({uses})"
    mend = f"free some, or give {uses.replace(', ', ' or ')} another disk"
    if free < _FULL_BYTES:
        return fail("disk", text, mend)
    # Some file systems have no fixed number of files, and say 0.
    if told.f_files and told.f_favail < _FEW_FILES:
        return warn("disk", f"{text}, and only {told.f_favail:,} more files (inodes)", mend)
    if free < needed_bytes:
        why = " (limits.workspace_bytes)" if "workspaces" in uses else ""
        return warn("disk", f"{text}: less than {_size(needed_bytes)}{why}", mend)
    return ok("disk", text)


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count / (1 << 20):.0f} MiB"
