"""tfenv (https://github.com/tfutils/tfenv) as the installer of Terraform; never its shim.

Its behaviour was read in version 3.2: it unzips into the final path, which is why it works in a
staging folder, and it looks for version files from the current folder upwards, which is why it gets
an exact version and an empty folder.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from driftfleet.errors import ConfigurationError, InstallRefused
from driftfleet.installs.installer import Staging, Tool, find_program
from driftfleet.installs.remote import Remote
from driftfleet.installs.version import Program

VARIABLE = "DRIFTFLEET_TFENV"


class Tfenv:
    """Runs ``tfenv install`` and ``tfenv list-remote``.

    ``verify_signatures``: None checks them where gpgv is on the PATH, True wherever, False never.
    """

    def __init__(
        self,
        path: Path,
        environment: Mapping[str, str],
        *,
        remote: Remote | None = None,
        verify_signatures: bool | None = None,
    ) -> None:
        self._tool = Tool("tfenv", path, environment)
        self._remote = remote
        self._gpgv = None if verify_signatures is False else find_program("gpgv", environment)
        self._must_verify = verify_signatures is True

    def install(self, program: Program, version: str, staging: Staging, deadline: float) -> Path:
        if program != "terraform":
            raise InstallRefused(
                f"{program} {version} is not installed, and tfenv installs Terraform only: set "
                "installs.installer to tenv or auto, and put tenv on the PATH"
            )
        self._trust(staging)
        self._run(["install", version], f"install {program} {version}", staging, deadline)
        return staging.work / "versions" / version / "terraform"

    def source(self, program: Program) -> str:
        if program != "terraform":
            return ""
        return f"tfenv {self._remote.url}" if self._remote is not None else "tfenv"

    def list(self, program: Program, staging: Staging, deadline: float) -> bytes:
        if program != "terraform":
            raise InstallRefused("tfenv knows the releases of Terraform only")
        return self._run(["list-remote"], "list the releases of Terraform", staging, deadline)

    def _run(self, words: Sequence[str], task: str, staging: Staging, deadline: float) -> bytes:
        variables = {
            # It waits a minute for a lock in a folder that isn't there, so it has to be.
            "TFENV_CONFIG_DIR": str(staging.work),
            "TFENV_AUTO_INSTALL": "false",
            "TFENV_BASHLOG": "0",
        }
        with contextlib.ExitStack() as stack:
            descriptors: list[int] = []
            secrets: tuple[str, ...] = ()
            if self._remote is not None:
                variables["TFENV_REMOTE"] = self._remote.url
                secrets = self._remote.secrets
            if self._remote is not None and self._remote.secrets:
                descriptor = stack.enter_context(_in_memory(self._remote.netrc()))
                descriptors.append(descriptor)
                variables["TFENV_NETRC_PATH"] = f"/proc/self/fd/{descriptor}"
            return self._tool.run(
                words,
                variables,
                task=task,
                staging=staging,
                deadline=deadline,
                secrets=secrets,
                pass_fds=descriptors,
            )

    def _trust(self, staging: Staging) -> None:
        """tfenv checks signatures only where a file in its folder says so, and by which keys."""
        if self._gpgv is not None:
            text = f"binary: {self._gpgv}\ntrust-tfenv: yes\n"
            (staging.work / "use-gpgv").write_text(text)
        elif self._must_verify:
            raise ConfigurationError(
                "installs.verify_signatures is true, and there is no gpgv on the PATH: install it "
                "(Debian's package gpgv)"
            )


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A descriptor of a file that is on no disk. Opened by its path in /proc it is read anew.

    In the URL the password would stand in curl's arguments, which everybody on the machine sees.
    """
    descriptor = os.memfd_create("netrc", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield descriptor
    finally:
        os.close(descriptor)


def find_tfenv(environment: Mapping[str, str]) -> Path | None:
    """tfenv's program: what ``DRIFTFLEET_TFENV`` names (it or its folder), else on the PATH.

    Raises
    ------
    ConfigurationError
        ``DRIFTFLEET_TFENV`` names something else.
    """
    named = environment.get(VARIABLE)
    if not named:
        return find_program("tfenv", environment)
    place = Path(os.path.abspath(Path(named).expanduser()))
    for path in (place, place / "bin" / "tfenv"):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise ConfigurationError(
        f"{VARIABLE} names {named}, which is neither tfenv's program nor its folder (bin/tfenv)"
    )


def is_shim(path: Path) -> bool:
    """Whether a program is the ``terraform`` beside tfenv's own: it runs what it finds a version
    file to name, in the current folder or above, even ``../../x``."""
    real = path.resolve()
    beside = (real.parent / "tfenv", real.parent.parent / "libexec" / "tfenv-exec")
    return real.name == "terraform" and all(one.is_file() for one in beside)


def behind_shim(path: Path, version: str) -> Path | None:
    """The program that tfenv's shim runs for an exact version; None where it is elsewhere."""
    binary = path.resolve().parent.parent / "versions" / version / "terraform"
    return binary if binary.is_file() and os.access(binary, os.X_OK) else None
