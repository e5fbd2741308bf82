"""Settings and environment -> the folder of installed versions, with what installs into it."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from driftfleet.installs.folder import Installs
from driftfleet.installs.installer import Installer, NoInstaller, Staging, find_program
from driftfleet.installs.remote import Remote, parse_remote
from driftfleet.installs.tenv import Tenv
from driftfleet.installs.tfenv import VARIABLE, Tfenv, find_tfenv
from driftfleet.installs.version import Program
from driftfleet.settings import Settings
from driftfleet.version_settings import InstallSettings

# What a person should do.
TFENV = f"put tfenv (https://github.com/tfutils/tfenv) on the PATH or name it in {VARIABLE}"
TENV = "put tenv (https://github.com/tofuutils/tenv) on the PATH"


def open_installs(settings: Settings, environment: Mapping[str, str]) -> Installs:
    """The installed versions of this host; ``environment`` is this process's.

    Raises
    ------
    ConfigurationError
        A releases mirror or ``DRIFTFLEET_TFENV`` is none. That nothing can install is told only
        when something is to be installed.
    """
    folder = settings.installs.folder or settings.worker.writable_root / "installs"
    installer = find_installer(settings.installs, environment)
    return Installs(
        folder,
        installer,
        timeout_seconds=settings.installs.timeout_seconds,
        list_seconds=settings.installs.list_seconds,
    )


def can_install(settings: InstallSettings, environment: Mapping[str, str]) -> bool:
    """Whether anything here installs versions. Raises as `open_installs`."""
    found = {
        "tfenv": find_tfenv(environment) is not None,
        "tenv": find_program("tenv", environment) is not None,
    }
    wanted = settings.installer
    return any(found.values()) if wanted == "auto" else found.get(wanted, False)


def find_installer(settings: InstallSettings, environment: Mapping[str, str]) -> Installer:
    """What installs here. Raises as `open_installs`."""
    if settings.installer == "none":
        return NoInstaller(
            "installs.installer is none: install it ahead, put that version on the PATH, or set "
            "installs.installer to auto"
        )
    remotes = _remotes(settings)
    tfenv = _tfenv(settings, environment, remotes) if settings.installer != "tenv" else None
    tenv = _tenv(settings, environment, remotes) if settings.installer != "tfenv" else None
    return _ByProgram(
        {
            "terraform": tfenv or tenv or NoInstaller(_missing(settings.installer, "terraform")),
            "tofu": tenv or tfenv or NoInstaller(_missing(settings.installer, "tofu")),
        }
    )


class _ByProgram:
    def __init__(self, installers: Mapping[Program, Installer]) -> None:
        self._installers = installers

    def install(self, program: Program, version: str, staging: Staging, deadline: float) -> Path:
        return self._installers[program].install(program, version, staging, deadline)

    def source(self, program: Program) -> str:
        return self._installers[program].source(program)

    def list(self, program: Program, staging: Staging, deadline: float) -> bytes:
        return self._installers[program].list(program, staging, deadline)


def _tfenv(
    settings: InstallSettings, environment: Mapping[str, str], remotes: Mapping[Program, Remote]
) -> Tfenv | None:
    path = find_tfenv(environment)
    if path is None:
        return None
    return Tfenv(
        path,
        environment,
        remote=remotes.get("terraform"),
        verify_signatures=settings.verify_signatures,
    )


def _tenv(
    settings: InstallSettings, environment: Mapping[str, str], remotes: Mapping[Program, Remote]
) -> Tenv | None:
    path = find_program("tenv", environment)
    if path is None:
        return None
    return Tenv(path, environment, remotes=remotes, verify_signatures=settings.verify_signatures)


def _remotes(settings: InstallSettings) -> dict[Program, Remote]:
    named: dict[Program, tuple[str, SecretStr | None]] = {
        "terraform": ("installs.remote", settings.remote),
        "tofu": ("installs.tofu_remote", settings.tofu_remote),
    }
    return {
        program: parse_remote(url.get_secret_value(), setting)
        for program, (setting, url) in named.items()
        if url is not None
    }


def _missing(installer: str, program: Program) -> str:
    means = {"tfenv": TFENV, "tenv": TENV}.get(installer)
    if means is None:
        means = TENV if program == "tofu" else f"{TFENV}, or {TENV}"
    return f"nothing here can install it: {means}; or put that version on the PATH"
