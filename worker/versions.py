"""Which program plans a root, decided before init from what its workspace holds."""

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from driftfleet.closure import Closure
from driftfleet.errors import (
    CheckFailed,
    ConfigurationError,
    DriftfleetError,
    InstallRefused,
    InstallUnavailable,
    VersionUndecided,
)
from driftfleet.installs.tfenv import behind_shim, is_shim
from driftfleet.jobs import Job
from driftfleet.results import ErrorKind
from driftfleet.version_settings import TerraformSettings
from driftfleet.versions.available import parse_printed
from driftfleet.versions.constraint import Version
from driftfleet.versions.decision import Decision, Question, Requirement, decide
from driftfleet.versions.explanation import missing
from driftfleet.versions.pins import default_of, pin_for
from driftfleet.versions.version_file import PROGRAMS, Program
from worker.process import Command, OutOfTime, OutputLimit, Programs, RunnerDied
from worker.required_versions import requirements_in, version_files_of
from worker.workspace import Workspace

_ASK_SECONDS = 30.0
_ASK_BYTES = 64 << 10


class Chosen(NamedTuple):
    """What plans: ``version`` is empty where nothing asked for one, so that nobody looked."""

    path: Path
    version: str


class PlanningPrograms(Protocol):
    """The versions that are there, and where; deadlines are times of ``time.monotonic``."""

    def installed(self, program: Program) -> Sequence[Version]:
        """Those that can be run now, in any order."""

    def installable(self, program: Program, deadline: float) -> Sequence[Version]:
        """Those that an installer could get. Raises as `AvailableVersions.installable`, and
        `ConfigurationError` where the installer is not set up.
        """

    def use(
        self, program: Program | None, version: Version | None, deadline: float
    ) -> AbstractContextManager[Path | None]:
        """The program itself, which stays for the block; any version or program where None is
        asked for. None for none.

        Raises
        ------
        InstallRefused, InstallUnavailable, ConfigurationError
            It isn't there, and could not be installed.
        """


class ProgramsOnPath:
    """What ``worker.terraform`` names, and ``tofu``, as the PATH has them.

    Each is run once for its version, and again after it changed. Where it is tfenv's shim it is
    what that runs outside of any repository. Raises `CheckFailed` of kind ``killed`` where somebody
    ends one meanwhile.
    """

    def __init__(self, programs: Programs, terraform: str, environment: Mapping[str, str]) -> None:
        self._programs = programs
        self._terraform = terraform
        self._path = environment.get("PATH", os.defpath)
        self._known: dict[tuple[str, int, int], tuple[Program, Version] | None] = {}

    def installed(self, program: Program) -> Sequence[Version]:
        found = (self._identity(path) for path in self._paths())
        return [one[1] for one in found if one is not None and one[0] == program]

    def installable(
        self,
        program: Program,  # noqa: ARG002 - nothing installs
        deadline: float,  # noqa: ARG002
    ) -> Sequence[Version]:
        return ()

    @contextmanager
    def use(
        self, program: Program | None, version: Version | None, deadline: float
    ) -> Iterator[Path | None]:
        del deadline
        yield self.path_of(program, version)

    def path_of(self, program: Program | None, version: Version | None) -> Path | None:
        """The program; any version or program where None is asked for. None for none."""
        paths = self._paths()
        if program is None and version is None:
            # What is named in the settings, else OpenTofu where that is all there is.
            return next(iter(paths), None)
        for path in paths:
            if (found := self._identity(path)) is None:
                continue
            if program in (None, found[0]) and version in (None, found[1]):
                return path
        return None

    def _paths(self) -> list[Path]:
        found = (shutil.which(name, path=self._path) for name in (self._terraform, "tofu"))
        named = dict.fromkeys(Path(path).absolute() for path in found if path is not None)
        return [path for path in map(self._program, named) if path is not None]

    def _program(self, path: Path) -> Path | None:
        """The program itself: tfenv's shim would go by the version files of a repository."""
        if not is_shim(path):
            return path
        found = self._identity(path)
        return behind_shim(path, str(found[1])) if found is not None else None

    def _identity(self, path: Path) -> tuple[Program, Version] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in self._known:
            self._known[key] = parse_printed(self._ask(path))
        return self._known[key]

    def _ask(self, path: Path) -> bytes:
        command = Command(
            arguments=[str(path), "version"],
            environment={
                "PATH": self._path,
                # No settings of anybody's, nothing written, no news asked for, nothing installed.
                "HOME": "/nonexistent",
                "CHECKPOINT_DISABLE": "1",
                "TFENV_AUTO_INSTALL": "false",
            },
            folder=Path("/"),
            deadline=time.monotonic() + _ASK_SECONDS,
            output_bytes=_ASK_BYTES,
            file_bytes=_ASK_BYTES,
            watch=lambda: None,
        )
        try:
            done = self._programs.run(command)
        except (OutOfTime, OutputLimit):
            return b""
        except RunnerDied as error:
            raise _killed(path) from error
        if done.signal == signal.SIGKILL:
            raise _killed(path)
        return done.stdout


