"""The parts of a provider mirror that need neither terraform nor a network."""

import hashlib
import os
import stat
import zipfile
from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError
from driftfleet.mirror.constraint import newest
from driftfleet.mirror.hashes import archive_hash, package_hash
from driftfleet.mirror.layout import Package, full_address, packed, unpacked
from driftfleet.mirror.needs import needs_of
from driftfleet.mirror.permissions import require_unwritable
from driftfleet.mirror.prune import prune, unneeded
from driftfleet.mirror.records import PackageRecord, record_bytes, record_path
from driftfleet.mirror.sources import FolderSource
from driftfleet.mirror.staging import MirrorBusy, staging
from driftfleet.mirror.sync import Outcome, sync
from driftfleet.mirror.unpack import PackageRefused, copy, unpack
from driftfleet.mirror.verify import verify
from driftfleet.tree import MemoryTree

AWS = "registry.terraform.io/hashicorp/aws"
LINUX = "linux_amd64"
NAME = "terraform-provider-aws_v5.0.0_x5"


def archive(folder: Path, content: bytes = b"binary", version: str = "5.0.0") -> Path:
    """A packed mirror with one archive."""
    path = folder / Package(AWS, version, LINUX).archive
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as opened:
        info = zipfile.ZipInfo(NAME)
        info.external_attr = 0o100755 << 16
        opened.writestr(info, content)
    return path


def lock(*hashes: str, version: str = "5.0.0") -> bytes:
    listed = "".join(f'    "{one}",\n' for one in hashes)
    return (
        f'provider "{AWS}" {{\n  version     = "{version}"\n  hashes = [\n{listed}  ]\n}}\n'
    ).encode()


def needs(*hashes: str):
    tree = MemoryTree({"a/main.tf": b"", "a/.terraform.lock.hcl": lock(*hashes)})
    return needs_of(tree, [("a", "terraform")], "repo").needs


def run_sync(mirror: Path, source: Path, wanted) -> list[Outcome]:
    with staging(mirror) as folder:
        return sync(
            mirror, folder, wanted, platforms=[LINUX], source=FolderSource(source), tell=print
        )


@pytest.mark.parametrize(
    ("constraint", "chosen"),
    [
        ("", "2.1.0"),
        ("1.0.0", "1.0.0"),
        ("= 1", "1.0.0"),
        ("!= 2.1.0", "2.0.0"),
        ("< 2.0", "1.9.3"),
        ("<= 2", "2.0.0"),
        ("> 2.1", None),
        ("~> 1.0", "1.9.3"),
        ("~> 1.2.0", "1.2.9"),
        ("~> 1", "1.9.3"),
        ("~> 3", None),
        (">= 1.0, < 1.9", "1.2.9"),
        ("3.0.0-beta1", "3.0.0-beta1"),
        ("3.0.0-beta1, >= 2.0", "3.0.0-beta1"),
        ("3.0.0-beta1, = 3.0.0-beta1", "3.0.0-beta1"),
        ("3.0.0-beta1, >= 3.0", None),
        (">= 3.0.0-beta1", None),
        (">= 2.0.0-beta1", "2.1.0"),
        ("!= 2.1.0-beta1, < 3.0.0-beta1", "2.1.0"),
    ],
)
def test_a_constraint_chooses_the_newest(constraint: str, chosen: str | None) -> None:
    versions = ["1.0.0", "1.2.9", "1.9.3", "2.0.0", "2.1.0", "3.0.0-beta1"]
    assert newest(versions, constraint) == chosen


@pytest.mark.parametrize("constraint", ["x", "1.0,", "~ 1", "${var.x}", "1.2.3.4", "=> 1"])
def test_what_is_no_constraint_is_refused(constraint: str) -> None:
    with pytest.raises(ValueError, match=r"is no constraint|is empty"):
        newest(["1.0.0"], constraint)


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("aws", AWS),
        ("HashiCorp/aws", AWS),
        ("tf.example.com:8443/acme/x", "tf.example.com:8443/acme/x"),
        ("terraform.io/builtin/terraform", None),
        ("terraform", None),
    ],
)
def test_a_source_has_a_full_address(source: str, address: str | None) -> None:
    assert full_address(source) == address


