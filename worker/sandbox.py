"""The files of a Lambda function: an invocation leaves nothing of its own to the next one."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from driftfleet.ephemeral import remove_tree

_MARKER = ".driftfleet"


class Sandbox:
    """The temporary directory of one function; ``kept`` are the paths that stay."""

    def __init__(self, kept: Iterable[Path]) -> None:
        self._temporary = Path(tempfile.gettempdir())
        self._marker = self._temporary / _MARKER
        self._kept = [self._marker, *kept]
        self._is_ours = False

    def claim(self) -> bool:
        """Whether the temporary directory is this function's alone.

        It is where it was empty when the first process of the function came here, as Lambda gives
        it to us. On any other machine, and beside an extension that keeps files in it, nothing of
        it is removed but workspaces.
        """
        with contextlib.suppress(OSError):
            if not self._marker.exists() and not self._strays():
                self._marker.touch(mode=0o600)
            self._is_ours = self._marker.lstat().st_uid == os.getuid()
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
        return len(strays)

    def _reopen(self) -> None:
        """What a plan may have closed to us: it runs as the same user."""
        for kept in self._kept:
            for folder in kept.parents:
                inside = folder != self._temporary and folder.is_relative_to(self._temporary)
                if inside and not folder.is_symlink():
                    with contextlib.suppress(OSError):
                        folder.chmod(0o700)

    def _strays(self) -> list[Path]:
        return list(self._outside(self._temporary))

    def _outside(self, folder: Path) -> Iterable[Path]:
        """What below ``folder`` is neither kept nor leads to what is."""
        for path in folder.iterdir():
            if path in self._kept:
                continue
            if any(kept.is_relative_to(path) for kept in self._kept) and not path.is_symlink():
                yield from self._outside(path)
            else:
                yield path
