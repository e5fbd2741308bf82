"""The lock file in a workspace."""

import base64
import hashlib
import os
import time
from pathlib import Path

import pytest

from driftfleet.errors import CheckFailed
from driftfleet.mirror.hashes import package_hash
from worker.lockfile import LockFile

AWS = "registry.terraform.io/hashicorp/aws"


def lock(root: Path, *hashes: str, version: str = "5.0.0", address: str = AWS) -> LockFile:
    lines = "".join(f'    "{one}",\n' for one in hashes)
    (root / ".terraform.lock.hcl").write_text(
        f'# This file is maintained automatically\n\nprovider "{address}" {{\n'
        f'  version     = "{version}"\n  constraints = "~> 5.0"\n  hashes = [\n{lines}  ]\n}}\n'
    )
    return LockFile(root, root)


def text(root: Path) -> str:
    return (root / ".terraform.lock.hcl").read_text()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror" / AWS / "5.0.0" / "linux_amd64"
    folder.mkdir(parents=True)
    (folder / "terraform-provider-aws").write_bytes(b"binary")
    (folder / "LICENSE.txt").write_bytes(b"text")
    return folder


def test_the_versions_of_providers_are_read(tmp_path: Path) -> None:
    assert LockFile(tmp_path, tmp_path).providers() == {}
    assert lock(tmp_path, "h1:x").providers() == {AWS: "5.0.0"}


def test_the_hash_is_gos_hash1_over_sorted_names(package: Path) -> None:
    listing = "".join(
        f"{hashlib.sha256(body).hexdigest()}  {name}\n"
        for name, body in (("LICENSE.txt", b"text"), ("terraform-provider-aws", b"binary"))
    )
    expected = base64.b64encode(hashlib.sha256(listing.encode()).digest()).decode()
    assert package_hash(package) == f"h1:{expected}"


def test_a_changed_package_has_another_hash(package: Path) -> None:
    before = package_hash(package)
    assert package_hash(package) == before
    (package / "terraform-provider-aws").write_bytes(b"BINARY")
    assert package_hash(package) != before


def test_verified_hashes_go_and_the_version_stays(tmp_path: Path, package: Path) -> None:
    one = lock(tmp_path, "h1:of-another-platform", package_hash(package), "zh:abc")
    one.verify(tmp_path / "mirror", "linux_amd64")
    assert "hashes" not in text(tmp_path)
    assert '"~> 5.0"' in text(tmp_path)
    assert one.providers() == {AWS: "5.0.0"}


@pytest.mark.parametrize("hashes", [("h1:of-another-platform",), ("zh:abc",), ()])
def test_what_does_not_fit_is_left_to_terraform(
    tmp_path: Path, package: Path, hashes: tuple[str, ...]
) -> None:
    one = lock(tmp_path, *hashes)
    before = text(tmp_path)
    one.verify(tmp_path / "mirror", "linux_amd64")
    assert text(tmp_path) == before


def test_a_package_that_the_mirror_lacks_is_left_to_terraform(
    tmp_path: Path, package: Path
) -> None:
    one = lock(tmp_path, package_hash(package), version="5.0.1")
    one.verify(tmp_path / "mirror", "linux_amd64")
    assert "hashes" in text(tmp_path)


def test_a_lock_file_in_another_form_stays_as_it_is(tmp_path: Path, package: Path) -> None:
    path = tmp_path / ".terraform.lock.hcl"
    for body in ('provider "x" { version = "1" }\n', "not hcl {{{", ""):
        path.write_text(body)
        LockFile(tmp_path, tmp_path).verify(tmp_path / "mirror", "linux_amd64")
        LockFile(tmp_path, tmp_path).drop_hashes()
        assert path.read_text() == body


def test_hashes_can_all_be_dropped_after_init(tmp_path: Path) -> None:
    lock(tmp_path, "h1:x", "zh:y").drop_hashes()
    assert "h1:" not in text(tmp_path)
    assert '"5.0.0"' in text(tmp_path)


def test_every_block_counts_and_what_stands_between_stays(tmp_path: Path) -> None:
    lock(tmp_path, "h1:x")
    one = text(tmp_path)
    two = one.replace(AWS, "registry.terraform.io/hashicorp/null").replace("5.0.0", "3.2.1")
    (tmp_path / ".terraform.lock.hcl").write_text(f"{one}# between\n{two}# after\n")
    assert LockFile(tmp_path, tmp_path).providers() == {
        AWS: "5.0.0",
        "registry.terraform.io/hashicorp/null": "3.2.1",
    }
    LockFile(tmp_path, tmp_path).drop_hashes()
    hashes = '  hashes = [\n    "h1:x",\n  ]\n'
    assert text(tmp_path) == f"{one}# between\n{two}# after\n".replace(hashes, "")


