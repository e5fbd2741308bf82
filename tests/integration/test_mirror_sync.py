"""`driftfleet mirror` with the real terraform: what it downloads, and what inits make of it."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from driftfleet.mirror.hashes import archive_hash, package_hash
from driftfleet.mirror.layout import Package, packed, unpacked
from driftfleet.mirror.verify import verify
from tests import providers
from tests.certificates import make_certificate
from tests.conftest import require_program
from tests.folder_server import FolderServer, serving_folder

COMMAND = Path(sys.executable).with_name("driftfleet")
ADDRESS = providers.PROVIDER_ADDRESS
LINUX = "linux_amd64"
ONE = Package(ADDRESS, "1.0.0", LINUX)


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """An unpacked mirror with two versions of the demo provider."""
    providers.require_terraform()
    folder = tmp_path_factory.mktemp("origin")
    return providers.build_mirror(folder, versions=("1.0.0", "1.1.0"))


@pytest.fixture(scope="module")
def packed_origin(origin, tmp_path_factory) -> Path:
    """The same, packed."""
    folder = tmp_path_factory.mktemp("packed")
    for package in unpacked(origin):
        path = folder / package.archive
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for file in (origin / package.path).iterdir():
                archive.write(file, file.name)
    return folder


def root(folder: Path, version: str = ">= 1.0", lock: str | None = None, *hashes: str) -> Path:
    """A root that wants the demo provider, maybe with a lock file."""
    providers.write_root(folder, providers.REQUIRES_DEMO.replace("1.0.0", version) + TAIL)
    if lock is not None:
        listed = "".join(f'    "{one}",\n' for one in hashes)
        (folder / ".terraform.lock.hcl").write_text(
            f'provider "{ADDRESS}" {{\n  version = "{lock}"\n  hashes = [\n{listed}  ]\n}}\n'
        )
    return folder


TAIL = 'resource "terraform_data" "x" {}\n'


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH")}
    return {**kept, "HOME": str(home), **more}


def run(tmp_path: Path, *arguments: str | Path, expect: int = 0, **more: str) -> str:
    done = subprocess.run(
        [COMMAND, "mirror", *map(str, arguments)],
        cwd=tmp_path, env=environment(tmp_path, **more), timeout=120, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def init(folder: Path, mirror: Path) -> None:
    with providers.terraform_environment(mirror) as env:
        providers.terraform(folder, env, "init", "-no-color")


class TestFolders:
    """Another filesystem mirror as the source."""

    @pytest.mark.parametrize("source", ["origin", "packed_origin"])
    def test_what_comes_is_what_terraform_installs(self, source, request, tmp_path):
        root(tmp_path / "roots" / "a")
        place = request.getfixturevalue(source)
        h1 = package_hash(request.getfixturevalue("origin") / ONE.path)
        root(tmp_path / "roots" / "b", ">= 1.0", "1.0.0", h1)
        said = run(tmp_path, "sync", "roots", "--mirror", "m", "--from", place)
        assert "2 added" in said
        assert [p.version for p in unpacked(tmp_path / "m")] == ["1.0.0", "1.1.0"]
        for name in ("a", "b"):
            init(tmp_path / "roots" / name, tmp_path / "m")
        assert "0 added" in run(tmp_path, "sync", "roots", "--mirror", "m", "--from", place)
        run(tmp_path, "verify", "--mirror", "m")

    def test_a_wrong_zh_is_refused(self, packed_origin, tmp_path):
        root(tmp_path / "roots", "1.0.0", "1.0.0", "zh:" + "0" * 64)
        said = run(tmp_path, "sync", "roots", "--mirror", "m", "--from", packed_origin, expect=1)
        assert "thrown away" in said
        assert unpacked(tmp_path / "m") == []

    def test_a_right_zh_is_enough(self, packed_origin, tmp_path):
        zh = archive_hash(packed_origin / ONE.archive)
        root(tmp_path / "roots", "1.0.0", "1.0.0", zh, "h1:of-another-platform=")
        said = run(tmp_path, "sync", "roots", "--mirror", "m", "--from", packed_origin, "--json")
        assert json.loads(said)["zh"] == zh

    def test_a_changed_package_is_found(self, origin, tmp_path):
        root(tmp_path / "roots", "1.0.0")
        run(tmp_path, "sync", "roots", "--mirror", "m", "--from", origin)
        (script,) = (tmp_path / "m").rglob("terraform-provider-demo*")
        script.chmod(0o755)
        script.write_text(script.read_text() + "# changed\n")
        said = run(tmp_path, "verify", "--mirror", "m", expect=1)
        assert f"{ONE}: was changed" in said
        said = json.loads(run(tmp_path, "verify", "--mirror", "m", "--json", expect=1))
        assert said["package"] == ONE.path

    def test_prune_shows_then_removes_and_refuses_what_it_cannot_know(self, origin, tmp_path):
        root(tmp_path / "roots" / "a", "1.0.0")
        root(tmp_path / "roots" / "b", "1.1.0")
        run(tmp_path, "sync", "roots", "--mirror", "m", "--from", origin)
        (tmp_path / "roots" / "b" / "main.tf").write_text("resource {{{")
        assert "nothing is removed" in run(
            tmp_path, "prune", "roots", "--mirror", "m", "--yes", expect=1
        )
        root(tmp_path / "roots" / "b", "1.0.0")
        said = run(tmp_path, "prune", "roots", "--mirror", "m")
        assert "1.1.0" in said
        assert "bytes" in said
        assert len(unpacked(tmp_path / "m")) == 2
        run(tmp_path, "prune", "roots", "--mirror", "m", "--yes")
        assert unpacked(tmp_path / "m") == [ONE]
        init(tmp_path / "roots" / "a", tmp_path / "m")

    def test_what_is_wrong_is_told_in_words(self, tmp_path):
        root(tmp_path / "roots")
        assert "no mirror is named" in run(tmp_path, "sync", "roots", expect=2)
        for source, words in (("nowhere", "can't be read"), ("http://x/", "https")):
            said = run(tmp_path, "sync", "roots", "--mirror", "m", "--from", source, expect=2)
            assert words in said
        said = run(tmp_path, "sync", "roots", "--mirror", "m", "--platform", "../x", expect=2)
        assert "OS_ARCH" in said
        assert "no such folder" in run(tmp_path, "verify", "--mirror", "none", expect=2)


@pytest.fixture
def network_mirror(packed_origin, tmp_path) -> Iterator[FolderServer]:
    """Terraform's network mirror protocol over TLS; ``asked`` holds the paths of requests."""
    folder = tmp_path / "www"
    (folder / ADDRESS).mkdir(parents=True)
    (folder / ADDRESS / "index.json").write_text('{"versions": {"1.0.0": {}, "1.1.0": {}}}')
    for package in packed(packed_origin):
        archive = packed_origin / package.archive
        (folder / package.archive).write_bytes(archive.read_bytes())
        listed = {"archives": {package.platform: {"url": archive.name}}}
        (folder / ADDRESS / f"{package.version}.json").write_text(json.dumps(listed))
    with serving_folder(folder, make_certificate(tmp_path)) as server:
        yield server