@pytest.mark.parametrize("source", ["", "../x", "a/../b", "h/n/t/x", "h/n/..", "a b/c", "/etc/x"])
def test_a_hostile_source_has_none(source: str) -> None:
    with pytest.raises(ValueError, match="no provider's address"):
        full_address(source)


def test_strange_names_in_a_mirror_are_passed_over(tmp_path: Path) -> None:
    good = Package(AWS, "5.0.0", LINUX)
    for path in (good.path, f"{AWS}/five/{LINUX}", f"{AWS}/5.0.0/linux", "lost+found/a/b"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / f"{AWS}/terraform-provider-other_1.0.0_{LINUX}.zip").touch()
    (tmp_path / good.archive).touch()
    assert unpacked(tmp_path) == [good]
    assert packed(tmp_path) == [good]


def test_a_lock_file_tells_versions_and_constraints_tell_the_rest() -> None:
    child = b'terraform {\n required_providers {\n  null = { source = "hashicorp/null" }\n }\n}\n'
    root = (
        b'terraform {\n required_providers {\n  aws = ">= 4"\n  random = "~> 3.0"\n }\n}\n'
        b'module "m" {\n  source = "../m"\n}\n'
    )
    tree = MemoryTree(
        {"a/main.tf": root, "a/.terraform.lock.hcl": lock("zh:1"), "b/main.tf": root,
         "m/main.tf": child}
    )  # fmt: skip
    found = needs_of(tree, [("a", "terraform"), ("b", "terraform")], "repo")
    assert found.gaps == ()
    assert {(n.address.rpartition("/")[2], n.wanted, n.roots) for n in found.needs} == {
        ("aws", "5.0.0", ("repo:a",)),
        ("aws", ">= 4", ("repo:b",)),
        ("null", "any version", ("repo:a", "repo:b")),
        ("random", "~> 3.0", ("repo:a", "repo:b")),
    }


def test_a_short_source_means_the_registry_of_what_plans_the_root() -> None:
    code = b'resource "aws_instance" "a" {}\ndata "terraform_remote_state" "s" {}\n'
    tree = MemoryTree({"a/main.tf": code, "b/main.tf": code, "b/.terraform.lock.hcl": lock("zh:1")})
    found = needs_of(tree, [("a", "tofu"), ("b", "tofu"), ("a", "terraform")], "r").needs
    tofu = "registry.opentofu.org/hashicorp/aws"
    assert [(need.address, need.wanted, need.roots) for need in found] == [
        (tofu, "any version", ("r:a", "r:b")),
        (AWS, "any version", ("r:a",)),
        (AWS, "5.0.0", ("r:b",)),
    ]


def test_what_is_not_known_of_a_root_is_a_gap() -> None:
    remote = b'module "m" {\n  source = "acme/m/aws"\n}\n'
    files = {
        "remote/main.tf": remote,
        "locked/main.tf": remote,
        "locked/.terraform.lock.hcl": lock("zh:1"),
        "odd/main.tf": b"",
        "odd/.terraform.lock.hcl": b'provider "x" { version = "1" }\n',
        "bad/main.tf": b'provider "aws" {\n  version = "newest"\n}\n',
    }
    roots = [(root, "terraform") for root in ("remote", "locked", "odd", "bad")]
    gaps = needs_of(MemoryTree(files), roots, "r").gaps
    assert sorted(gap.partition(" ")[0] for gap in gaps) == ["r:bad:", "r:odd:", "r:remote:"]


def test_constraints_that_are_too_long_together_are_a_gap() -> None:
    """Else whoever reads them all at once would end in an error."""
    calls, files = "", {}
    for number in range(100):
        calls += f'module "m{number}" {{\n  source = "./m{number}"\n}}\n'
        text = f'provider "aws" {{\n  version = ">= 4.{number}.0"\n}}\n'
        files[f"m{number}/main.tf"] = text.encode()
    found = needs_of(MemoryTree({"main.tf": calls.encode(), **files}), [(".", "terraform")], "r")
    assert found.needs == ()
    assert ["too long" in gap for gap in found.gaps] == [True]


