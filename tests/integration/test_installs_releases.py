"""Real binaries through installers, and the real tfenv against a releases mirror on loopback."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from driftfleet.configuration import process_environment
from driftfleet.errors import InstallRefused, InstallUnavailable
from driftfleet.installs.installer import find_program
from driftfleet.installs.remote import parse_remote
from driftfleet.installs.tenv import Tenv
from driftfleet.installs.tfenv import Tfenv
from tests.binaries import old_terraform, opentofu
from tests.conftest import lacking
from tests.installers import (
    CALLERS,
    ONE_CALLER,
    Program,
    open_folder,
    own_terraform,
    soon,
    staged,
    start,
)
from tests.releases import Releases
from tests.workers import wait_until

COPY = "content = open({!r}, 'rb').read(); unzip(0)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "installs"


def test_the_terraform_of_this_machine(folder: Path, tmp_path: Path) -> None:
    terraform, version = own_terraform()
    program = Program(tmp_path / "bin", code=COPY.format(str(terraform)))
    path = program.installs(folder).ensure("terraform", version, soon())
    assert path.read_bytes() == terraform.read_bytes()
    with pytest.raises(InstallRefused, match="what was installed"):
        program.installs(folder).ensure("terraform", "1.5.99", soon())


def test_opentofu(folder: Path, tmp_path: Path) -> None:
    tofu = opentofu()
    program = Program(tmp_path / "bin", "tenv", COPY.format(str(tofu)))
    installs = open_folder(folder, Tenv(program.path, {"PATH": os.environ["PATH"]}))
    assert installs.ensure("tofu", "1.6.2", soon()) == folder / "tofu" / "1.6.2" / "tofu"


def test_terraform_in_the_place_of_opentofu_is_refused(folder: Path, tmp_path: Path) -> None:
    terraform, version = own_terraform()
    program = Program(tmp_path / "bin", "tenv", COPY.format(str(terraform)))
    installs = open_folder(folder, Tenv(program.path, {"PATH": os.environ["PATH"]}))
    with pytest.raises(InstallRefused, match=f"Terraform '{version}' is what was installed"):
        installs.ensure("tofu", version, soon())


def test_a_terraform_so_old_that_it_knows_no_json(folder: Path, tmp_path: Path) -> None:
    terraform = old_terraform()
    program = Program(tmp_path / "bin", code=COPY.format(str(terraform)))
    installs = program.installs(folder)
    installs.ensure("terraform", "0.11.11", soon())
    with pytest.raises(InstallRefused, match=r"'0\.11\.11' is what was installed"):
        installs.ensure("terraform", "0.11.12", soon())


def test_credentials_of_a_remote_are_in_no_argument_no_variable_and_no_file(
    folder: Path, tmp_path: Path
) -> None:
    # Read twice, as by each curl that tfenv starts.
    code = (
        "for _ in range(2):\n"
        "    assert open(os.environ['TFENV_NETRC_PATH']).read() == "
        '\'machine mirror login "me" password "geheim"\\n\'\n'
        "unzip(0)\n"
    )
    program = Program(tmp_path / "bin", code=code)
    remote = parse_remote("https://me:geheim@mirror/x", "installs.remote")
    installs = open_folder(folder, Tfenv(program.path, process_environment(), remote=remote))
    installs.ensure("terraform", "1.5.7", soon())
    (told,) = program.starts
    assert "geheim" not in json.dumps(told)
    environment = told["environment"]
    assert isinstance(environment, dict)
    assert environment["TFENV_REMOTE"] == "https://mirror/x"
    assert environment["TFENV_NETRC_PATH"].startswith("/proc/self/fd/")


def real(tfenv: Path, releases: Releases, userinfo: str = "", verify: bool | None = False) -> Tfenv:
    return Tfenv(
        tfenv, process_environment(), remote=releases.remote(userinfo), verify_signatures=verify
    )


def test_tfenv_installs_from_a_mirror_and_reads_no_file_of_a_repository(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform, version = own_terraform()
    releases.add(version, terraform)
    (tmp_path / ".terraform-version").write_text("../../evil\n")
    monkeypatch.chdir(tmp_path)
    installs = open_folder(folder, real(tfenv, releases))
    path = installs.ensure("terraform", version, soon())
    assert path == folder / "terraform" / version / "terraform"
    assert path.read_bytes() == terraform.read_bytes()
    assert staged(folder) == []
    asked = len(releases.asked)
    assert installs.ensure("terraform", version, soon()) == path
    assert len(releases.asked) == asked


def test_tfenv_takes_nothing_unsigned_unless_told_so(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases
) -> None:
    if find_program("gpgv", process_environment()) is None:
        lacking("no gpgv: apt-get install gpgv")
    terraform, version = own_terraform()
    releases.add(version, terraform)
    with pytest.raises(InstallUnavailable, match=r"installs\.verify_signatures: false"):
        open_folder(folder, real(tfenv, releases, verify=None)).ensure("terraform", version, soon())
    sums = releases.folder / "terraform" / version / f"terraform_{version}_SHA256SUMS"
    sums.with_name(f"{sums.name}.72D7468F.sig").write_bytes(b"no signature")
    with pytest.raises(InstallRefused, match="PGP signature rejected"):
        open_folder(folder, real(tfenv, releases, verify=True)).ensure("terraform", version, soon())
    assert not (folder / "terraform").exists()


def test_tfenv_and_a_mirror_that_wants_credentials(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases
) -> None:
    terraform, version = own_terraform()
    releases.add(version, terraform)
    releases.credentials = 'me:ge"h eim'
    with pytest.raises(InstallUnavailable, match="wants credentials"):
        open_folder(folder, real(tfenv, releases)).ensure("terraform", version, soon())
    installer = real(tfenv, releases, "me:ge%22h%20eim@")
    with pytest.raises(InstallRefused, match="no such version") as caught:
        open_folder(folder, installer).ensure("terraform", "1.0.0", soon())
    assert "eim" not in caught.value.message
    assert open_folder(folder, installer).ensure("terraform", version, soon()).exists()


def test_tfenv_and_an_archive_that_is_not_what_it_should_be(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases
) -> None:
    terraform, version = own_terraform()
    releases.add("1.5.7", terraform)
    releases.add("1.5.8", terraform)
    releases.add("1.5.9", terraform, name="LICENSE.txt")
    (archive,) = (releases.folder / "terraform" / "1.5.8").glob("*.zip")
    archive.write_bytes(archive.read_bytes() + b"x")
    installs = open_folder(folder, real(tfenv, releases))
    for asked, message in (
        ("1.5.7", f"'{version}' is what was installed"),
        ("1.5.8", "SHA256SUMS says"),
        ("1.5.9", "not where it should be"),
    ):
        with pytest.raises(InstallRefused, match=message):
            installs.ensure("terraform", asked, soon())
    assert installs.installed() == []


def test_tfenv_lists_what_a_mirror_has(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases
) -> None:
    installer = real(tfenv, releases, "me:ge%22h%20eim@")
    with pytest.raises(InstallUnavailable, match=r"installs\.remote must name the folder"):
        open_folder(tmp_path / "a", installer).installable("terraform", soon())
    terraform, _ = own_terraform()
    for version in ("1.5.7", "1.12.0-beta1", "1.13.0"):
        releases.add(version, terraform)
    releases.credentials = 'me:ge"h eim'
    with pytest.raises(InstallUnavailable, match="wants credentials"):
        open_folder(tmp_path / "b", real(tfenv, releases)).installable("terraform", soon())
    releases.asked.clear()
    for _ in range(2):
        found = open_folder(folder, installer).installable("terraform", soon())
        assert sorted(map(str, found.versions)) == ["1.12.0-beta1", "1.13.0", "1.5.7"]
    assert releases.asked == ["/terraform/"]
    assert staged(folder) == []


def test_tfenv_and_a_remote_that_is_away(folder: Path, tfenv: Path, releases: Releases) -> None:
    away = replace(releases, port=1)
    with pytest.raises(InstallUnavailable, match="releases could not be reached"):
        open_folder(folder, real(tfenv, away)).installable("terraform", soon())


def test_sixty_staggered_callers_get_one_install_from_tfenv(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases
) -> None:
    terraform, version = own_terraform()
    releases.add(version, terraform)
    url, at = releases.remote().url, time.time() + 2
    callers = [start(CALLERS, folder, tfenv, version, url, n, at) for n in range(6)]
    answers = [answer for one in callers for answer in json.loads(one.communicate()[0])]
    assert answers == [version] * 60
    assert len([path for path in releases.asked if path.endswith(".zip")]) == 1


def test_a_kill_while_tfenv_unzips_poisons_nothing(
    folder: Path, tmp_path: Path, tfenv: Path, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform, version = own_terraform()
    releases.add(version, terraform)
    # Never done, however late the kill comes.
    slow = tmp_path / "path" / "unzip"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\n{shutil.which("unzip")} "$@"\nexec sleep 600\n')
    slow.chmod(0o755)
    with monkeypatch.context() as slowly:
        slowly.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
        caller = start(ONE_CALLER, folder, tfenv, version, releases.remote().url)
    half = f".staging/*/work/versions/{version}/terraform"
    assert wait_until(lambda: list(folder.glob(half)), 60)
    caller.send_signal(signal.SIGKILL)
    caller.communicate()
    installs = open_folder(folder, real(tfenv, releases))
    assert installs.installed() == []
    path = installs.ensure("terraform", version, soon())
    assert path.read_bytes() == terraform.read_bytes()
    assert staged(folder) == []
