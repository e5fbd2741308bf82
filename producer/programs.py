"""Programs of this machine: what they print, and which of them could plan."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from driftfleet import programs
from driftfleet.errors import InstallUnavailable
from driftfleet.installs.folder import Installs
from driftfleet.installs.releases import Releases
from driftfleet.versions.available import parse_printed
from driftfleet.versions.constraint import Version
from driftfleet.versions.explanation import NAMES
from driftfleet.versions.version_file import Program

_ANSWER_SECONDS = 30
_LIST_SECONDS = 120


def printed(command: list[str], environment: Mapping[str, str]) -> bytes | None:
    """What a program prints; None where it can't be started, or takes longer than it may."""
    kept = {name: environment[name] for name in ("PATH", "HOME") if name in environment}
    try:
        return programs.run(
            command,
            # The shim of tfenv is not to install anything because it was asked.
            {**kept, "CHECKPOINT_DISABLE": "1", "TFENV_AUTO_INSTALL": "false"},
            folder=Path("/"),
            deadline=time.monotonic() + _ANSWER_SECONDS,
        ).stdout
    except (programs.OutOfTime, OSError):
        return None


class ProgramsHere:
    """What ``worker.terraform`` names, ``tofu``, and what is installed for workers here.

    A remote is asked once what else could be installed, and ``tell`` is told where its answer is
    an old one.
    """

    def __init__(
        self,
        terraform: str,
        environment: Mapping[str, str],
        installs: Installs,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._terraform = terraform
        self._environment = environment
        self._installs = installs
        self._tell = tell
        self._found: dict[Path, tuple[Program, Version]] | None = None
        self._releases: dict[Program, Releases | InstallUnavailable] = {}

    def installed(self, program: Program) -> Sequence[Version]:
        found = [version for own, version in self.found() if own == program]
        return list(dict.fromkeys((*found, *self._installs.versions(program))))

    def installable(self, program: Program) -> Sequence[Version]:
        if program not in self._releases:
            self._releases[program] = self._ask(program)
        found = self._releases[program]
        if isinstance(found, Releases):
            return found.versions
        raise found

    def found(self) -> Sequence[tuple[Program, Version]]:
        """Each program with its version, the one first that plans where nothing else is said."""
        return list(self._on_path().values())

    def path_of(self, program: Program) -> Path | None:
        """The program as the PATH has it, else the newest that is installed; None for none."""
        for path, (own, _) in self._on_path().items():
            if own == program:
                return path
        versions = self._installs.versions(program)
        return self._installs.find(program, str(max(versions))) if versions else None

    def _on_path(self) -> dict[Path, tuple[Program, Version]]:
        if self._found is None:
            path = self._environment.get("PATH")
            paths = (shutil.which(name, path=path) for name in (self._terraform, "tofu"))
            known = dict.fromkeys(Path(one).absolute() for one in paths if one is not None)
            told = {one: printed([str(one), "version"], self._environment) for one in known}
            read = {one: parse_printed(text) for one, text in told.items() if text is not None}
            self._found = {one: found for one, found in read.items() if found is not None}
        return self._found

    @property
    def is_unanswered(self) -> bool:
        """Whether a remote was asked and did not tell."""
        return any(isinstance(found, InstallUnavailable) for found in self._releases.values())

    def _ask(self, program: Program) -> Releases | InstallUnavailable:
        try:
            deadline = time.monotonic() + _LIST_SECONDS
            # Whoever runs a command may just have mended what was wrong.
            found = self._installs.installable(program, deadline, insist=True)
        except InstallUnavailable as error:
            return error
        if found.stale:
            self._tell(f"{NAMES[program]}: {found.stale}")
        return found
