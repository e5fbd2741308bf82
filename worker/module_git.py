"""Our own git calls, for the mirrors of module repositories: bounded, and with safe settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftfleet.errors import CheckFailed
from worker.diagnostics import tail_of
from worker.process import Command, OutOfTime, OutputLimit, Programs, RunnerDied
from worker.workspace import Workspace

# What of the plan's environment concerns git: not the cloud's credentials.
_WANTED = (
    "PATH", "LANG", "TZ", "HOME", "TMPDIR", "SSL_CERT_", "GIT_SSL_", "GIT_CONFIG",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
# Nothing that lies in a repository is run, and nothing goes on in the background.
_SETTINGS = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "maintenance.auto=false",
    "fetch.writeCommitGraph=false", "fetch.recurseSubmodules=false", "submodule.recurse=false",
    # Each fetch makes one pack: thousands of loose files would take an inode each.
    "fetch.unpackLimit=1", "core.pager=cat",
)  # fmt: skip
_LOCAL = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "none",
}
_OUTPUT_BYTES = 64 << 20
_ERROR_TAIL = 600


class GitFailed(Exception):
    """git ended with an error; the text is what it printed last."""


@dataclass(frozen=True)
class Git:
    """git for one check: ``environment`` is `terraform get`'s, ``deadline`` of ``time.monotonic``.

    ``renewed`` says whether there is another token since it was last asked; ``settings`` are lines
    of configuration.
    """

    program: Path
    programs: Programs
    workspace: Workspace
    environment: Mapping[str, str]
    deadline: float
    renewed: Callable[[], bool]
    settings: tuple[str, ...] = _SETTINGS

    def local(self, repository: Path, *arguments: str) -> bytes:
        """Run git on a bare repository, without network. Raises `GitFailed`."""
        environment = {**_pick(self.environment, configuration=False), **_LOCAL}
        return self._run(["--git-dir", str(repository), *arguments], environment)

    def remote(
        self,
        arguments: Sequence[str],
        *,
        file_bytes: int | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> bytes:
        """Run git with the network; once more where a refused token was renewed.

        ``file_bytes`` bounds each file that it writes. Raises `GitFailed`, and what ``watch`` does.
        """
        environment = _pick(self.environment, configuration=True)
        try:
            return self._run(arguments, environment, file_bytes, watch)
        except GitFailed:
            if not self.renewed():
                raise
            return self._run(arguments, environment, file_bytes, watch)

    def _run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        file_bytes: int | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> bytes:
        settings = [word for setting in self.settings for word in ("-c", setting)]
        command = Command(
            arguments=[str(self.program), *settings, *arguments],
            environment=environment,
            folder=self.workspace.temporary,
            deadline=self.deadline,
            output_bytes=_OUTPUT_BYTES,
            file_bytes=file_bytes or self.workspace.limit_bytes,
            watch=watch,
        )
        try:
            done = self.programs.run(command)
        except OutOfTime as error:
            raise out_of_time() from error
        except OutputLimit as error:
            raise GitFailed(f"git printed more than {_OUTPUT_BYTES:,} bytes") from error
        except RunnerDied as error:
            raise CheckFailed(
                "init",
                "killed",
                "git was killed from outside (SIGKILL) while it fetched a module",
                transient=True,
            ) from error
        finally:
            if self.programs.runner_lost:
                self.workspace.end_users()
        if done.exit_code != 0:
            text = tail_of(done.stderr, _ERROR_TAIL).strip()
            raise GitFailed(text or f"git ended with exit code {done.exit_code}")
        return done.stdout


def out_of_time() -> CheckFailed:
    """The failure of a check whose time is up while its modules are fetched."""
    return CheckFailed(
        "init",
        "timeout",
        "the check was ended while a module's repository was fetched: its time is up; raise "
        "limits.timeout_seconds, or find out why the repository is that slow to fetch",
    )


def _pick(environment: Mapping[str, str], *, configuration: bool) -> dict[str, str]:
    """What git needs; with the ``configuration`` that gives it access, or without."""
    access = ("GIT_TERMINAL_PROMPT", "GIT_ASKPASS", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT")
    wanted = (*_WANTED, *access, "GIT_ALLOW_PROTOCOL") if configuration else _WANTED
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(wanted) and (configuration or not name.startswith("GIT_CONFIG"))
    }
