"""Settings -> what checks work with, in whatever takes their jobs."""

import socket
from collections.abc import Mapping

from driftfleet.installs.choice import open_installs
from driftfleet.redaction.redactor import Redactor
from driftfleet.settings import Settings
from worker.github_connection import LazyConnection, withheld_variables
from worker.github_source import GitHubSource
from worker.installed_programs import InstalledPrograms
from worker.local_source import LocalSource
from worker.module_access import ModuleAccess
from worker.plan_credentials import plan_role_of
from worker.process import Programs
from worker.source import RootSource, Sources
from worker.tools import Tools
from worker.versions import ProgramsOnPath
from worker.workspace import Workspaces


def build_tools(
    settings: Settings, environment: Mapping[str, str], connection: LazyConnection | None
) -> Tools:
    """What checks work with. Nothing is asked of GitHub or of a secret's keeper yet."""
    programs = Programs(settings.worker.stop_grace_seconds)
    sources: dict[str, RootSource] = {"local": LocalSource(settings.worker.local_roots)}
    modules = None
    if connection is not None:
        sources["github"] = GitHubSource(connection)
        host, mirrors = connection.host, connection.module_repositories
        modules = ModuleAccess(host, connection, mirrors, programs)
    return Tools(
        settings=settings.worker,
        environment=environment,
        workspaces=Workspaces(settings.worker.writable_root),
        programs=programs,
        source=Sources(sources),
        name=socket.gethostname(),
        withheld=withheld_variables(settings),
        modules=modules,
        plan_role=plan_role_of(settings.worker, environment),
        terraform=settings.terraform,
        installs=InstalledPrograms(
            ProgramsOnPath(programs, settings.worker.terraform, environment),
            open_installs(settings, environment),
            settings.installs,
        ),
    )


class CurrentRedactor(Redactor):
    """Masks the tokens in use as well, which come and go while the worker runs."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools.secrets)
        self._tools = tools
        self._tokens: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        tokens = tuple(self._tools.source.secrets())
        if tokens != self._tokens:
            self._tokens = tokens
            super().__init__((*self._tools.secrets, *tokens))
        return super().__call__(text)
