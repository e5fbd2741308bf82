"""Who may write to a mirror. Whoever can puts programs there that every worker will run."""

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from driftfleet.errors import ConfigurationError


def require_unwritable(mirror: Path) -> None:
    """Refuse a mirror in which other users may write.

    Writable by a group counts where the group is not our own: many systems give each user one, and
    have it write by default. Terraform walks the same folders in every ``init``.

    Raises
    ------
    ConfigurationError
        Names the folder or file, and the command that mends it.
    """
    own_group = os.getegid()
    for path, status in _entries(mirror):
        if status.st_mode & stat.S_IWOTH:
            who = "every user"
        elif status.st_mode & stat.S_IWGRP and status.st_gid != own_group:
            who = f"the group {status.st_gid}"
        else:
            continue
        raise ConfigurationError(
            f"the provider mirror {mirror} is not used: {who} of this machine may write to "
            f"{path}, and workers run what is there. Mend it: "
            f"`chmod -R go-w {shlex.quote(str(mirror))}`, then look at it with "
            "`driftfleet mirror verify`"
        )


def _entries(mirror: Path) -> Iterator[tuple[str, os.stat_result]]:
    top = os.fspath(mirror)
    try:
        yield top, os.stat(top)
    except OSError:
        return  # there is none; who needs one will say so
    seen: set[tuple[int, int]] = set()
    # Through links, as terraform does; one that leads up is met once.
    for folder, folders, names in os.walk(top, followlinks=True):
        found = {}
        for name in (*folders, *names):
            path = f"{folder}/{name}"
            try:
                # Of a link counts what it leads to: its own mode says nothing.
                found[name] = os.stat(path)
            except OSError:
                continue
            yield path, found[name]
        identities = {n: (found[n].st_dev, found[n].st_ino) for n in folders if n in found}
        folders[:] = [name for name, identity in identities.items() if identity not in seen]
        seen.update(identities.values())
