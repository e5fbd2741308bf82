"""Terraform's provider network mirror protocol: a request's path -> what the mirror has there.

https://developer.hashicorp.com/terraform/internals/provider-network-mirror-protocol

    /HOST/NAMESPACE/TYPE/index.json                                      the versions
    /HOST/NAMESPACE/TYPE/VERSION.json                                    its archives and their h1:
    /HOST/NAMESPACE/TYPE/terraform-provider-TYPE_VERSION_OS_ARCH.zip     one of them
"""

import json
import os
from pathlib import Path
from urllib.parse import unquote

from driftfleet.mirror.archive import PackageArchive
from driftfleet.mirror.layout import Package, is_address, is_version, package_of, unpacked_of
from driftfleet.mirror.records import read_record

_INDEX = "index.json"
_JSON = ".json"


class NotInMirror(Exception):
    """The mirror has nothing of that name."""


def answer(mirror: Path, path: str) -> bytes | PackageArchive:
    """A JSON document, or an archive, which the caller closes.

    Packages behind links are passed over, wherever those lead.

    Raises
    ------
    NotInMirror
        There is none, or it is no path of the protocol.
    PackageRefused
        The package can't be sent.
    OSError
        The mirror can't be read.
    """
    folder, _, name = unquote(path.partition("?")[0]).removeprefix("/").rpartition("/")
    if not is_address(folder):
        raise NotInMirror
    try:
        if name.endswith(_JSON):
            return json.dumps(_document(mirror, folder, name), indent=1).encode() + b"\n"
        package = package_of(folder, name)
        if package is None or not _is_own(mirror, package):
            raise NotInMirror
        return PackageArchive(mirror, package)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotInMirror from error


def _document(mirror: Path, address: str, name: str) -> dict[str, object]:
    packages = [one for one in unpacked_of(mirror, address) if _is_own(mirror, one)]
    if name == _INDEX:
        if packages:
            return {"versions": {package.version: {} for package in packages}}
        raise NotInMirror
    version = name.removesuffix(_JSON)
    found = [package for package in packages if package.version == version]
    if not found or not is_version(version):
        raise NotInMirror
    return {"archives": {package.platform: _archive(mirror, package) for package in found}}


def _archive(mirror: Path, package: Package) -> dict[str, object]:
    url = package.archive.rpartition("/")[2]
    record = read_record(mirror, package)
    # A `zh:` would be that of the archive as it came, which this is not.
    return {"url": url, "hashes": [record.h1]} if record is not None else {"url": url}


def _is_own(mirror: Path, package: Package) -> bool:
    top = os.path.realpath(mirror)
    return os.path.realpath(f"{top}/{package.path}") == f"{top}/{package.path}"
