"""What installs a version: one seam, and what the installers behind it share."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from driftfleet import programs
from driftfleet.errors import ConfigurationError, InstallRefused, InstallUnavailable
from driftfleet.installs.output import readable, remedy, says_no
from driftfleet.installs.version import Program
from driftfleet.redaction.names import secrets_in

# What a download needs, and nothing of ours: no token, no broker, no BASH_ENV, no TFENV_*.
_ALLOWED = (
    "PATH", "LANG", "LC_ALL", "TZ",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE",
)  # fmt: skip
# A list of ten thousand versions. Of what is longer the end is kept.
LISTED_BYTES = 256 << 10
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Installer(Protocol):
    """Gets a binary from somewhere into a folder that nobody else looks at."""

    def install(self, program: Program, version: str, staging: "Staging", deadline: float) -> Path:
        """Install an exact version below ``staging`` and return the binary's path.

        It need not be right: the caller runs it before anybody else does. ``deadline`` is a time
        of ``time.monotonic``; no process is left when this returns or raises.

        Raises
        ------
        ConfigurationError
            There is nothing that could install it; says what to set up.
        InstallUnavailable, InstallRefused
            It was tried, and failed; says what was printed, and what to do.
        """

    def source(self, program: Program) -> str:
        """What installs it and from where, without secrets; empty where nothing here does."""

    def list(self, program: Program, staging: "Staging", deadline: float) -> bytes:
        """What the installer prints of what it could install: a version begins each line that
        matters. Not more than `LISTED_BYTES`. Raises as `install`.
        """


@dataclass(frozen=True)
class Staging:
    """Folders for one install, on the file system of the installed versions.

    The installer and the binary run in ``empty``, where no repository can have put a file; HOME is
    ``home``, TMPDIR ``tmp``; the installer's own folder is ``work``, and from ``ready`` the version
    gets its place.
    """

    top: Path

    @property
    def empty(self) -> Path:
        return self.top / "empty"

    @property
    def home(self) -> Path:
        return self.top / "home"

    @property
    def tmp(self) -> Path:
        return self.top / "tmp"

    @property
    def work(self) -> Path:
        return self.top / "work"

    @property
    def ready(self) -> Path:
        return self.top / "ready"

    def make(self) -> None:
        """Make the folders. Raises `OSError`."""
        for folder in (self.empty, self.home, self.tmp, self.work, self.ready):
            folder.mkdir(mode=0o700)

    def environment(self) -> dict[str, str]:
        """Where a program of this install may write."""
        return {"HOME": str(self.home), "TMPDIR": str(self.tmp)}


@dataclass(frozen=True)
class Tool:
    """The program of an installer: ``name`` is for people, ``environment`` is this process's."""

    name: str
    path: Path
    environment: Mapping[str, str] = field(repr=False)

    def run(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        *,
        task: str,
        staging: Staging,
        deadline: float,
        secrets: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> bytes:
        """Run it to its end and return what it printed; ``task`` is what it is to do, in words.

        Raises as `Installer.install`.
        """
        inherited = {name: self.environment[name] for name in _ALLOWED if name in self.environment}
        environment = {"PATH": _PATH, **inherited, **staging.environment(), **variables}
        masked = [*secrets, *secrets_in(inherited)]
        try:
            done = programs.run(
                [str(self.path), *arguments],
                environment,
                folder=staging.empty,
                deadline=deadline,
                kept_bytes=LISTED_BYTES,
                pass_fds=pass_fds,
            )
        except programs.OutOfTime as late:
            raise InstallUnavailable(
                f"{self.name} was to {task}, was not done when its time was over, and was ended; "
                "raise installs.timeout_seconds, or name a nearer releases mirror with "
                f"installs.remote. Last it said:\n{readable(late.stdout + late.stderr, masked)}"
            ) from None
        if done.exit_code == 0:
            return done.stdout
        output = done.stdout + b"\n" + done.stderr
        failure = InstallRefused if says_no(output) else InstallUnavailable
        raise failure(
            f"{self.name} could not {task} (exit code {done.exit_code}): {remedy(output)}. "
            f"It said:\n{readable(output, masked)}"
        )


def find_program(name: str, environment: Mapping[str, str]) -> Path | None:
    """The absolute path of a program on the PATH, as an installer would find it."""
    found = shutil.which(name, path=environment.get("PATH", _PATH))
    return Path(os.path.abspath(found)) if found else None


class NoInstaller:
    """Stands where nothing can install ``program``; ``why`` says what to set up."""

    def __init__(self, why: str) -> None:
        self._why = why

    def install(
        self,
        program: Program,
        version: str,
        staging: Staging,  # noqa: ARG002 - the seam's
        deadline: float,  # noqa: ARG002
    ) -> Path:
        raise ConfigurationError(f"{program} {version} is not installed, and {self._why}")

    def source(self, program: Program) -> str:  # noqa: ARG002
        return ""

    def list(
        self,
        program: Program,
        staging: Staging,  # noqa: ARG002
        deadline: float,  # noqa: ARG002
    ) -> bytes:
        raise ConfigurationError(f"nothing knows the releases of {program}: {self._why}")
