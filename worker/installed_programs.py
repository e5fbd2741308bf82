"""What plans where versions are installed for the fleet: the PATH's, and those."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from driftfleet.errors import ConfigurationError, InstallUnavailable
from driftfleet.installs.folder import Installs
from driftfleet.version_settings import InstallSettings
from driftfleet.versions.constraint import Version
from driftfleet.versions.version_file import Program
from worker.versions import ProgramsOnPath

log = structlog.get_logger()


class InstalledPrograms:
    """A `worker.versions.PlanningPrograms`. What the PATH has goes before what is installed, and an
    exact version that neither has is installed."""

    def __init__(
        self, on_path: ProgramsOnPath, installs: Installs, settings: InstallSettings
    ) -> None:
        self._on_path = on_path
        self._installs = installs
        self._settings = settings

    def installed(self, program: Program) -> Sequence[Version]:
        found = (*self._on_path.installed(program), *self._installs.versions(program))
        return list(dict.fromkeys(found))

    def installable(self, program: Program, deadline: float) -> Sequence[Version]:
        found = self._installs.installable(program, deadline)
        if found.stale:
            log.warning("releases_list_stale", program=program, reason=found.stale)
        return found.versions

    @contextmanager
    def use(
        self, program: Program | None, version: Version | None, deadline: float
    ) -> Iterator[Path | None]:
        there = self._on_path.path_of(program, version)
        if there is None and version is None:
            program, version = self._newest(program)
        if there is not None or program is None or version is None:
            yield there
            return
        known = self._installs.find(program, str(version))
        with self._installs.use(program, str(version), deadline) as path:
            if known is None:
                log.info("version_installed", program=program, version=str(version))
            yield path
        if known is None:
            # Only an install makes it grow.
            self.prune()

    def prune(self) -> None:
        """Remove old versions that no check has used of late, and what killed installers left."""
        settings = self._settings
        try:
            removed = self._installs.prune(settings.limit_bytes, settings.unused_seconds)
        except (ConfigurationError, InstallUnavailable) as error:
            # The check is over, and well; or the worker starts, and can do without.
            log.warning("versions_not_pruned", reason=error.message)
            return
        for one in removed:
            log.info(
                "version_removed", program=one.program, version=one.version, bytes=one.size_bytes
            )

    def _newest(self, program: Program | None) -> tuple[Program | None, Version | None]:
        """Where anything will do: Terraform before OpenTofu, and the newest of it."""
        for one in (program,) if program is not None else ("terraform", "tofu"):
            if found := self._installs.versions(one):
                return one, max(found)
        return None, None
