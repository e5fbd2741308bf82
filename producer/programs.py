"""Programs of this machine: what they print, and which of them could plan."""

import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from driftfleet import process
from driftfleet.installs.folder import Installs
from driftfleet.versions.available import parse_printed
from driftfleet.versions.constraint import Version
from driftfleet.versions.version_file import Program

_ANSWER_SECONDS = 30


def printed(command: list[str], environment: Mapping[str, str]) -> bytes | None:
    """What a program prints; None where it can't be started, or takes longer than it may."""
    kept = {name: environment[name] for name in ("PATH", "HOME") if name in environment}
    try:
        running = process.start(
            command,
            # The shim of tfenv is not to install anything because it was asked.
            {**kept, "CHECKPOINT_DISABLE": "1", "TFENV_AUTO_INSTALL": "false"},
            death_signal=signal.SIGKILL,
            folder=Path("/"),
            stdout=process.PIPE,
        )
    except OSError:
        return None
    with running:
        try:
            output: bytes = running.communicate(timeout=_ANSWER_SECONDS)[0]
        except process.TimeoutExpired:
            running.kill()
            return None
    return output


class ProgramsHere:
    """What ``worker.terraform`` names, ``tofu``, and what is installed for workers here."""

    def __init__(self, terraform: str, environment: Mapping[str, str], installs: Installs) -> None:
        self._terraform = terraform
        self._environment = environment
        self._installs = installs
        self._found: dict[Path, tuple[Program, Version]] | None = None

    def installed(self, program: Program) -> Sequence[Version]:
        found = [version for own, version in self.found() if own == program]
        return list(dict.fromkeys((*found, *self._installs.versions(program))))

    def installable(self, program: Program) -> Sequence[Version]:  # noqa: ARG002 - nothing installs
        return ()

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
