"""Where packages are made before they are in the mirror; one sync or prune at a time.

It lies beside the mirror, not in it: terraform walks through the whole mirror in every ``init``,
and fails where something vanishes under its eyes.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from driftfleet.errors import ConfigurationError, TransientError
from driftfleet.locks import try_acquire
from driftfleet.mirror.unpack import remove


class MirrorBusy(TransientError):
    """Another sync or prune is at work on this mirror."""


@contextlib.contextmanager
def staging(mirror: Path) -> Iterator[Path]:
    """A folder on the mirror's disk for the time of the block, and the mirror's lock with it.

    What one that was killed left there is removed first.

    Raises
    ------
    MirrorBusy
        Somebody else has the lock.
    ConfigurationError
        There is no place for it, or none on the same disk.
    """
    folder = mirror.parent / f".{mirror.name}.sync"
    descriptor = _locked(mirror, folder)
    try:
        _empty(folder)
        yield folder
    finally:
        # A second Ctrl-C is held back by then; what stays is removed by the next one.
        with contextlib.suppress(OSError):
            _empty(folder)
        os.close(descriptor)


def _locked(mirror: Path, folder: Path) -> int:
    try:
        mirror.parent.mkdir(parents=True, exist_ok=True)
        if not mirror.is_dir():
            mirror.mkdir()
            mirror.chmod(0o755)
        folder.mkdir(mode=0o700, exist_ok=True)
        # The folder itself is locked: there is no lock file to be left over (docs/adr/0003).
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigurationError(
            f"the mirror {mirror} can't be changed here: {error.filename}: {error.strerror}; a "
            "sync writes to the mirror and, while it runs, to a folder beside it"
        ) from error
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise ConfigurationError(f"{folder} belongs to another user: remove it")
        if status.st_dev != os.stat(mirror).st_dev:
            raise ConfigurationError(
                f"the mirror {mirror} is a disk of its own, so that nothing beside it can be moved "
                f"into it at once: make the mirror a folder on that disk ({mirror}/providers)"
            )
        if not try_acquire(descriptor):
            raise MirrorBusy(f"another sync or prune is at work on {mirror}: wait until it is done")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _empty(folder: Path) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            remove(Path(entry.path))
        else:
            os.unlink(entry.path)