class TestNetworkMirror:
    """A network mirror as the source: terraform itself downloads."""

    def sync(self, server, tmp_path, *more: str, expect: int = 0) -> str:
        url = f"https://127.0.0.1:{server.server_port}/"
        trusted = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        arguments = ("sync", "roots", "--mirror", "m", "--from", url, *more)
        return run(tmp_path, *arguments, expect=expect, **trusted)

    def test_it_is_downloaded_once(self, network_mirror, packed_origin, tmp_path):
        zh = archive_hash(packed_origin / ONE.archive)
        root(tmp_path / "roots" / "newest")
        root(tmp_path / "roots" / "locked", "1.0.0", "1.0.0", zh)
        assert "2 added" in self.sync(network_mirror, tmp_path)
        assert sum(path.endswith(".zip") for path in network_mirror.asked) == 2
        network_mirror.asked.clear()
        assert "0 added (0 bytes), 2 there" in self.sync(network_mirror, tmp_path)
        assert not [path for path in network_mirror.asked if path.endswith(".zip")]
        assert [one.problem for one in verify(tmp_path / "m")] == ["", ""]

    def test_a_wrong_zh_is_refused_by_terraform(self, network_mirror, tmp_path):
        root(tmp_path / "roots", "1.0.0", "1.0.0", "zh:" + "0" * 64)
        said = self.sync(network_mirror, tmp_path, expect=1)
        assert "checksums" in said
        assert unpacked(tmp_path / "m") == []

    def test_another_platform_is_told_of(self, network_mirror, tmp_path):
        root(tmp_path / "roots", "1.0.0")
        said = self.sync(network_mirror, tmp_path, "--platform", "darwin_arm64", expect=1)
        assert "its own platform alone" in said

    def test_a_version_that_is_nowhere_is_terraforms_word(self, network_mirror, tmp_path):
        root(tmp_path / "roots", "~> 9.0")
        assert "no available releases" in self.sync(network_mirror, tmp_path, expect=1)


