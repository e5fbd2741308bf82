"""Which Terraform plans what, and what installs it: two sections of the settings."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_serializer, field_validator, model_validator

from driftfleet.model import Record
from driftfleet.versions.constraint import Malformed, parse_constraint, parse_version
from driftfleet.versions.version_file import Program


def _read_wanted(version: str) -> str:
    """An exact version or a constraint, in Terraform's grammar."""
    try:
        parse_version(version)
    except Malformed:
        if any(part.prerelease for part in parse_constraint(version)):
            raise ValueError("a prerelease is pinned as it is: x.y.z-beta1") from None
    return version


class VersionPin(Record):
    """What plans the roots that both globs match, whatever their repository asks for.

    ``repo`` matches ``owner/repo``, or a local folder's path; ``version`` is exact, such as
    ``1.5.7``, or a constraint, such as ``~> 1.5``.
    """

    repo: str = "**"
    root: str = "**"
    version: str = ""
    program: Program | None = None

    _readable = field_validator("version")(lambda v: _read_wanted(v) if v else v)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.version and self.program is None:
            raise ValueError("must have a 'version', a 'program', or both")
        return self


class TerraformSettings(Record):
    """Which version plans. ``default`` counts where nothing else speaks; ``program`` for all roots
    that name none. The first of ``pins`` that matches counts, over all that a repository says.
    """

    default: str = ""
    program: Program | None = None
    pins: tuple[VersionPin, ...] = ()
    prefer_installed: bool = True

    _readable = field_validator("default")(lambda v: _read_wanted(v) if v else v)


class InstallSettings(Record):
    """The versions of terraform and OpenTofu that are installed for checks, and what installs them.

    ``folder``: without one ``installs`` in the worker's writable root. ``remote`` and
    ``tofu_remote`` are internal releases mirrors, with credentials in the URL if need be.
    ``verify_signatures``: without it wherever the installer can. Versions that no check has used
    for ``unused_seconds`` go when there are more than ``limit_bytes``. ``timeout_seconds`` is for
    one install. What could be installed is asked for again after ``list_seconds``.
    """

    folder: Path | None = None
    installer: Literal["auto", "tfenv", "tenv", "none"] = "auto"
    remote: SecretStr | None = None
    tofu_remote: SecretStr | None = None
    verify_signatures: bool | None = None
    limit_bytes: int = Field(default=2 << 30, ge=0)
    unused_seconds: float = Field(default=86400, ge=0)
    timeout_seconds: float = Field(default=300, gt=0)
    list_seconds: float = Field(default=3600, ge=0)

    @field_serializer("remote", "tofu_remote", when_used="json")
    def _reveal(self, url: SecretStr | None) -> str | None:
        return url.get_secret_value() if url else None