def test_windows_line_ends_are_understood(tmp_path: Path) -> None:
    lock(tmp_path, "h1:x")
    (tmp_path / ".terraform.lock.hcl").write_bytes(text(tmp_path).replace("\n", "\r\n").encode())
    assert LockFile(tmp_path, tmp_path).providers() == {AWS: "5.0.0"}


def test_a_file_larger_than_any_that_terraform_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".terraform.lock.hcl"
    path.write_bytes(b"#" * (1 << 20))
    assert LockFile(tmp_path, tmp_path).providers() == {}
    path.write_bytes(b"#" * ((1 << 20) + 1))
    for act in (LockFile(tmp_path, tmp_path).providers, LockFile(tmp_path, tmp_path).drop_hashes):
        with pytest.raises(CheckFailed, match="larger than 1 MiB") as refused:
            act()
        assert refused.value.kind == "source_refused"


@pytest.mark.parametrize(
    ("before", "unit", "after"),
    [
        ("", 'provider "a" {\n', ""),
        ('provider "a" {\n  version = "1"\n', "  hashes = [\n", "}\n"),
        ('provider "a" {\n  version = "1"\n', "  hashes = [ ] x\n", "}\n"),
        ('provider "a" {\n', "  version", "\n}\n"),
    ],
)
def test_a_hostile_lock_file_takes_linear_time(
    tmp_path: Path, before: str, unit: str, after: str
) -> None:
    path = tmp_path / ".terraform.lock.hcl"
    written = before + unit * (1_000_000 // len(unit)) + after
    path.write_text(written)
    started = time.process_time()
    LockFile(tmp_path, tmp_path).providers()
    LockFile(tmp_path, tmp_path).drop_hashes()
    assert time.process_time() - started < 10
    assert path.read_text() == written


class TestWhatRunsInACheckMayHaveChanged:
    """The lock file is looked at again when a root's own programs have been at work."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        folder = tmp_path / "outside"
        folder.mkdir()
        lock(folder, "h1:x")
        return folder

    @pytest.fixture
    def top(self, tmp_path: Path) -> Path:
        top = tmp_path / "top"
        (top / "root").mkdir(parents=True)
        return top

    def test_a_link_that_leads_out_is_neither_read_nor_written_through(
        self, top: Path, outside: Path
    ) -> None:
        before = text(outside)
        (top / "root" / ".terraform.lock.hcl").symlink_to(outside / ".terraform.lock.hcl")
        LockFile(top / "root", top).drop_hashes()
        assert LockFile(top / "root", top).providers() == {}
        assert text(outside) == before

    def test_nor_is_a_folder_that_has_become_one(self, top: Path, outside: Path) -> None:
        before = text(outside)
        (top / "root").rmdir()
        (top / "root").symlink_to(outside)
        LockFile(top / "root", top).drop_hashes()
        assert LockFile(top / "root", top).providers() == {}
        assert text(outside) == before
        assert [path.name for path in outside.iterdir()] == [".terraform.lock.hcl"]

    def test_a_link_to_another_file_of_the_repository_counts_and_leaves_that_alone(
        self, top: Path
    ) -> None:
        lock(top, "h1:x")
        (top / "root" / ".terraform.lock.hcl").symlink_to(top / ".terraform.lock.hcl")
        LockFile(top / "root", top).drop_hashes()
        assert LockFile(top / "root", top).providers() == {AWS: "5.0.0"}
        assert "h1:x" not in text(top / "root")
        assert "h1:x" in text(top)

    def test_a_link_where_the_new_one_is_written_is_not_followed(
        self, top: Path, outside: Path
    ) -> None:
        before = text(outside)
        own = lock(top, "h1:x")
        (top / ".terraform.lock.hcl.new").symlink_to(outside / ".terraform.lock.hcl")
        own.drop_hashes()
        assert "h1:x" not in text(top)
        assert text(outside) == before

    def test_a_pipe_is_not_waited_for(self, top: Path) -> None:
        os.mkfifo(top / ".terraform.lock.hcl")
        LockFile(top, top).drop_hashes()
        assert LockFile(top, top).providers() == {}
