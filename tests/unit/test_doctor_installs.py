"""What a doctor says of versions: what installs them, and where they are."""

import os
from pathlib import Path

import pytest

from driftfleet.settings import Settings
from producer.doctor.examination import Doctor, examine
from producer.doctor.findings import Finding
from producer.doctor.installs import installed, installer
from producer.doctor.machine import terraform
from tests.conftest import require_program
from tests.installers import Program, soon, start


def look(path: Path, there: list[str], **installs: object) -> Finding:
    """What is said of an installer where these programs are on the PATH."""
    path.mkdir()
    for name in there:
        (path / name).write_text("#!/bin/sh\n")
        (path / name).chmod(0o755)
    settings = Settings.model_validate({"installs": installs})
    return installer(settings, {"PATH": str(path)})


@pytest.mark.parametrize(
    ("there", "choice", "level", "words"),
    [
        (["tfenv", "gpgv"], "auto", "ok", "tfenv at BIN/tfenv (Terraform, not OpenTofu); "
         "signatures are checked with BIN/gpgv"),
        (["tfenv", "tenv", "gpgv"], "auto", "ok", "tenv at BIN/tenv (OpenTofu)"),
        (["tfenv", "tenv"], "tenv", "ok", "tenv at BIN/tenv (Terraform and OpenTofu); checks"),
        (["tfenv"], "auto", "warn", "without gpgv it checks no signatures"),
        (["tenv"], "tfenv", "warn", "nothing here installs versions"),
        ([], "auto", "warn", "nothing here installs versions"),
        ([], "none", "skip", "only what is there can plan"),
    ],
)  # fmt: skip
def test_an_installer_is_named_with_its_path(
    tmp_path: Path, there: list[str], choice: str, level: str, words: str
) -> None:
    found = look(tmp_path / "bin", there, installer=choice)
    assert found.level == level
    assert words.replace("BIN", str(tmp_path / "bin")) in found.finding
    assert bool(found.mend) == (level == "warn")


def test_signatures_that_must_be_checked_need_gpgv(tmp_path: Path) -> None:
    found = look(tmp_path / "a", ["tfenv"], verify_signatures=True)
    assert (found.level, "package gpgv" in found.mend) == ("fail", True)
    assert look(tmp_path / "b", ["tfenv"], verify_signatures=False).level == "ok"


def test_what_is_wrongly_set_is_named_without_its_secret(tmp_path: Path) -> None:
    found = look(tmp_path / "a", ["tfenv"], remote="ftp://me:geheim@h")
    assert (found.level, "installs.remote" in found.finding) == ("fail", True)
    assert "geheim" not in str(found)
    found = installer(Settings(), {"PATH": "", "DRIFTFLEET_TFENV": str(tmp_path / "none")})
    assert (found.level, "DRIFTFLEET_TFENV" in found.finding) == ("fail", True)


def of(folder: Path) -> Finding:
    return installed(Settings.model_validate({"installs": {"folder": str(folder)}}), {"PATH": ""})


def test_installed_versions_are_counted_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "installs"
    assert of(folder).finding == f"{folder}: 0 installed, not made yet"
    assert not folder.exists(), "a doctor changes nothing"
    installs = Program(tmp_path / "bin").installs(folder)
    for version in ("1.5.7", "1.6.0"):
        installs.ensure("terraform", version, soon())
    assert (of(folder).level, "2 installed" in of(folder).finding) == ("ok", True)
    (folder / "terraform").chmod(0o777)
    found = of(folder)
    assert (found.level, found.mend.startswith("take those rights away")) == ("fail", True)


def test_a_file_in_place_of_a_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert of(tmp_path / "file" / "installs").level == "fail"


@pytest.mark.parametrize(("installer", "level"), [("auto", "warn"), ("none", "ok")])
def test_a_folder_that_is_read_only_is_told_with_the_mend(
    tmp_path: Path, installer: str, level: str
) -> None:
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    Program(tmp_path / "bin").installs(tmp_path / "i").ensure("terraform", "1.5.7", soon())
    code = (
        "import sys\n"
        "from driftfleet.settings import Settings\n"
        "from producer.doctor.installs import installed\n"
        "installs = {'folder': sys.argv[1], 'installer': sys.argv[2]}\n"
        "settings = Settings.model_validate({'installs': installs})\n"
        "print(installed(settings, {'PATH': ''}).model_dump_json())\n"
    )
    world = (str(bwrap), "--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/var/tmp")
    said, problems = start(code, tmp_path / "i", installer, prefix=world).communicate()
    assert said, problems
    found = Finding.model_validate_json(said)
    assert (found.level, "1 installed" in found.finding) == (level, True)
    assert ("driftfleet versions --install" in found.mend) == (level == "warn")


def test_both_are_part_of_an_examination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    found = {finding.what for finding in examine(Doctor(None, [], environment))}
    assert {"installer", "versions"} <= found


@pytest.mark.parametrize(
    ("there", "default", "level", "words"),
    [
        ([], "", "fail", "no program here"),
        (["tfenv"], "", "warn", "a root that asks for no version"),
        (["tfenv"], "1.5.7", "ok", "terraform.default 1.5.7"),
    ],
)
def test_what_plans_may_be_installed_for_each_root(
    tmp_path: Path, there: list[str], default: str, level: str, words: str
) -> None:
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    told = {
        "worker": {"terraform": "no-such-terraform", "writable_root": str(tmp_path / "w")},
        "terraform": {"default": default},
    }
    found = terraform(Settings.model_validate(told), {"PATH": str(tmp_path)})
    assert (found.level, words in found.finding) == (level, True), found


def test_where_opentofu_is_all_there_is_it_plans(tmp_path: Path) -> None:
    (tmp_path / "tofu").write_text('#!/bin/sh\necho \'{"terraform_version": "1.8.2"}\'\n')
    (tmp_path / "tofu").chmod(0o755)
    told = Settings.model_validate({"worker": {"terraform": "no-such-terraform"}})
    found = terraform(told, {"PATH": str(tmp_path)})
    assert (found.level, found.finding) == ("ok", f"1.8.2 at {tmp_path / 'tofu'}")


def test_an_installer_that_is_wrongly_set_ends_no_examination() -> None:
    told = Settings.model_validate({"worker": {"terraform": "no-such-terraform"}})
    found = terraform(told, {"PATH": "", "DRIFTFLEET_TFENV": "/none"})
    assert (found.level, "no program here" in found.finding) == ("fail", True)
