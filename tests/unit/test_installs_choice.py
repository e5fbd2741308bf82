"""Which words get into paths and arguments, what installs where, and what its output becomes."""

import os
from pathlib import Path

import pytest

from driftfleet.configuration import environment_of, load_settings
from driftfleet.errors import ConfigurationError, InstallRefused
from driftfleet.installs.choice import find_installer, open_installs
from driftfleet.installs.installer import NoInstaller
from driftfleet.installs.output import readable, remedy, says_no
from driftfleet.installs.remote import parse_remote
from driftfleet.installs.tenv import Tenv
from driftfleet.installs.tfenv import find_tfenv
from driftfleet.installs.version import is_exact
from driftfleet.settings import Settings
from driftfleet.version_settings import InstallSettings
from tests.installers import Program, open_folder, soon


@pytest.mark.parametrize(
    "version",
    ["1.5.7", "0.11.15-oci", "1.6.0-beta1", "1.12.0-alpha20250213", "1.0.0-rc.1", "0.0.0"],
)
def test_exact_versions(version: str) -> None:
    assert is_exact(version)


@pytest.mark.parametrize(
    "version",
    [
        "", "1", "1.5", "v1.5.7", "1.5.7\n", "1.5.7 ", "01.5.7", "1.5.7.8", "latest", "latest:^1",
        "min-required", "../../x", "1.5.7/../..", "1.5.7-", "1.5.7-..", "1.5.7-a..b", "-h",
        "1.5.7+ent", "1.5.7-\N{LATIN SMALL LETTER E WITH ACUTE}", "\u0661.5.7", "1.5.7-" + "a" * 40,
        "1.5.7;id", "$(id)", "1.5.1234567",
    ],
)  # fmt: skip
def test_anything_else_is_refused_before_it_is_in_a_path(tmp_path: Path, version: str) -> None:
    installs = open_folder(tmp_path / "installs", NoInstaller("never asked"))
    assert not is_exact(version)
    for ask in (installs.find, lambda p, v: installs.ensure(p, v, soon())):
        with pytest.raises(InstallRefused, match="no exact version"):
            ask("terraform", version)
    with pytest.raises(InstallRefused), installs.use("terraform", version, soon()):
        pass
    with pytest.raises(InstallRefused, match="none of terraform, tofu"):
        installs.find("../terraform", "1.5.7")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_remote_is_taken_apart() -> None:
    remote = parse_remote("https://us%20er:p%40ss%3Aw%22%5Crd@Mirror:8443/a/b/", "installs.remote")
    assert (remote.url, remote.host) == ("https://mirror:8443/a/b", "mirror")
    assert (remote.user, remote.password) == ("us er", 'p@ss:w"\\rd')
    assert remote.netrc() == b'machine mirror login "us er" password "p@ss:w\\"\\\\rd"\n'
    assert "p@ss" not in repr(remote)
    assert parse_remote("http://[::1]:80", "x").url == "http://[::1]:80"
    assert parse_remote("http://h", "x").secrets == ()


@pytest.mark.parametrize(
    "url",
    ["mirror", "ftp://h", "https://", "https://u:geheim@", "https://h:port", "https://h/?a=geheim",
     "https://u:ge%0aheim@h", "-K/etc", "https://h/a b", "file:///etc"],
)  # fmt: skip
def test_what_is_no_remote_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"installs\.remote must be") as caught:
        parse_remote(url, "installs.remote")
    assert "geheim" not in caught.value.message


def test_an_output_becomes_short_and_readable() -> None:
    output = (
        b"\x1b[31mInstalling\x1b[0m\n\n"
        b"#=#=#  \r##       3.1%\r######## 100.0%\r\n"
        b"same\nsame\n" + b"y" * 1000 + b"\nhttps://me:hunter22@h/ \x07 and swordfish\n\xff\n"
    )
    assert readable(output, ["swordfish", ""]).splitlines() == [
        "  Installing",
        "  same",
        "  " + "y" * 300,
        "  https://***@h/   and ***",
        "  \N{REPLACEMENT CHARACTER}",
    ]
    assert len(readable(b"\n".join(b"line %d" % n for n in range(99))).splitlines()) == 12
    assert "nothing" in readable(b"")


@pytest.mark.parametrize(
    ("said", "wanted", "final"),
    [
        ("tfenv: [ERROR] No versions matching '1.0.0' found in remote", "no such version", True),
        (
            "curl: (7) Failed to connect to h port 80\n[ERROR] Failed to download remote versions\n"
            "[ERROR] No versions matching '1.0.0' found in remote",
            "HTTPS_PROXY",
            False,
        ),
        ("curl: (22) The requested URL returned error: 401", "credentials", False),
        ("curl: (60) SSL certificate problem: unable to get", "SSL_CERT_FILE", False),
        ("tfenv: [ERROR] PGP signature rejected", "not its publisher's", True),
        ("tfenv: [ERROR] SHA256SUMS signature download failed", "verify_signatures", False),
        (
            "tfenv: Not instructed to use Local PGP, skipping OpenPGP signature verification\n"
            "tfenv: [ERROR] SHA256 hash does not match!",
            "SHA256SUMS",
            True,
        ),
        ("Installation failed: invalid pgp signature", "not its publisher's", True),
        ("searched asset not found: tofu_9.9.9_linux_amd64.zip", "no such version", True),
        ("you are rate-limited by GitHub. Consider using a token", "tofu_remote", False),
        ("write error (disk full?)\nunzip: No space left on device", "the disk is full", False),
        ("tfenv-install: line 3: unzip: command not found", "a program that is missing", False),
        ("???", "by hand", False),
    ],
)
def test_what_it_said_decides_what_to_do(said: str, wanted: str, final: bool) -> None:
    assert wanted in remedy(said.encode())
    assert says_no(said.encode()) is final


