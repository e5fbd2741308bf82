"""Archives that are made while they are sent, and the documents that name them."""

import contextlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from driftfleet.mirror.archive import PackageArchive, PackageChanged
from driftfleet.mirror.hashes import package_hash
from driftfleet.mirror.layout import Package
from driftfleet.mirror.protocol import NotInMirror, answer
from driftfleet.mirror.records import PackageRecord, record_bytes, record_path
from driftfleet.mirror.unpack import PackageRefused, unpack

ADDRESS = "registry.terraform.io/acme/cloud"
ONE = Package(ADDRESS, "1.0.0", "linux_amd64")


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror" / ONE.path
    (folder / "docs" / "déjà").mkdir(parents=True)
    program = folder / "terraform-provider-cloud_v1.0.0"
    program.write_bytes(os.urandom(700_000))
    program.chmod(0o555)
    (folder / "LICENSE").write_text("free")
    (folder / "empty").touch()
    (folder / "docs" / "déjà" / "vu.md").write_text("again")
    return tmp_path / "mirror"


def sent(mirror: Path, package: Package = ONE) -> bytes:
    with contextlib.closing(PackageArchive(mirror, package)) as archive:
        content = b"".join(archive.chunks())
        assert len(content) == archive.length_bytes
        return content


def test_what_is_unpacked_is_what_was_there(mirror: Path, tmp_path: Path) -> None:
    path = tmp_path / "sent.zip"
    path.write_bytes(sent(mirror))
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
    unpack(path, tmp_path / "folder")
    assert package_hash(tmp_path / "folder") == package_hash(mirror / ONE.path)
    program = tmp_path / "folder" / "terraform-provider-cloud_v1.0.0"
    assert program.stat().st_mode & 0o111


def test_it_is_the_same_whatever_the_times_and_the_order_on_the_disk_are(
    mirror: Path, tmp_path: Path
) -> None:
    before = sent(mirror)
    other = tmp_path / "other" / ONE.path
    other.mkdir(parents=True)
    for name in ("empty", "LICENSE", "docs/déjà/vu.md", "terraform-provider-cloud_v1.0.0"):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((mirror / ONE.path / name).read_bytes())
        os.utime(other / name, (1, 1))
    (other / "terraform-provider-cloud_v1.0.0").chmod(0o700)
    assert sent(tmp_path / "other") == before


def test_no_link_is_followed(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    inside = mirror / ONE.path / "link"
    inside.symlink_to(tmp_path / "secret")
    with pytest.raises(PackageRefused, match="neither a file nor a folder"):
        PackageArchive(mirror, ONE)
    inside.unlink()
    linked = Package(ADDRESS, "2.0.0", "linux_amd64")
    (mirror / linked.path).parent.mkdir()
    (mirror / linked.path).symlink_to(tmp_path)
    with pytest.raises(OSError):  # noqa: PT011 - what the system says of links
        PackageArchive(mirror, linked)
    assert "2.0.0" not in json.loads(answer(mirror, f"/{ADDRESS}/index.json"))["versions"]
    for name in ("2.0.0.json", linked.archive.rpartition("/")[2]):
        with pytest.raises(NotInMirror):
            answer(mirror, f"/{ADDRESS}/{name}")


def test_what_changes_meanwhile_is_never_sent_as_if_it_were_whole(mirror: Path) -> None:
    program = mirror / ONE.path / "terraform-provider-cloud_v1.0.0"
    with contextlib.closing(PackageArchive(mirror, ONE)) as archive:
        chunks = archive.chunks()
        next(chunks)
        program.chmod(0o755)
        os.truncate(program, 300_000)
        with pytest.raises(PackageChanged):
            list(chunks)
    with contextlib.closing(PackageArchive(mirror, ONE)) as archive:
        program.unlink()
        with pytest.raises(FileNotFoundError):
            list(archive.chunks())


def test_what_is_too_large_for_an_archive_is_refused(mirror: Path) -> None:
    with (mirror / ONE.path / "large").open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(PackageRefused, match="larger"):
        PackageArchive(mirror, ONE)


def test_no_descriptor_is_left_open(mirror: Path) -> None:
    before = os.listdir("/proc/self/fd")
    sent(mirror)
    (mirror / ONE.path / "link").symlink_to("/")
    for package in (ONE, ONE._replace(version="9.0.0")):
        with pytest.raises((PackageRefused, OSError)):
            PackageArchive(mirror, package)
    assert os.listdir("/proc/self/fd") == before


def test_the_documents_name_versions_archives_and_recorded_hashes(mirror: Path) -> None:
    other = Package(ADDRESS, "1.0.0", "darwin_arm64")
    (mirror / other.path).mkdir()
    record_path(mirror, ONE).write_bytes(record_bytes(PackageRecord("h1:abc=", "zh:0")))
    assert json.loads(answer(mirror, f"/{ADDRESS}/index.json")) == {"versions": {"1.0.0": {}}}
    assert json.loads(answer(mirror, f"/{ADDRESS}/1.0.0.json?x=y")) == {
        "archives": {
            "darwin_arm64": {"url": "terraform-provider-cloud_1.0.0_darwin_arm64.zip"},
            "linux_amd64": {
                "url": "terraform-provider-cloud_1.0.0_linux_amd64.zip",
                "hashes": ["h1:abc="],
            },
        }
    }
    with contextlib.closing(answer(mirror, f"/{ONE.archive}")) as archive:
        assert zipfile.is_zipfile(io.BytesIO(b"".join(archive.chunks())))


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/index.json", f"/{ADDRESS}", f"/{ADDRESS}/", f"/{ADDRESS}/1.0.0",
        f"/{ADDRESS}/../cloud/index.json", f"/{ADDRESS}/1.0.0/linux_amd64.json",
        f"/{ADDRESS}/1.0.0/linux_amd64/LICENSE", f"/{ADDRESS}/%2e%2e/index.json",
        "/registry.terraform.io/../../secret.json", "/registry.terraform.io/acme/..%2fcloud/x.json",
        f"/{ADDRESS}/2.0.0.json", f"/{ADDRESS}/terraform-provider-aws_1.0.0_linux_amd64.zip",
        f"/{ADDRESS}/terraform-provider-cloud_9.0.0_linux_amd64.zip", f"/{ADDRESS}/..json",
        f"/{ADDRESS}/terraform-provider-cloud_.._linux_amd64.zip", f"/{ADDRESS}/\0.json",
        f"/{ADDRESS.upper()}/index.json", "/a/b/c/index.json", "http://x/a/b/c/index.json",
        f"//{ADDRESS}/index.json",
    ],
)  # fmt: skip
def test_what_is_no_path_of_the_protocol_is_not_there(mirror: Path, path: str) -> None:
    (mirror.parent / "secret.json").write_text("{}")
    with pytest.raises(NotInMirror):
        answer(mirror, path)