@pytest.fixture
def dozen(tmp_path) -> Path:
    """A packed mirror of twelve providers of 4 MiB, and ``roots`` that want them all."""
    source = tmp_path / "source"
    names = [f"p{number}" for number in range(12)]
    for name in names:
        package = Package(f"registry.terraform.io/acme/{name}", "1.0.0", LINUX)
        path = source / package.archive
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as archive:
            for part in range(4):
                archive.writestr(f"part-{part}", os.urandom(1 << 20))
    wanted = "".join(f'  {n} = {{ source = "acme/{n}" }}\n' for n in names)
    providers.write_root(
        tmp_path / "roots", f"terraform {{\n required_providers {{\n{wanted} }}\n}}\n{TAIL}"
    )
    return source


# Of what a sync tells of one package of the dozen.
LINE = "added     registry.terraform.io/acme/p10 1.0.0 linux_amd64\n"


@contextlib.contextmanager
def syncing(tmp_path: Path, source: Path, count: int) -> Iterator[tuple[subprocess.Popen, int]]:
    """A sync that has told of ``count`` packages, and the pipe that it tells of them.

    It is not over, however long we take: the pipe is so full that it holds no more lines, and with
    the next one it waits.
    """
    told, end = os.pipe()
    size = fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1)
    filled = os.write(end, b" " * (size - count * len(LINE)))
    arguments = [COMMAND, "mirror", "sync", "roots", "--mirror", "m", "--from", source]

    def has_told() -> bool:
        (unread,) = struct.unpack("i", fcntl.ioctl(told, termios.FIONREAD, bytes(4)))
        return unread - filled > (count - 1) * len(LINE)

    try:
        with subprocess.Popen(
            arguments, cwd=tmp_path, env=environment(tmp_path), stdout=end, stderr=subprocess.PIPE,
            text=True,
        ) as running:  # fmt: skip
            os.close(end)
            try:
                providers.eventually(has_told)
                yield running, told
            finally:
                running.kill()
    finally:
        os.close(told)


def test_a_killed_sync_leaves_whole_packages_only(dozen, tmp_path):
    for count in (1, 3, 6):
        with syncing(tmp_path, dozen, count) as (running, _):
            time.sleep(0.005 * count)
            running.kill()
        assert all(one.problem == "" for one in verify(tmp_path / "m"))
    again = ("sync", "roots", "--mirror", "m", "--from", dozen)
    assert "12 there" not in run(tmp_path, *again)
    assert len(unpacked(tmp_path / "m")) == 12
    assert list((tmp_path / ".m.sync").iterdir()) == []
    assert "0 added (0 bytes), 12 there" in run(tmp_path, *again)


def test_a_sync_disturbs_no_init(origin, tmp_path):
    mirror = tmp_path / "m"
    root(tmp_path / "roots" / "a", "1.0.0")
    run(tmp_path, "sync", "roots", "--mirror", mirror, "--from", origin)
    source = tmp_path / "source"
    for number in range(40):
        package = source / f"registry.terraform.io/acme/p{number}/1.0.0/{LINUX}"
        package.mkdir(parents=True)
        (package / f"terraform-provider-p{number}_v1.0.0").write_bytes(os.urandom(1 << 16))
    wanted = "".join(f'  p{n} = {{ source = "acme/p{n}" }}\n' for n in range(40))
    providers.write_root(
        tmp_path / "more", f"terraform {{\n required_providers {{\n{wanted} }}\n}}\n{TAIL}"
    )
    done = threading.Event()

    def inits(number: int) -> int:
        count = 0
        while not done.is_set() or count == 0:
            init(root(tmp_path / f"init-{number}-{count}", "1.0.0"), mirror)
            count += 1
        return count

    with ThreadPoolExecutor(5) as pool:
        counts = [pool.submit(inits, number) for number in range(5)]
        try:
            run(tmp_path, "sync", "more", "--mirror", mirror, "--from", source)
        finally:
            done.set()
        assert all(count.result() > 0 for count in counts)
    assert len(unpacked(mirror)) == 41
    assert package_hash(mirror / ONE.path)


def test_ctrl_c_ends_a_sync_in_order(dozen, tmp_path):
    with syncing(tmp_path, dozen, 1) as (running, told):
        running.send_signal(signal.SIGINT)
        # It may have a line to tell yet.
        while os.read(told, 1 << 16):
            pass
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert said == "stopped\n"
    assert 0 < len(unpacked(tmp_path / "m")) < 12
    assert all(one.problem == "" for one in verify(tmp_path / "m"))
    assert list((tmp_path / ".m.sync").iterdir()) == []


def test_a_disk_that_takes_no_more_leaves_nothing_half_done(dozen, tmp_path):
    prlimit = require_program("prlimit", "install util-linux")
    arguments = [COMMAND, "mirror", "sync", "roots", "--mirror", "m", "--from", dozen]
    done = subprocess.run(
        [prlimit, "--fsize=500000", *arguments],
        cwd=tmp_path, env=environment(tmp_path), timeout=60, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert unpacked(tmp_path / "m") == []
    assert list((tmp_path / ".m.sync").iterdir()) == []
