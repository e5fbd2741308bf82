"""`driftfleet mirror sync` from a provider registry on loopback, with signatures."""

import contextlib
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftfleet.mirror.hashes import archive_hash
from driftfleet.mirror.layout import Package, unpacked
from driftfleet.mirror.verify import verify
from tests import providers
from tests.conftest import require_program
from tests.folder_server import FolderServer, serving_folder
from tests.integration.test_mirror_sync import root, run

ADDRESS = "registry.terraform.io/driftfleet/demo"
PLATFORMS = ("linux_amd64", "darwin_arm64")


def write_registry(
    folder: Path,
    url: str,
    program: str = "",
    services: tuple[str, ...] = ("driftfleet/demo",),
) -> None:
    """The provider registry protocol as files: two versions for two platforms, signed.

    What ``services`` lists are the same packages under other names; ``program`` is in them.
    """
    gpg = require_program("gpg", "it signs the test registry's checksums")
    service = folder / "v1/providers" / services[0]
    service.mkdir(parents=True)
    for other in services[1:]:
        place = folder / "v1/providers" / other
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(service)
    listed = []
    with tempfile.TemporaryDirectory(prefix="df-", ignore_cleanup_errors=True) as home:
        own = [gpg, "--homedir", home, "--batch", "--passphrase", ""]

        def ask(*arguments: str) -> str:
            done = subprocess.run([*own, *arguments], check=True, capture_output=True, text=True)
            return done.stdout

        ask("--quick-generate-key", "driftfleet test", "rsa2048", "sign", "never")
        armor = ask("--armor", "--export")
        colons = ask("--list-keys", "--with-colons").splitlines()
        key = next(line.split(":")[4] for line in colons if line.startswith("pub"))
        for version in ("1.0.0", "1.1.0"):
            names = {}
            for platform in PLATFORMS:
                path = folder / f"terraform-provider-demo_{version}_{platform}.zip"
                with zipfile.ZipFile(path, "w") as archive:
                    archive.writestr(f"terraform-provider-demo_v{version}", program or platform)
                names[platform] = path
            sums = folder / f"{version}_SHA256SUMS"
            sums.write_text("".join(f"{archive_hash(p)[3:]}  {p.name}\n" for p in names.values()))
            ask("--detach-sign", "--output", f"{sums}.sig", str(sums))
            for platform, path in names.items():
                system, _, machine = platform.partition("_")
                place = service / version / "download" / system / machine
                place.parent.mkdir(parents=True, exist_ok=True)
                answer = {
                    "protocols": ["5.0"], "os": system, "arch": machine, "filename": path.name,
                    "download_url": f"{url}/{path.name}", "shasum": archive_hash(path)[3:],
                    "shasums_url": f"{url}/{sums.name}",
                    "shasums_signature_url": f"{url}/{sums.name}.sig",
                    "signing_keys": {"gpg_public_keys": [{"key_id": key, "ascii_armor": armor}]},
                }  # fmt: skip
                place.write_text(json.dumps(answer))
            built = [dict(zip(("os", "arch"), p.split("_"), strict=True)) for p in PLATFORMS]
            listed.append({"version": version, "protocols": ["5.0"], "platforms": built})
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False)
    (service / "versions").write_text(json.dumps({"versions": listed}))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FolderServer]:
    """A registry that the person's own CLI configuration names; ``asked`` are its requests."""
    providers.require_terraform()
    with serving_registry(tmp_path, ("registry.terraform.io",)) as server:
        yield server


@contextlib.contextmanager
def serving_registry(
    tmp_path: Path,
    hosts: tuple[str, ...],
    program: str = "",
    services: tuple[str, ...] = ("driftfleet/demo",),
) -> Iterator[FolderServer]:
    """One registry in the place of ``hosts``; HOME's .terraformrc says so. See `write_registry`."""
    folder = tmp_path / "registry"
    folder.mkdir()
    (tmp_path / "home").mkdir()
    with serving_folder(folder) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        write_registry(folder, url, program, services)
        blocks = (
            f'host "{host}" {{\n  services = {{\n'
            f'    "providers.v1" = "{url}/v1/providers/"\n  }}\n}}\n'
            for host in hosts
        )
        (tmp_path / "home" / ".terraformrc").write_text(
            "".join(blocks)
            + 'provider_installation {\n  filesystem_mirror {\n    path = "/nowhere"\n  }\n}\n'
        )
        yield server


def test_archives_of_every_platform_come_once(registry, tmp_path):
    zh = archive_hash(tmp_path / "registry" / "terraform-provider-demo_1.0.0_linux_amd64.zip")
    other = archive_hash(tmp_path / "registry" / "terraform-provider-demo_1.0.0_darwin_arm64.zip")
    root(tmp_path / "roots" / "locked", "1.0.0", "1.0.0", zh, other)
    root(tmp_path / "roots" / "newest")
    arguments = ["sync", "roots", "--mirror", "m"]
    for platform in PLATFORMS:
        arguments += ["--platform", platform]
    assert "4 added" in run(tmp_path, *arguments)
    wanted = {Package(ADDRESS, v, p) for v in ("1.0.0", "1.1.0") for p in PLATFORMS}
    assert set(unpacked(tmp_path / "m")) == wanted
    assert [one.problem for one in verify(tmp_path / "m")] == [""] * 4
    registry.asked.clear()
    assert "0 added (0 bytes), 4 there" in run(tmp_path, *arguments)
    assert not [path for path in registry.asked if path.endswith(".zip")]


def test_an_archive_that_the_lock_file_does_not_record_is_thrown_away(registry, tmp_path):
    root(tmp_path / "roots", "1.0.0", "1.0.0", "zh:" + "0" * 64)
    said = run(tmp_path, "sync", "roots", "--mirror", "m", expect=1)
    assert "thrown away" in said
    assert unpacked(tmp_path / "m") == []


def test_an_archive_that_its_registry_did_not_sign_does_not_come(registry, tmp_path):
    (tmp_path / "registry" / "terraform-provider-demo_1.0.0_linux_amd64.zip").write_bytes(b"x")
    root(tmp_path / "roots", "1.0.0", "1.0.0", "zh:" + "0" * 64)
    said = run(tmp_path, "sync", "roots", "--mirror", "m", expect=1)
    assert "terraform says" in said
    assert unpacked(tmp_path / "m") == []