def settings(**installs: object) -> InstallSettings:
    return InstallSettings.model_validate(installs)


def ask(installer_settings: InstallSettings, path: Path, folder: Path, program: str) -> None:
    installer = find_installer(installer_settings, {"PATH": f"{path}:{os.environ['PATH']}"})
    open_folder(folder, installer).ensure(program, "1.6.2", soon())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "there", "program", "used"),
    [
        ("auto", ["tfenv", "tenv"], "terraform", "tfenv"),
        ("auto", ["tfenv", "tenv"], "tofu", "tenv"),
        ("auto", ["tenv"], "terraform", "tenv"),
        ("tenv", ["tfenv", "tenv"], "terraform", "tenv"),
        ("tfenv", ["tfenv", "tenv"], "terraform", "tfenv"),
    ],
)
def test_who_installs(
    tmp_path: Path, choice: str, there: list[str], program: str, used: str
) -> None:
    made = {name: Program(tmp_path / "bin", name) for name in there}
    ask(settings(installer=choice), tmp_path / "bin", tmp_path / "installs", program)
    assert {name: len(one.starts) for name, one in made.items()} == {
        name: int(name == used) for name in there
    }


@pytest.mark.parametrize(
    ("choice", "there", "program", "wanted"),
    [
        ("none", ["tfenv"], "terraform", "installs.installer is none"),
        ("auto", [], "terraform", "tfenv .* DRIFTFLEET_TFENV, or put tenv"),
        ("auto", [], "tofu", "put tenv"),
        ("auto", ["tfenv"], "tofu", "tfenv installs Terraform only"),
        ("tenv", ["tfenv"], "terraform", "put tenv"),
        ("tfenv", ["tenv"], "terraform", "put tfenv"),
    ],
)
def test_what_to_set_up_where_nothing_installs(
    tmp_path: Path, choice: str, there: list[str], program: str, wanted: str
) -> None:
    for name in there:
        Program(tmp_path / "bin", name)
    with pytest.raises((ConfigurationError, InstallRefused), match=wanted):
        ask(settings(installer=choice), tmp_path / "bin", tmp_path / "installs", program)


def test_tfenv_is_found_by_its_program_or_its_folder(tmp_path: Path) -> None:
    program = Program(tmp_path / "tfenv" / "bin").path
    for named in (program, tmp_path / "tfenv"):
        assert find_tfenv({"DRIFTFLEET_TFENV": str(named), "PATH": ""}) == program
    assert find_tfenv({"PATH": str(program.parent)}) == program
    assert find_tfenv({"PATH": str(tmp_path)}) is None
    with pytest.raises(ConfigurationError, match="DRIFTFLEET_TFENV names"):
        find_tfenv({"DRIFTFLEET_TFENV": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("program", "words", "prefix"), [("terraform", "tf", "TFENV_"), ("tofu", "tofu", "TOFUENV_")]
)
def test_tenv_gets_its_own_variables(tmp_path: Path, program: str, words: str, prefix: str) -> None:
    tenv = Program(tmp_path / "bin", "tenv")
    remote = parse_remote("https://me:geheim@mirror/x", "installs.remote")
    installer = Tenv(
        tenv.path,
        {"PATH": os.environ["PATH"], "TENV_GITHUB_TOKEN": "x"},
        remotes={"terraform": remote, "tofu": remote},
        verify_signatures=False,
    )
    installs = open_folder(tmp_path / "installs", installer)
    installs.ensure(program, "1.6.2", soon())  # type: ignore[arg-type]
    found = installs.installable(program, soon())  # type: ignore[arg-type]
    assert [str(one) for one in found.versions] == ["1.5.7"]
    assert [told["words"] for told in tenv.starts] == [
        [words, "install", "1.6.2"],
        [words, "list-remote"],
    ]
    for told in tenv.starts:
        environment = told["environment"]
        assert isinstance(environment, dict)
        own = {
            k: v for k, v in environment.items() if k.startswith(("TENV_", "TFENV_", "TOFUENV_"))
        }
        assert own.pop("TENV_ROOT").startswith(f"{tmp_path}/installs/.staging/")
        assert own == {
            "TENV_AUTO_INSTALL": "false",
            "TENV_SKIP_LAST_USE": "true",
            "TENV_VALIDATION": "sha",
            f"{prefix}REMOTE": "https://mirror/x",
            f"{prefix}INSTALL_MODE": "direct",
            f"{prefix}LIST_MODE": "html",
            f"{prefix}REMOTE_USER": "me",
            f"{prefix}REMOTE_PASSWORD": "geheim",
        }


def test_the_settings_travel_to_another_process_with_the_password(tmp_path: Path) -> None:
    url = "https://me:geheim@mirror/x"
    given = {"folder": str(tmp_path), "remote": url, "verify_signatures": True, "limit_bytes": 5}
    told = Settings.model_validate({"installs": given})
    assert "geheim" not in repr(told)
    assert load_settings(environment=environment_of(told)).installs == told.installs


def test_a_relative_folder_counts_from_the_file_and_the_default_is_in_the_writable_root(
    tmp_path: Path,
) -> None:
    config = tmp_path / "fleet.yaml"
    config.write_text("installs: {folder: versions}\n")
    assert open_installs(load_settings(config, {}), {}).folder == tmp_path / "versions"
    config.write_text("worker: {writable_root: /var/w}\n")
    assert open_installs(load_settings(config, {}), {}).folder == Path("/var/w/installs")