def test_a_package_comes_sealed_recorded_and_once(tmp_path: Path) -> None:
    source, mirror = tmp_path / "source", tmp_path / "mirror"
    zh = archive_hash(archive(source))
    (outcome,) = run_sync(mirror, source, needs(zh))
    assert (outcome.action, outcome.message) == ("added", "")
    package = mirror / AWS / "5.0.0" / LINUX
    assert stat.S_IMODE(package.stat().st_mode) == 0o555
    assert stat.S_IMODE((package / NAME).stat().st_mode) == 0o555
    listing = f"{hashlib.sha256(b'binary').hexdigest()}  {NAME}\n"
    assert outcome.record.zh == zh
    assert outcome.record.h1 == package_hash(package)
    assert listing
    inode = package.stat().st_ino
    (again,) = run_sync(mirror, tmp_path, needs(zh))  # an empty source: nothing is asked of it
    assert again.action == "present"
    assert package.stat().st_ino == inode
    assert [one.problem for one in verify(mirror)] == [""]


@pytest.mark.parametrize("recorded", ["zh:" + "0" * 64, "h1:" + "A" * 43 + "="])
def test_a_wrong_hash_is_thrown_away(tmp_path: Path, recorded: str) -> None:
    archive(tmp_path / "source")
    (outcome,) = run_sync(tmp_path / "mirror", tmp_path / "source", needs(recorded))
    assert outcome.action == "failed"
    assert "repo:a" in outcome.message
    assert unpacked(tmp_path / "mirror") == []
    assert list((tmp_path / ".mirror.sync").iterdir()) == []


def test_an_unpacked_source_is_held_against_h1(tmp_path: Path) -> None:
    package = tmp_path / "source" / AWS / "5.0.0" / LINUX
    package.mkdir(parents=True)
    (package / NAME).write_bytes(b"binary")
    h1 = package_hash(package)
    (outcome,) = run_sync(tmp_path / "mirror", tmp_path / "source", needs(h1))
    assert outcome.action == "added"
    (package / NAME).write_bytes(b"BINARY")
    (outcome,) = run_sync(tmp_path / "other", tmp_path / "source", needs(h1))
    assert outcome.action == "failed"


def test_a_package_that_a_person_put_there_is_recorded_where_a_lock_file_fits(
    tmp_path: Path,
) -> None:
    package = tmp_path / "mirror" / AWS / "5.0.0" / LINUX
    package.mkdir(parents=True)
    (package / NAME).write_bytes(b"binary")
    assert "nothing was recorded" in next(verify(tmp_path / "mirror")).problem
    (outcome,) = run_sync(tmp_path / "mirror", tmp_path, needs(package_hash(package)))
    assert outcome.action == "recorded"
    assert next(verify(tmp_path / "mirror")).problem == ""


def test_a_changed_package_is_named(tmp_path: Path) -> None:
    archive(tmp_path / "source")
    run_sync(tmp_path / "mirror", tmp_path / "source", needs())
    program = tmp_path / "mirror" / AWS / "5.0.0" / LINUX / NAME
    program.chmod(0o755)
    program.write_bytes(b"BINARY")
    (found,) = verify(tmp_path / "mirror")
    assert found.package == Package(AWS, "5.0.0", LINUX)
    assert "was changed" in found.problem


