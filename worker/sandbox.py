"""The files of a Lambda function: an invocation leaves nothing of its own to the next one."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from driftfleet.removal import remove_tree

_MARKER = ".driftfleet"


class Sandbox:
    """The temporary directory of one function; ``kept`` are the folders that stay.

    ``root`` is the writable root, which is the function's own although nothing kept is in it.
    """

    def __init__(self, root: Path, kept: Iterable[Path]) -> None:
        self._temporary = Path(tempfile.gettempdir())
        self._marker = self._temporary / _MARKER
        self._kept = list(kept)
        self._ours = [root, *self._kept]
        self._is_ours = False

    def claim(self) -> bool:
        """Whether the temporary directory is this function's alone.

        It is where it was empty when the first process of the function came here, as Lambda gives
        it to us. On any other machine, and beside an extension that keeps files in it, nothing of
        it is removed but workspaces.
        """
        if not self._is_marked() and not self._strays():
            self._mark()
        self._is_ours = self._is_marked()
        return self._is_ours

    def clear(self) -> int:
        """Remove what isn't kept; return how many files and folders that were."""
        if not self._is_ours:
            return 0
        self._reopen()
        strays = self._strays()
        for path in strays:
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        self._mark()
        return len(strays)

    def _mark(self) -> None:
        with contextlib.suppress(OSError):
            self._marker.touch(mode=0o600)

    def _is_marked(self) -> bool:
        """Whether the marker is what we made: a plan could keep something in its place."""
        with contextlib.suppress(OSError):
            status = self._marker.lstat()
            ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
            return ours and status.st_size == 0
        return False

    def _reopen(self) -> None:
        """What a plan may have closed to us: it runs as the same user."""
        _reopen(self._temporary)
        for kept in self._kept:
            inside = [one for one in kept.parents if one.is_relative_to(self._temporary)]
            if not kept.is_relative_to(self._temporary):
                continue
            for folder in [*reversed(inside), kept]:
                _reopen(folder)
            for above, names, _ in os.walk(kept):
                for name in names:
                    _reopen(Path(above, name))

    def _strays(self) -> list[Path]:
        found = list(self._outside(self._temporary))
        return [path for path in found if path != self._marker or not self._is_marked()]

    def _outside(self, folder: Path) -> Iterable[Path]:
        """What below ``folder`` is neither kept nor leads to what is."""
        for path in folder.iterdir():
            leads = any(ours.is_relative_to(path) for ours in self._ours)
            if not leads or path.is_symlink() or not path.is_dir():
                yield path
            elif path not in self._kept:
                yield from self._outside(path)


def _reopen(folder: Path) -> None:
    with contextlib.suppress(OSError):
        mode = folder.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
