"""tenv (https://github.com/tofuutils/tenv) as the installer of Terraform and of OpenTofu.

Its command line and variables are those of version 4. With an exact version it reads no version
file; in an installs.remote of its own it takes the archive's URL from the version, as tfenv does,
and asks no index. What it lists is then an HTML index: at ``/terraform/``, as tfenv's, or at
``/opentofu/opentofu/releases/download``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from driftfleet.installs.installer import Staging, Tool
from driftfleet.installs.remote import Remote
from driftfleet.installs.version import Program
from driftfleet.versions.explanation import NAMES


class _Words(NamedTuple):
    command: str
    prefix: str
    folder: str


_WORDS: dict[Program, _Words] = {
    "terraform": _Words("tf", "TFENV_", "Terraform"),
    "tofu": _Words("tofu", "TOFUENV_", "OpenTofu"),
}


class Tenv:
    """Runs ``tenv tf`` and ``tenv tofu`` with ``install`` and ``list-remote``.

    Unless ``verify_signatures`` is False it checks signatures, with cosign or by itself; checksums
    always. ``remotes`` are the releases mirrors by program.
    """

    def __init__(
        self,
        path: Path,
        environment: Mapping[str, str],
        *,
        remotes: Mapping[Program, Remote] | None = None,
        verify_signatures: bool | None = None,
    ) -> None:
        self._tool = Tool("tenv", path, environment)
        self._remotes = remotes or {}
        self._validation = "sha" if verify_signatures is False else "signature"

    def install(self, program: Program, version: str, staging: Staging, deadline: float) -> Path:
        task = f"install {program} {version}"
        self._run(program, ["install", version], task, staging, deadline)
        return staging.work / _WORDS[program].folder / version / program

    def source(self, program: Program) -> str:
        remote = self._remotes.get(program)
        return f"tenv {remote.url}" if remote is not None else "tenv"

    def list(self, program: Program, staging: Staging, deadline: float) -> bytes:
        task = f"list the releases of {NAMES[program]}"
        return self._run(program, ["list-remote"], task, staging, deadline)

    def _run(
        self,
        program: Program,
        arguments: Sequence[str],
        task: str,
        staging: Staging,
        deadline: float,
    ) -> bytes:
        words = _WORDS[program]
        remote = self._remotes.get(program)
        variables = {
            "TENV_ROOT": str(staging.work),
            "TENV_AUTO_INSTALL": "false",
            "TENV_SKIP_LAST_USE": "true",
            "TENV_VALIDATION": self._validation,
        }
        if remote is not None:
            variables[f"{words.prefix}REMOTE"] = remote.url
            variables[f"{words.prefix}INSTALL_MODE"] = "direct"
            variables[f"{words.prefix}LIST_MODE"] = "html"
            if remote.secrets:
                # Not in the URL, which it prints.
                variables[f"{words.prefix}REMOTE_USER"] = remote.user
                variables[f"{words.prefix}REMOTE_PASSWORD"] = remote.password
        return self._tool.run(
            [words.command, *arguments],
            variables,
            task=task,
            staging=staging,
            deadline=deadline,
            secrets=remote.secrets if remote else (),
        )