@dataclass
class _InTime:
    """The versions that are there, for a check that has to be done by ``deadline``.

    ``could_install`` says whether an installer was asked, and knows of any.
    """

    there: PlanningPrograms
    deadline: float
    could_install: bool = False

    def installed(self, program: Program) -> Sequence[Version]:
        return self.there.installed(program)

    def installable(self, program: Program) -> Sequence[Version]:
        found = self.there.installable(program, self.deadline)
        self.could_install = self.could_install or bool(found)
        return found


class Choice:
    """What plans one root; it stays in place until ``stack`` is closed."""

    def __init__(
        self, chooser: "Chooser", question: Question, stack: ExitStack, deadline: float
    ) -> None:
        self._chooser = chooser
        self._question = question
        self._stack = stack
        self._deadline = deadline
        self.chosen = self._choose()

    def reconsider(self, requirements: Iterable[Requirement]) -> bool:
        """Choose again under further requirements; says whether it is another version now.

        Raises `CheckFailed` as `Chooser.use`.
        """
        known, before = self._question.requirements, self.chosen
        more = tuple(one for one in dict.fromkeys(requirements) if one not in known)
        if not more:
            return False
        self._question = replace(self._question, requirements=(*known, *more))
        self.chosen = self._choose()
        return self.chosen.path != before.path

    def _choose(self) -> Chosen:
        return self._chooser.choose(self._question, self._stack, self._deadline)


@dataclass(frozen=True)
class Chooser:
    """Chooses for each job; ``terraform`` is what ``worker.terraform`` says, for the message."""

    settings: TerraformSettings
    available: PlanningPrograms
    terraform: str

    @contextmanager
    def use(
        self, job: Job, closure: Closure, workspace: Workspace, deadline: float
    ) -> Iterator[Choice]:
        """Decide what plans the job's root; it is there for the block.

        Modules that are fetched are not there yet: see `Choice.reconsider`.

        Raises
        ------
        CheckFailed
            In the phase ``version``: what was asked for is not there, or excludes itself.
        """
        top = workspace.source
        folders = sorted(closure.folders, key=lambda folder: (folder != job.root, folder))
        question = Question(
            root=job.root,
            pin=pin_for(self.settings, job.source, job.root),
            files=version_files_of(job.root, top),
            requirements=tuple(one for _, one in requirements_in(job, top, folders, deadline)),
            default=default_of(self.settings),
        )
        with ExitStack() as stack:
            yield Choice(self, question, stack, deadline)

    def choose(self, question: Question, stack: ExitStack, deadline: float) -> Chosen:
        """Decide, and have it in place until ``stack`` is closed. Raises as `use`."""
        decision = self._decide(question, deadline)
        try:
            using = self.available.use(decision.program, decision.version, deadline)
            path = stack.enter_context(using)
        except (InstallRefused, InstallUnavailable, ConfigurationError) as error:
            raise self._not_there(decision, error) from error
        if path is None:
            raise self._not_there(decision, None)
        return Chosen(path, str(decision.version or ""))

    def _decide(self, question: Question, deadline: float) -> Decision:
        there = _InTime(self.available, deadline)
        try:
            return decide(question, there, prefer_installed=self.settings.prefer_installed)
        except InstallUnavailable as error:
            failed = CheckFailed("version", ErrorKind.VERSION, error.message, transient=True)
            raise failed from error
        except VersionUndecided as error:
            message = error.message
            if not there.could_install and not any(map(there.installed, PROGRAMS)):
                with self.available.use(None, None, deadline) as path:
                    if path is None:
                        raise _no_program(self.terraform) from error
                    message += f"\n{path} is there, and does not tell its version."
            raise CheckFailed("version", ErrorKind.VERSION, message) from error

    def _not_there(self, decision: Decision, failure: DriftfleetError | None) -> CheckFailed:
        """``failure`` is what came of installing it."""
        if decision.program is not None and decision.version is not None:
            remedy = (
                failure.message
                if failure is not None
                else (
                    f"Install it where the worker's PATH has it as '{decision.program}', or name "
                    "another version where it is asked for."
                )
            )
            here = self.available.installed(decision.program)
            place = "" if decision.place in decision.why else f", {decision.place}"
            asked = f"{decision.why}{place}"
            message = missing(decision.program, decision.version, asked, here, remedy)
            transient = isinstance(failure, InstallUnavailable)
            return CheckFailed("version", ErrorKind.VERSION, message, transient=transient)
        if decision.program == "tofu":
            message = f"{decision.place} wants OpenTofu, and the worker has none"
            return CheckFailed("version", ErrorKind.TERRAFORM_MISSING, message)
        return _no_program(self.terraform)


def _killed(path: Path) -> CheckFailed:
    """It says nothing of the program, and must not be remembered as if it did."""
    return CheckFailed(
        "version",
        ErrorKind.KILLED,
        f"{path} was killed from outside (SIGKILL) while it was asked for its version",
        transient=True,
    )


def _no_program(terraform: str) -> CheckFailed:
    return CheckFailed(
        "version",
        ErrorKind.TERRAFORM_MISSING,
        f"'{terraform}' is no program on this worker: install Terraform, or name it in "
        "worker.terraform (DRIFTFLEET_WORKER__TERRAFORM)",
    )