def test_prune_takes_what_nobody_needs(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    for version in ("4.0.0", "5.0.0", "5.1.0"):
        archive(tmp_path / "source", version=version)
        tree = MemoryTree({"a/main.tf": b"", "a/.terraform.lock.hcl": lock(version=version)})
        run_sync(mirror, tmp_path / "source", needs_of(tree, [("a", "terraform")], "r").needs)
    tree = MemoryTree({"a/main.tf": b'provider "aws" {\n  version = "~> 5.0"\n}\n'})
    kept = (*needs(), *needs_of(tree, [("a", "terraform")], "r").needs)
    found = unneeded(mirror, kept)
    assert [one.package.version for one in found] == ["4.0.0"]
    assert found[0].bytes > 0
    with staging(mirror) as folder:
        prune(mirror, folder, [one.package for one in found])
    assert {one.version for one in unpacked(mirror)} == {"5.0.0", "5.1.0"}
    assert not (mirror / AWS / "4.0.0").exists()


def test_one_sync_at_a_time_and_leftovers_of_a_killed_one_go(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    with staging(mirror) as folder:
        with pytest.raises(MirrorBusy), staging(mirror):
            pass
        left = folder / "run-0"
    left.mkdir(mode=0o555)
    with staging(mirror) as folder:
        assert list(folder.iterdir()) == []


class TestUnpack:
    """What an archive may not hold."""

    @pytest.mark.parametrize(
        "name", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "a\nb", "./x", "a//b"]
    )
    def test_names_that_lead_elsewhere(self, tmp_path: Path, name: str) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
            opened.writestr(zipfile.ZipInfo(name), b"x")
        with pytest.raises(PackageRefused, match="its entry"):
            unpack(tmp_path / "a.zip", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
    def test_what_is_no_file(self, tmp_path: Path, kind: int) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
            info = zipfile.ZipInfo("x")
            info.external_attr = (kind | 0o777) << 16
            opened.writestr(info, b"/etc/passwd")
        with pytest.raises(PackageRefused, match="neither a file nor a folder"):
            unpack(tmp_path / "a.zip", tmp_path / "out")

    def test_a_bomb_is_refused_whatever_it_says_of_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("x", bytes(1 << 20))
        with pytest.raises(PackageRefused, match="unpacks to more"):
            unpack(path, tmp_path / "out", most_bytes=1 << 16)
        size = (1 << 20).to_bytes(4, "little")
        path.write_bytes(path.read_bytes().replace(size, (100).to_bytes(4, "little")))
        with pytest.raises(PackageRefused):
            unpack(path, tmp_path / "out", most_bytes=1 << 16)

    @pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + b"\xff" * 18, b"x" * 5000])
    def test_what_is_no_archive(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(PackageRefused):
            unpack(tmp_path / "a.zip", tmp_path / "out")

    def test_a_link_in_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "x").symlink_to("/etc/passwd")
        with pytest.raises(PackageRefused, match="is a link"):
            copy(tmp_path / "in", tmp_path / "out")


class TestPermissions:
    """A mirror that others can write to is not used."""

    @pytest.mark.parametrize("place", ["", AWS, f"{AWS}/5.0.0/{LINUX}/{NAME}"])
    def test_what_others_can_write_to_is_named(self, tmp_path: Path, place: str) -> None:
        archive(tmp_path / "source")
        mirror = tmp_path / "mirror"
        run_sync(mirror, tmp_path / "source", needs())
        require_unwritable(mirror)
        (mirror / place).chmod(0o777)
        with pytest.raises(ConfigurationError, match="chmod -R go-w") as refused:
            require_unwritable(mirror)
        assert str(mirror / place) in refused.value.message

    def test_what_a_link_leads_to_counts_and_a_loop_ends(self, tmp_path: Path) -> None:
        mirror, elsewhere = tmp_path / "mirror", tmp_path / "elsewhere"
        (mirror / AWS / "5.0.0").mkdir(parents=True)
        elsewhere.mkdir(mode=0o755)
        binary = elsewhere / NAME
        binary.touch(mode=0o755)
        # Terraform follows it, so others' programs would run from there.
        (mirror / AWS / "5.0.0" / LINUX).symlink_to(elsewhere)
        (elsewhere / "up").symlink_to(mirror)
        require_unwritable(mirror)
        binary.chmod(0o777)
        with pytest.raises(ConfigurationError, match=NAME):
            require_unwritable(mirror)

    def test_our_own_group_may_write(self, tmp_path: Path) -> None:
        os.chown(tmp_path, -1, os.getegid())
        tmp_path.chmod(0o775)
        require_unwritable(tmp_path)


def test_a_record_is_replaced_whole(tmp_path: Path) -> None:
    package = Package(AWS, "5.0.0", LINUX)
    path = record_path(tmp_path, package)
    path.parent.mkdir(parents=True)
    path.write_bytes(record_bytes(PackageRecord("h1:x"))[:5])
    (tmp_path / package.path).mkdir()
    assert next(verify(tmp_path)).recorded is None
