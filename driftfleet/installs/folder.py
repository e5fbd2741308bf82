"""Installed versions, for all processes of a host: installed once, whole or not at all, pruned."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from driftfleet.ephemeral import EphemeralFolders
from driftfleet.errors import ConfigurationError, DriftfleetError, InstallUnavailable
from driftfleet.installs.installer import Installer, Staging
from driftfleet.installs.releases import ReleaseLists, Releases
from driftfleet.installs.shelf import Installed, Shelf
from driftfleet.installs.verification import require_inside, require_version
from driftfleet.installs.version import Program, require_exact
from driftfleet.installs.version_lock import VersionLock
from driftfleet.versions.constraint import Version, parse_version
from driftfleet.versions.explanation import NAMES

_STAGING = ".staging"
_LOCKS = ".locks"
_RELEASES = ".releases"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


class Installs:
    """The versions in ``folder``, which ``installer`` adds to.

    ``timeout_seconds`` bounds one install, whatever the caller's deadline is; what could be
    installed is asked for again after ``list_seconds``. ``clock`` is ``time.time``; deadlines are
    times of ``time.monotonic``.
    """

    def __init__(
        self,
        folder: Path,
        installer: Installer,
        *,
        timeout_seconds: float = 300,
        list_seconds: float = 3600,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._installer = installer
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._shelf = Shelf(folder)
        self._stagings = EphemeralFolders(folder / _STAGING)
        self._releases = ReleaseLists(
            folder / _RELEASES,
            folder / _LOCKS,
            installer,
            self._staging,
            age_seconds=list_seconds,
            timeout_seconds=timeout_seconds,
            clock=clock,
        )

    def find(self, program: Program, version: str) -> Path | None:
        """The binary of a version that is installed. Raises as `ensure`, but installs nothing."""
        require_exact(program, version)
        found = self._shelf.find(program, version)
        return found[0] if found else None

    def ensure(self, program: Program, version: str, deadline: float) -> Path:
        """The binary of a version, which is installed if it isn't yet.

        Of all who ask at once one installs, and the others wait for it. Run it within `use` where
        versions are pruned.

        Raises
        ------
        InstallRefused
            It is no exact version; there is no such version, or it is something else.
        InstallUnavailable
            It could not be installed this time.
        ConfigurationError
            Nothing can install it, or the folder can't be written to or is not ours alone.
        """
        lock = self._lock(program, version)
        path = self.find(program, version)
        if path is None:
            try:
                with lock.installing(deadline):
                    path = self.find(program, version) or self._install(program, version, deadline)
            except OSError as error:
                raise self._failure(f"{program} {version}", error) from error
        lock.touch(self._clock())
        return path

    @contextlib.contextmanager
    def use(self, program: Program, version: str, deadline: float) -> Iterator[Path]:
        """The binary, which nobody removes within the block. Raises as `ensure`."""
        lock = self._lock(program, version)
        while True:
            self.ensure(program, version, deadline)
            with lock.using(deadline):
                # Between the two somebody may have removed it.
                if found := self.find(program, version):
                    lock.touch(self._clock())
                    try:
                        yield found
                    finally:
                        # A long check has used it until now.
                        lock.touch(self._clock())
                    return

    def installed(self) -> list[Installed]:
        """All versions that are there, the least recently used first. Raises as `find`."""
        found = []
        for program, version in self._shelf.versions():
            if (there := self._shelf.find(program, version)) is not None:
                path, status = there
                used_at = self._lock(program, version).used_at() or status.st_mtime
                found.append(Installed(program, version, path, status.st_size, used_at))
        return sorted(found, key=lambda one: (one.used_at, one.program, one.version))

    def versions(self, program: Program) -> list[Version]:
        """Those of one program, in any order. Raises as `find`."""
        return [parse_version(one.version) for one in self.installed() if one.program == program]

    def installable(self, program: Program, deadline: float, *, insist: bool = False) -> Releases:
        """Those that could be installed, whether they are or not.

        None where nothing here installs the program, or the folder can't be written to. To
        ``insist`` is to ask though nobody answered a moment ago.

        Raises
        ------
        InstallUnavailable
            The installer did not tell, and never has.
        """
        if self.folder.exists() and not os.access(self.folder, os.W_OK | os.X_OK):
            return Releases()
        try:
            return self._releases.of(program, deadline, insist=insist)
        except OSError as error:
            if error.errno in _CLOSED:
                return Releases()
            raise self._failure(f"a version of {NAMES[program]}", error) from error

    def prune(self, limit_bytes: int, unused_seconds: float) -> list[Installed]:
        """Remove the least recently used versions until no more than ``limit_bytes`` are left.

        Never one that a check uses, or has used within ``unused_seconds``: then more stay. What
        killed installers left goes as well. Returns what was removed.

        Raises `ConfigurationError` where the folder can't be written to or is not ours alone.
        """
        installed = self.installed()
        excess = sum(one.size_bytes for one in installed) - limit_bytes
        removed = []
        try:
            self._stagings.sweep()
            for one in installed:
                if excess <= 0:
                    break
                if self._remove(one, unused_seconds):
                    excess -= one.size_bytes
                    removed.append(one)
        except OSError as error:
            raise self._failure("an old version", error) from error
        return removed

    def _install(self, program: Program, version: str, deadline: float) -> Path:
        deadline = min(deadline, time.monotonic() + self._timeout_seconds)
        with self._staging() as staging:
            binary = self._installer.install(program, version, staging, deadline)
            require_inside(binary, staging, f"{program} {version}")
            ready = staging.ready / program
            os.rename(binary, ready)
            ready.chmod(0o555)
            require_version(ready, program, version, staging, deadline)
            return self._shelf.put(staging.ready, program, version, staging.top / "old")

    def _remove(self, one: Installed, unused_seconds: float) -> bool:
        if self._clock() - one.used_at < unused_seconds:
            return False
        lock = self._lock(one.program, one.version)
        before = lock.used_at()
        with lock.removing() as alone:
            # Since it was listed somebody may have used it, and be done.
            if not alone or (before is not None and lock.used_at() != one.used_at):
                return False
            with self._staging() as staging:
                self._shelf.take(one.program, one.version, staging.top / "old")
        return True

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Staging]:
        """A folder beside the versions, on their file system; those of the dead go first."""
        self._stagings.sweep()
        try:
            for path in (self.folder.parent, self.folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self._stagings.create()
        except ConfigurationError as error:
            # It knows the workspaces' setting only.
            raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
        try:
            staging = Staging(folder.path)
            staging.make()
            yield staging
        finally:
            folder.remove()

    def _lock(self, program: Program, version: str) -> VersionLock:
        require_exact(program, version)
        return VersionLock(self.folder / _LOCKS / f"{program}-{version}", f"{program} {version}")

    def _failure(self, what: str, error: OSError) -> DriftfleetError:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            return InstallUnavailable(
                f"{what}: the disk of {self.folder} is full: give it more room, lower "
                "installs.limit_bytes, or name another folder with installs.folder"
            )
        if error.errno in _CLOSED:
            return ConfigurationError(
                f"{what} can't be installed or removed in {self.folder}: {reason}; name a folder "
                "that can be written to with installs.folder (DRIFTFLEET_INSTALLS__FOLDER), or "
                "install what is needed ahead"
            )
        return InstallUnavailable(f"{what}: {self.folder} can't be worked with: {reason}")
