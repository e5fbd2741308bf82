"""The folders of a provider mirror, unpacked and packed. Names come from outside: all are checked.

https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror

    unpacked  HOST/NAMESPACE/TYPE/VERSION/OS_ARCH/
    packed    HOST/NAMESPACE/TYPE/terraform-provider-TYPE_VERSION_OS_ARCH.zip
"""

import os
import platform as machine
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from driftfleet.errors import ConfigurationError
from driftfleet.versions.version_file import Program

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# The host that a source without one means, to each program.
REGISTRIES: Mapping[Program, str] = {
    "terraform": "registry.terraform.io",
    "tofu": "registry.opentofu.org",
}
# What needs no mirror: it is part of terraform.
_BUILTIN = "terraform.io/builtin/"
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?(?::[0-9]{1,5})?")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_VERSION = re.compile(
    r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}"
    r"(?:-[0-9A-Za-z-]{1,40}(?:\.[0-9A-Za-z-]{1,40}){0,5})?"
    r"(?:\+[0-9A-Za-z-]{1,40}(?:\.[0-9A-Za-z-]{1,40}){0,5})?"
)
_PLATFORM = re.compile(r"[a-z0-9]{1,20}_[a-z0-9]{1,20}")
_ARCHIVE = re.compile(r"terraform-provider-([^_]+(?:_[^_]+)*?)_([^_]+)_([a-z0-9]+_[a-z0-9]+)\.zip")


class Package(NamedTuple):
    """A provider's build of one version for one platform.

    ``address`` is ``HOST/NAMESPACE/TYPE``, ``platform`` such as ``linux_amd64``. All parts were
    checked: none leads out of a folder that it is joined to.
    """

    address: str
    version: str
    platform: str

    @property
    def type(self) -> str:
        return self.address.rpartition("/")[2]

    @property
    def path(self) -> str:
        """Where it lies in an unpacked mirror."""
        return f"{self.address}/{self.version}/{self.platform}"

    @property
    def archive(self) -> str:
        """Where it lies in a packed mirror."""
        name = f"terraform-provider-{self.type}_{self.version}_{self.platform}.zip"
        return f"{self.address}/{name}"

    def __str__(self) -> str:
        return f"{self.address} {self.version} {self.platform}"


def platform_name() -> str:
    """This machine in the mirror's words: ``linux_amd64``."""
    name = machine.machine()
    return f"linux_{_MACHINES.get(name, name)}"


def full_address(source: str, program: Program = "terraform") -> str | None:
    """``HOST/NAMESPACE/TYPE`` of a source as people write it, ``aws`` and ``acme/x`` too.

    None for what is part of ``program`` itself, which decides on the host where none is written.

    Raises
    ------
    ValueError
        It is no provider's address.
    """
    parts = source.lower().split("/")
    if parts == ["terraform"]:
        return None
    if len(parts) == 1:
        parts = ["hashicorp", *parts]
    if len(parts) == 2:
        parts = [REGISTRIES[program], *parts]
    address = "/".join(parts)
    if address.startswith(_BUILTIN):
        return None
    if not is_address(address):
        raise ValueError(f"{source!a} is no provider's address (HOST/NAMESPACE/TYPE)")
    return address


def is_address(address: str) -> bool:
    """Whether it is ``HOST/NAMESPACE/TYPE``, each as Terraform allows it, in lower case."""
    parts = address.split("/")
    if len(parts) != 3 or not _HOST.fullmatch(parts[0]) or ".." in parts[0]:
        return False
    return all(_NAME.fullmatch(part) for part in parts[1:])


def is_version(version: str) -> bool:
    """Whether it is one version, as a folder of a mirror is named."""
    return _VERSION.fullmatch(version) is not None


def is_platform(platform: str) -> bool:
    """Whether it is ``OS_ARCH``."""
    return _PLATFORM.fullmatch(platform) is not None


def require_platforms(platforms: Iterable[str]) -> None:
    """Refuse what is no platform. Raises `ConfigurationError`."""
    for platform in platforms:
        if not is_platform(platform):
            raise ConfigurationError(f"{platform!a} is no platform: write OS_ARCH, as linux_amd64")


def unpacked(mirror: Path) -> list[Package]:
    """The packages of an unpacked mirror, sorted. What has other names is not terraform's either.

    Raises ``OSError`` where a folder can't be read: what it holds would pass for not there.
    """
    return sorted(p for address, _ in _addresses(mirror) for p in unpacked_of(mirror, address))


def unpacked_of(mirror: Path, address: str) -> list[Package]:
    """The packages of one provider. Raises ``OSError`` as `unpacked` does, and for no folder."""
    folder, found = mirror / address, []
    for version in _folders(folder):
        if is_version(version):
            platforms = _folders(folder / version)
            found += [Package(address, version, p) for p in platforms if is_platform(p)]
    return found


def packed(mirror: Path) -> list[Package]:
    """The archives of a packed mirror, sorted. Raises ``OSError`` as `unpacked` does."""
    found = []
    for address, folder in _addresses(mirror):
        for entry in os.scandir(folder):
            package = package_of(address, entry.name)
            if package is not None and entry.is_file():
                found.append(package)
    return sorted(found)


def package_of(address: str, archive: str) -> Package | None:
    """The package of which a packed mirror has an archive of that name; None where it is none."""
    match = _ARCHIVE.fullmatch(archive)
    if match is None or not is_version(match[2]) or not is_platform(match[3]):
        return None
    return Package(address, match[2], match[3]) if match[1] == address.rpartition("/")[2] else None


def bytes_of(folder: Path) -> int:
    """What a folder's files take on the disk, in bytes."""
    total = 0
    for at, _, names in os.walk(folder):
        total += sum(os.lstat(f"{at}/{name}").st_blocks * 512 for name in names)
    return total


def _addresses(mirror: Path) -> Iterator[tuple[str, Path]]:
    for host in _folders(mirror):
        if not _HOST.fullmatch(host):
            continue
        for namespace in _folders(mirror / host):
            for kind in _folders(mirror / host / namespace):
                if is_address(address := f"{host}/{namespace}/{kind}"):
                    yield address, mirror / address


def _folders(folder: Path) -> list[str]:
    """Links count, as they do for terraform."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())
