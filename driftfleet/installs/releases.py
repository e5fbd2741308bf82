"""What could be installed: asked of the installer, and kept for all processes of a host."""

import errno
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from driftfleet.durable import sync_to_disk
from driftfleet.errors import InstallRefused, InstallUnavailable
from driftfleet.installs.installer import LISTED_BYTES, Installer, Staging
from driftfleet.installs.version import Program, is_exact
from driftfleet.installs.version_lock import VersionLock
from driftfleet.versions.constraint import Malformed, Version, parse_version
from driftfleet.versions.explanation import NAMES

# HashiCorp has published some 500.
_MOST_VERSIONS = 5_000
_ASK_SECONDS = 60.0
# A remote that did not answer a moment ago would cost each check the time of its connection.
_AGAIN_SECONDS = 60.0
_FILE_BYTES = 2 * LISTED_BYTES
_READ_ONLY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Releases:
    """Versions that could be installed, in any order; ``stale`` says why they may not be all."""

    versions: tuple[Version, ...] = ()
    stale: str = ""


@dataclass(frozen=True)
class _Listed:
    """What is kept: a list, why the last try to have it failed, or both.

    Times are of ``time.time``.
    """

    source: str
    listed_at: float = 0.0
    versions: tuple[str, ...] = ()
    tried_at: float = 0.0
    failure: str = ""


class ReleaseLists:
    """The lists of ``installer`` in ``folder``, a file a program.

    ``stage`` makes the folders that the installer may write to; ``locks`` is the folder of locks.
    ``age_seconds`` is how old a list may grow before it is asked for again.
    """

    def __init__(
        self,
        folder: Path,
        locks: Path,
        installer: Installer,
        stage: Callable[[], AbstractContextManager[Staging]],
        *,
        age_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._locks = locks
        self._installer = installer
        self._stage = stage
        self._age_seconds = age_seconds
        self._timeout_seconds = min(timeout_seconds, _ASK_SECONDS)
        self._clock = clock

    def of(self, program: Program, deadline: float, *, insist: bool = False) -> Releases:
        """The releases of a program; none where nothing here installs it.

        Of all who ask at once one asks the remote, and the others wait. Where it can't be asked
        the last list serves, however old it is, and for a minute nobody asks again; who has to
        ``insist`` does.

        Raises
        ------
        InstallUnavailable
            It could not be asked, and there is no list.
        OSError
            The folder can't be worked with, and there is no list.
        """
        source = self._installer.source(program)
        if not source:
            return Releases()
        known = self._read(program, source)
        if known is not None and self._is_young(known, insist=insist):
            return self._told(known)
        try:
            with self._lock(program).installing(deadline):
                known = self._read(program, source)
                if known is None or not self._is_young(known, insist=insist):
                    known = self._ask(program, source, known, deadline)
        except (InstallUnavailable, InstallRefused) as failure:
            if known is None or not known.versions:
                raise InstallUnavailable(failure.message) from failure
            return self._told(replace(known, failure=failure.message))
        except OSError as error:
            # A disk that is full or read-only: what was listed before still serves.
            if known is None or not known.versions:
                raise
            return self._told(replace(known, failure=error.strerror or str(error)))
        return self._told(known)

    def _ask(
        self, program: Program, source: str, known: _Listed | None, deadline: float
    ) -> _Listed:
        given, deadline = deadline, min(deadline, time.monotonic() + self._timeout_seconds)
        with self._stage() as staging:
            try:
                printed = self._installer.list(program, staging, deadline)
                versions = parse_list(printed, program, source)
            except (InstallUnavailable, InstallRefused) as error:
                # After our own deadline it says nothing of the remote.
                if time.monotonic() < given:
                    tried = replace(known or _Listed(source), tried_at=self._clock())
                    self._write(program, replace(tried, failure=error.message), staging)
                raise
            listed = _Listed(source, self._clock(), versions)
            self._write(program, listed, staging)
        return listed

    def _is_young(self, known: _Listed, *, insist: bool) -> bool:
        """Whether nobody is to be asked. A time to come is that of a clock which was wrong."""
        now = self._clock()
        listed = bool(known.versions) and 0 <= now - known.listed_at < self._age_seconds
        tried = 0 <= now - known.tried_at < min(_AGAIN_SECONDS, self._age_seconds)
        return listed or (tried and not insist)

    def _told(self, known: _Listed) -> Releases:
        versions = tuple(parse_version(text) for text in known.versions)
        if not known.failure:
            return Releases(versions)
        if not versions:
            again = "That was a moment ago; it is tried again after a minute."
            raise InstallUnavailable(f"{known.failure}\n{again}")
        hours = max(0.0, self._clock() - known.listed_at) / 3600
        return Releases(
            versions,
            f"the list of releases is {hours:.1f} hours old, and could not be had anew: "
            f"{known.failure}",
        )

    def _read(self, program: Program, source: str) -> _Listed | None:
        """What is kept of this source; None for none, and for what we never wrote."""
        try:
            fields = json.loads(_content(self._path(program)))
            listed = _Listed(
                source=str(fields["source"]),
                listed_at=float(fields["listed_at"]),
                versions=tuple(version for version in fields["versions"] if _is_version(version)),
                tried_at=float(fields["tried_at"]),
                # What is no text could be printed and stored nowhere.
                failure=str(fields["failure"]).encode().decode(),
            )
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
        return listed if listed.source == source and (listed.versions or listed.failure) else None

    def _write(self, program: Program, listed: _Listed, staging: Staging) -> None:
        path, staged = self._path(program), staging.top / "releases.json"
        staged.write_text(json.dumps(vars(listed)))
        sync_to_disk(staged, os.O_NOFOLLOW)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        os.rename(staged, path)

    def _path(self, program: Program) -> Path:
        return self._folder / f"{program}.json"

    def _lock(self, program: Program) -> VersionLock:
        what = f"the list of {NAMES[program]} releases"
        return VersionLock(self._locks / f"releases-{program}", what, "being asked for")


def parse_list(printed: bytes, program: Program, source: str) -> tuple[str, ...]:
    """The versions that lines begin with, each once; what else stands there is passed over.

    Raises `InstallUnavailable` for an answer that is no such list: none, or too many.
    """
    # Of more than is kept the beginning is lost, and with it maybe the version that counts.
    too_long = len(printed) >= LISTED_BYTES
    versions = tuple(dict.fromkeys(_versions(printed.decode("utf-8", "replace").splitlines())))
    if too_long or len(versions) > _MOST_VERSIONS:
        raise InstallUnavailable(
            f"what {source} lists as releases of {NAMES[program]} is no such list: it has more "
            f"than {_MOST_VERSIONS:,} versions, or {LISTED_BYTES >> 10} KiB"
        )
    if not versions:
        raise InstallUnavailable(
            f"{source} lists no release of {NAMES[program]}: see that the releases mirror "
            "(installs.remote, installs.tofu_remote) has an index of versions, and that what "
            "answers is no login page"
        )
    return versions


def _versions(lines: Iterable[str]) -> Iterator[str]:
    words = (line.split(maxsplit=1)[:1] for line in lines)
    return (word for found in words for word in found if _is_version(word))


def _is_version(word: str) -> bool:
    try:
        return is_exact(word) and bool(parse_version(word))
    except Malformed:
        return False


def _content(path: Path) -> bytes:
    descriptor = os.open(path, _READ_ONLY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(_FILE_BYTES)
