"""init, plan, show and what they need, as typed calls. There is no apply, here or anywhere."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftfleet.errors import CheckFailed, Phase
from driftfleet.jobs import Variant
from driftfleet.mirror.layout import platform_name
from driftfleet.redaction.redactor import Redactor
from driftfleet.results import ErrorKind
from worker.diagnostics import Diagnostic, PlanMessages, parse_messages, parse_text, tail_of
from worker.failures import explain
from worker.isolation import Isolation, git_shows
from worker.process import Command, Completed, OutOfTime, OutputLimit, Programs, RunnerDied
from worker.workspace import Workspace

_TAIL_BYTES = 4000
# Also where bubblewrap tells of it.
_KILLED = 128 + 9


@dataclass(frozen=True)
class Planned:
    """What a plan said. ``exit_code`` is 0 (nothing to do) or 2 (something differs)."""

    exit_code: int
    messages: PlanMessages


class ModulesRefuse(CheckFailed):
    """Modules were fetched, and some have a ``required_version`` that excludes this program.

    ``printed`` is what was said of where they are.
    """

    def __init__(self, failure: CheckFailed, printed: bytes) -> None:
        super().__init__(failure.phase, failure.kind, failure.message, transient=failure.transient)
        self.printed = printed


@dataclass(frozen=True)
class Terraform:
    """Terraform in one workspace, for one root.

    ``folder`` is the root module's folder in the workspace, ``top`` the repository's; ``deadline``
    is a time of ``time.monotonic``. ``redactor`` makes what masks its output before
    that is cut. Every call raises `CheckFailed` for what can't be judged.
    """

    program: Path
    programs: Programs
    workspace: Workspace
    environment: Mapping[str, str]
    top: Path
    folder: Path
    deadline: float
    output_bytes: int
    parallelism: int
    mirror: Path | None
    timeout_seconds: int
    isolation: Isolation | None = None
    redactor: Callable[[], Callable[[str], str]] = Redactor

    def get(self, environment: Mapping[str, str], mirrors: Sequence[Path]) -> None:
        """Fetch the modules, and nothing else; ``environment`` is for this alone.

        ``mirrors`` are the repositories on this host that it leads to. ``init`` does more: a
        backend's configuration may name programs, which it runs. Raises `ModulesRefuse` where some
        refuse this program.
        """
        done = self._run("init", ["get", "-no-color"], environment, git_shows(mirrors))
        if done.exit_code != 0:
            failure = self._failure("init", done, _errors_of(done))
            refused = failure.kind == ErrorKind.VERSION
            raise ModulesRefuse(failure, done.stdout) if refused else failure

    def init(
        self, variant: Variant, *, get_modules: bool, complete_lock_file: bool
    ) -> tuple[str, ...]:
        """Initialise; returns notes for the result. ``get_modules`` where `get` did not.

        A lock file that another platform wrote lacks this platform's hash; then it is completed
        from the mirror, in the workspace's copy. The recorded versions stay: never ``-upgrade``.
        """
        arguments = ["init", "-lock=false", "-input=false", "-no-color"]
        if not get_modules:
            arguments.append("-get=false")
        for setting in variant.backend_config:
            value = setting if "=" in setting else self.top / setting
            arguments.append(f"-backend-config={value}")
        done = self._run("init", arguments)
        if done.exit_code == 0:
            return ()
        failure = self._failure("init", done, _errors_of(done))
        if failure.kind != "lock_mismatch" or not complete_lock_file or self.mirror is None:
            raise failure
        self._complete_lock_file()
        done = self._run("init", arguments)
        if done.exit_code != 0:
            raise self._failure("init", done, _errors_of(done))
        return (
            f"the lock file has no hash for {platform_name()} that matches the mirror's package; "
            "it was completed for this check",
        )

    def select_workspace(self, name: str) -> None:
        """Select a workspace that exists: planning a new one would find an empty state."""
        done = self._run("init", ["workspace", "select", "-no-color", name])
        if done.exit_code != 0:
            raise self._failure("init", done, _errors_of(done))

    def plan(self, variant: Variant) -> Planned:
        """Plan without the lock: nobody's apply fails because we look."""
        arguments = [
            "plan", "-lock=false", "-input=false", "-detailed-exitcode", "-json", "-no-color",
            f"-parallelism={self.parallelism}", f"-out={self.workspace.plan}",
            *(f"-var-file={self.top / path}" for path in variant.var_files),
        ]  # fmt: skip
        done = self._run("plan", arguments)
        messages = parse_messages(done.stdout)
        if done.exit_code not in (0, 2):
            diagnostics = messages.errors or _errors_of(done)
            raise self._failure("plan", done, diagnostics)
        if not messages.has_summary:
            raise CheckFailed(
                "plan",
                "plan_unreadable",
                f"terraform plan ended with exit code {done.exit_code} and printed no summary of "
                "its changes: something else ended in its place, or it is older than 0.15.4",
            )
        return Planned(exit_code=done.exit_code, messages=messages)

    def show(self) -> Mapping[str, Any]:
        """The plan as JSON, with its secrets: it never leaves this process."""
        done = self._run("show", ["show", "-json", "-no-color", str(self.workspace.plan)])
        if done.exit_code != 0:
            raise self._failure("show", done, _errors_of(done))
        try:
            plan: Mapping[str, Any] = json.loads(done.stdout)
        except ValueError as error:
            raise CheckFailed(
                "show", "plan_unreadable", "terraform show printed no JSON"
            ) from error
        return plan

    def _complete_lock_file(self) -> None:
        arguments = [
            "providers", "lock", "-no-color", f"-fs-mirror={self.mirror}",
            f"-platform={platform_name()}",
        ]  # fmt: skip
        done = self._run("init", arguments)
        if done.exit_code != 0:
            raise self._failure("init", done, _errors_of(done))

    def _run(
        self,
        phase: Phase,
        arguments: list[str],
        environment: Mapping[str, str] | None = None,
        shown: Sequence[Path] = (),
    ) -> Completed:
        whole = [str(self.program), *arguments]
        if self.isolation is not None:
            whole = self.isolation.wrap(whole, self.folder, shown)
        command = Command(
            arguments=whole,
            environment=self.environment if environment is None else environment,
            folder=self.folder,
            deadline=self.deadline,
            output_bytes=self.output_bytes,
            file_bytes=self.workspace.limit_bytes,
            watch=lambda: self.workspace.enforce_quota(phase),
        )
        try:
            done = self.programs.run(command)
        except OutOfTime as error:
            raise CheckFailed(phase, "timeout", self._late(arguments[0])) from error
        except OutputLimit as error:
            raise CheckFailed(
                phase,
                "output_limit",
                f"terraform {arguments[0]} printed more than {self.output_bytes:,} bytes and was "
                "ended; raise worker.output_bytes if the root is really that large",
            ) from error
        except RunnerDied as error:
            raise self._killed(phase, arguments[0]) from error
        finally:
            if self.programs.runner_lost:
                self.workspace.end_users()
        self.workspace.enforce_quota(phase)
        if done.exit_code == _KILLED:
            raise self._killed(phase, arguments[0])
        if self.isolation is not None:
            self.isolation.require_view(done)
        return done

    def _late(self, verb: str) -> str:
        return (
            f"terraform {verb} was ended: the check took longer than its {self.timeout_seconds} s; "
            "raise limits.timeout_seconds, or find out which resource or provider answers slowly"
        )

    def _killed(self, phase: Phase, verb: str) -> CheckFailed:
        return CheckFailed(
            phase,
            "killed",
            f"terraform {verb} was killed from outside (SIGKILL), most often by the kernel for "
            "want of memory: give the worker more, or a lower worker.concurrency",
            transient=True,
        )

    def _failure(
        self, phase: Phase, done: Completed, diagnostics: tuple[Diagnostic, ...]
    ) -> CheckFailed:
        tail = tail_of(done.stdout + done.stderr, _TAIL_BYTES)
        return explain(phase, diagnostics, tail, done.exit_code, self.redactor())


def _errors_of(done: Completed) -> tuple[Diagnostic, ...]:
    # Errors go to stderr; what stands on stdout then is only how far terraform had come.
    return parse_text(done.stderr) or parse_text(done.stdout)
