"""`driftfleet mirror sync` onto a disk that is really full: a small one of its own."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from driftfleet.mirror.layout import Package, unpacked
from tests import providers
from tests.conftest import lacking, require_program
from tests.integration.test_mirror_serve import start
from tests.integration.test_mirror_sync import COMMAND, LINUX, TAIL, environment

MEBIBYTE = 1 << 20


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """An unpacked mirror of six providers of 4 MiB, and ``roots`` that want them all."""
    names = [f"p{number}" for number in range(6)]
    for name in names:
        package = Package(f"registry.terraform.io/acme/{name}", "1.0.0", LINUX)
        folder = tmp_path / "origin" / package.path
        folder.mkdir(parents=True)
        (folder / f"terraform-provider-{name}_v1.0.0").write_bytes(os.urandom(4 * MEBIBYTE))
    wanted = "".join(f'  {n} = {{ source = "acme/{n}" }}\n' for n in names)
    providers.write_root(
        tmp_path / "roots", f"terraform {{\n required_providers {{\n{wanted} }}\n}}\n{TAIL}"
    )
    return tmp_path / "origin"


def run_on_small_disk(tmp_path: Path, size: int, source: str, **more: str) -> tuple[str, list[str]]:
    """Sync onto a disk of ``size`` bytes; what it said, and what is there afterwards.

    The disk is there only while the sandbox is, so all is asked within it.
    """
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    disk = tmp_path / "disk"
    disk.mkdir()
    sync = f"{COMMAND} mirror sync roots --mirror {disk}/m --from {source}"
    script = (
        f"{sync}; echo exit code $?; {COMMAND} mirror verify --mirror {disk}/m; echo verify $?; "
        f"cd {disk}; echo; find . -type f; ls -A .m.sync"
    )
    done = subprocess.run(
        [bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
         "--bind", tmp_path, tmp_path, "--size", str(size), "--tmpfs", disk, "--",
         "/bin/sh", "-c", script],
        cwd=tmp_path, env=environment(tmp_path, **more), timeout=120, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if "Creating new namespace failed" in done.stdout or "No permissions" in done.stdout:
        lacking(f"bubblewrap can't make a namespace here: {done.stdout}")
    said, _, found = done.stdout.partition("\n\n")
    assert "Traceback" not in said
    return said, sorted(found.splitlines())


@pytest.mark.parametrize("packed", [False, True])
def test_it_says_how_many_bytes_are_missing_and_leaves_whole_packages(
    origin: Path, tmp_path: Path, packed: bool
) -> None:
    if packed:
        _pack(origin)
    said, found = run_on_small_disk(tmp_path, 17 * MEBIBYTE, str(origin))
    assert "exit code 1" in said, said
    (missing, needed, free) = (
        int(number.replace(",", ""))
        for number in re.search(
            r"the disk of \S+/disk is full: ([\d,]+) bytes are missing there \(([\d,]+) are needed "
            r"next, ([\d,]+) are free\)",
            said,
        ).groups()
    )
    assert missing == needed - free
    assert 0 < missing < 4 * MEBIBYTE <= needed < 5 * MEBIBYTE
    # A packed source takes its archive once more while it is unpacked.
    count = 3 if packed else 4
    assert said.count("added ") == count
    assert f"{count} of {count} packages are as they came" in said
    assert "verify 0" in said
    assert len(found) == 2 * count, found


def test_a_download_that_does_not_fit_is_told_and_nothing_stays(
    origin: Path, tmp_path: Path
) -> None:
    for folder in origin.rglob("acme/p[1-5]"):
        folder.rename(tmp_path / folder.name)
    providers.write_root(
        tmp_path / "roots",
        f'terraform {{\n required_providers {{\n  p0 = {{ source = "acme/p0" }}\n }}\n}}\n{TAIL}',
    )
    with start(origin, tmp_path) as serving:
        trusted = {"SSL_CERT_FILE": str(serving.certificate.path)}
        said, found = run_on_small_disk(tmp_path, 3 * MEBIBYTE, serving.url, **trusted)
    assert "exit code 1" in said, said
    assert re.search(r"the disk of \S+/disk is full: [\d,]+ bytes were free when terraform", said)
    assert "0 of 0 packages" in said
    assert found == []


def _pack(origin: Path) -> None:
    for package in unpacked(origin):
        with zipfile.ZipFile(origin / package.archive, "w") as archive:
            for file in (origin / package.path).iterdir():
                archive.write(file, file.name)
        shutil.rmtree(origin / package.path)
