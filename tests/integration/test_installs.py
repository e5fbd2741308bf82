"""Versions are installed once, whole or not at all, whatever happens to whoever installs them."""

import json
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError, InstallRefused, InstallUnavailable
from driftfleet.installs.installer import NoInstaller
from tests.conftest import require_program
from tests.installers import (
    CALLERS,
    ONE_CALLER,
    Program,
    open_folder,
    says,
    soon,
    staged,
    start,
    waiting_threads,
)
from tests.workers import wait_until


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "installs"


def test_sixty_staggered_callers_get_one_install(folder: Path, tmp_path: Path) -> None:
    program = Program(tmp_path / "bin", code="unzip(0.06)")
    at = time.time() + 2
    callers = [start(CALLERS, folder, program.path, "1.5.7", "", n, at) for n in range(6)]
    answers = [answer for one in callers for answer in json.loads(one.communicate()[0])]
    assert answers == ["1.5.7"] * 60
    assert len(program.starts) == 1
    assert staged(folder) == []


def test_a_kill_in_the_middle_poisons_nothing(folder: Path, tmp_path: Path) -> None:
    slow = Program(tmp_path / "slow", code="unzip(0.5)")
    caller = start(ONE_CALLER, folder, slow.path, "1.5.7", "")
    assert wait_until(lambda: list(folder.glob(".staging/*/work/versions/1.5.7/terraform")), 60)
    caller.send_signal(signal.SIGKILL)
    caller.communicate()
    (left,) = staged(folder)
    quick = Program(tmp_path / "quick").installs(folder)
    assert quick.find("terraform", "1.5.7") is None
    assert quick.installed() == []
    assert says(quick.ensure("terraform", "1.5.7", soon())) == "1.5.7"
    assert staged(folder) == [], f"{left} is left"
    pid = slow.starts[0]["pid"]
    assert isinstance(pid, int)
    assert wait_until(lambda: not is_alive(pid), 30), "the killed caller's installer lives on"


def test_a_neighbour_that_still_installs_is_left_alone(folder: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = f"unzip(0)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    slow = Program(tmp_path / "slow", code=code)
    caller = start(ONE_CALLER, folder, slow.path, "1.5.7", "")
    assert wait_until(lambda: list(folder.glob(".staging/*/work/versions/1.5.7/terraform")), 60)
    other = Program(tmp_path / "quick").installs(folder)
    other.ensure("terraform", "1.6.0", soon())
    gate.touch()
    assert caller.communicate()[0] == f"{folder}/terraform/1.5.7/terraform\n"
    assert [one.version for one in other.installed()] == ["1.6.0", "1.5.7"]


def test_those_who_wait_for_an_install_that_fails_fail_with_it(
    folder: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = (
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "sys.exit('curl: (7) Failed to connect to releases port 443')"
    )
    program = Program(tmp_path / "bin", code=code)
    installs = program.installs(folder)
    errors: list[InstallUnavailable] = []

    def call() -> None:
        try:
            installs.ensure("terraform", "1.5.7", soon())
        except InstallUnavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: waiting_threads() == 4 and len(program.starts) == 1, 60)
    gate.touch()
    for thread in threads:
        thread.join()
    assert len(program.starts) == 1
    assert len(errors) == 5
    assert {"installs.remote" in error.message for error in errors} == {True}
    with pytest.raises(InstallUnavailable):
        installs.ensure("terraform", "1.5.7", soon())
    assert len(program.starts) == 2


def test_a_deadline_ends_the_installer_and_its_children(folder: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "os.write(os.open(PIDS, os.O_WRONLY | os.O_CREAT | os.O_APPEND), b'%d\\n' % os.getpid())\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('downloading', flush=True)\n"
        "time.sleep(600)\n"
    ).replace("PIDS", repr(str(pids)))
    installs = Program(tmp_path / "bin", code=code).installs(folder, timeout_seconds=8)
    with pytest.raises(InstallUnavailable, match=r"timeout_seconds(.|\n)*downloading"):
        installs.ensure("terraform", "1.5.7", soon())
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 2
    assert not any(is_alive(pid) for pid in started)
    assert staged(folder) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("content = content.replace(b'1.5.7', b'1.5.6'); unzip(0)", r"'1\.5\.6' is what was"),
        ("os.symlink('/bin/true', place)", "a link"),
        ("os.rmdir(os.path.dirname(place)); os.symlink('/bin', os.path.dirname(place)); "
         "place = '/bin/true'", "not where it should be"),
        ("pass", "not where it should be"),
        ("content = content[:20000]; unzip(0)", "does not run"),
        ("content = b'\\x7fELF' + bytes(100); unzip(0)", "another platform"),
        ("os.mkdir(place)", "a link"),
        ("print('No versions matching 1.5.7 found in remote'); sys.exit(1)", "no such version"),
    ],
)  # fmt: skip
def test_what_is_not_the_version_gets_no_place(
    folder: Path, tmp_path: Path, code: str, message: str
) -> None:
    installs = Program(tmp_path / "bin", code=code).installs(folder)
    with pytest.raises(InstallRefused, match=message):
        installs.ensure("terraform", "1.5.7", soon())
    assert installs.installed() == []
    assert not (folder / "terraform").exists()
    assert staged(folder) == []


def test_one_that_is_killed_while_it_tells_its_version_may_be_the_right_one(
    folder: Path, tmp_path: Path
) -> None:
    code = "content = b'#!/bin/sh\\nkill -KILL $$\\n'; unzip(0)"
    with pytest.raises(InstallUnavailable, match="was killed from outside"):
        Program(tmp_path / "bin", code=code).installs(folder).ensure("terraform", "1.5.7", soon())
    assert staged(folder) == []
    again = Program(tmp_path / "again").installs(folder)
    assert says(again.ensure("terraform", "1.5.7", soon())) == "1.5.7"


def test_an_installer_sees_nothing_of_ours_and_its_secrets_are_masked(
    folder: Path, tmp_path: Path
) -> None:
    ours = {
        "GITHUB_TOKEN": "ghp_" + "x" * 36,
        "DRIFTFLEET_BROKER__URL": "redis://:hunter22@redis",
        "BASH_ENV": "/evil",
        "TFENV_TERRAFORM_VERSION": "0.1.0",
        "HTTPS_PROXY": "http://user:proxypassword@proxy:3128",
        "LANG": "C.UTF-8",
    }
    program = Program(tmp_path / "bin", code="print(os.environ); sys.exit(1)")
    with pytest.raises(InstallUnavailable) as caught:
        open_folder(folder, program.tfenv(**ours)).ensure("terraform", "1.5.7", soon())
    (told,) = program.starts
    environment = told["environment"]
    assert isinstance(environment, dict)
    assert environment["HTTPS_PROXY"] == ours["HTTPS_PROXY"]
    assert not {"GITHUB_TOKEN", "DRIFTFLEET_BROKER__URL", "BASH_ENV"} & environment.keys()
    assert "TFENV_TERRAFORM_VERSION" not in environment
    assert environment["TFENV_AUTO_INSTALL"] == "false"
    assert environment["HOME"].startswith(str(folder / ".staging"))
    assert (told["words"], told["here"]) == (["install", "1.5.7"], [])
    assert "proxypassword" not in caught.value.message
    assert "HTTPS_PROXY" in caught.value.message


def test_a_version_that_is_there_needs_neither_installer_nor_a_writable_disk(
    folder: Path, tmp_path: Path
) -> None:
    Program(tmp_path / "bin").installs(folder).ensure("terraform", "1.5.7", soon())
    bwrap = str(require_program("bwrap", "apt-get install bubblewrap"))
    code = (
        "import sys; from pathlib import Path; from tests.installers import open_folder, soon\n"
        "from driftfleet.installs.tfenv import Tfenv\n"
        "installs = open_folder(Path(sys.argv[1]), Tfenv(Path('/none'), {}))\n"
        "with installs.use('terraform', '1.5.7', soon()) as path: print(path)\n"
        "try: installs.ensure('terraform', '1.6.0', soon())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    # As an image has it: without the locks of whoever installed.
    (folder / ".locks" / "terraform-1.5.7").unlink()
    told = start(
        code, folder, prefix=(bwrap, "--ro-bind", "/", "/", "--proc", "/proc")
    ).communicate()
    path, failure = told[0].splitlines()
    assert path == f"{folder}/terraform/1.5.7/terraform"
    assert failure.startswith("ConfigurationError terraform 1.6.0 can't be installed")
    assert "installs.folder" in failure


def test_a_full_disk_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    bwrap = str(require_program("bwrap", "apt-get install bubblewrap"))
    program = Program(tmp_path / "bin", code="content *= 100; unzip(0)")
    folder.mkdir(mode=0o700)
    code = (
        "import sys, os; from pathlib import Path; from tests.installers import open_folder, soon\n"
        "from driftfleet.installs.tfenv import Tfenv\n"
        "installs = open_folder(Path(sys.argv[1]), Tfenv(Path(sys.argv[2]), {}))\n"
        "try: installs.ensure('terraform', '1.5.7', soon())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(installs.installed(), os.listdir(sys.argv[1] + '/.staging'))\n"
    )
    own = str(tmp_path / "bin")
    prefix = (
        bwrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", own, own,
        "--size", str(1 << 20), "--tmpfs", str(folder),
    )  # fmt: skip
    out, err = start(code, folder, program.path, prefix=prefix).communicate()
    assert out.startswith("InstallUnavailable tfenv could not install terraform 1.5.7"), out + err
    assert "the disk is full" in out
    assert out.splitlines()[-1] == "[] []"


@pytest.mark.parametrize("damage", ["no binary", "no record", "shortened", "a link", "a file"])
def test_what_is_half_there_passes_for_none_and_is_replaced(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    program = Program(tmp_path / "bin")
    installs = program.installs(folder)
    binary = installs.ensure("terraform", "1.5.7", soon())
    if damage == "no binary":
        binary.unlink()
    elif damage == "no record":
        (binary.parent / "installed.json").unlink()
    elif damage == "shortened":
        os.truncate(binary, 100)
    elif damage == "a link":
        binary.rename(tmp_path / "moved")
        binary.symlink_to(tmp_path / "moved")
    else:
        os.rename(binary.parent, tmp_path / "moved")
        binary.parent.write_text("")
    assert installs.find("terraform", "1.5.7") is None
    assert installs.installed() == []
    assert says(installs.ensure("terraform", "1.5.7", soon())) == "1.5.7"
    assert len(program.starts) == 2
    assert stat.S_IMODE(binary.stat().st_mode) == 0o555


def test_a_version_that_others_may_write_to_is_not_run(folder: Path, tmp_path: Path) -> None:
    installs = Program(tmp_path / "bin").installs(folder)
    installs.ensure("terraform", "1.5.7", soon())
    (folder / "terraform").chmod(0o777)
    with pytest.raises(ConfigurationError, match="writable by others"):
        installs.ensure("terraform", "1.5.7", soon())


def test_without_an_installer_the_error_says_so_and_what_is_there_is_used(
    folder: Path, tmp_path: Path
) -> None:
    Program(tmp_path / "bin").installs(folder).ensure("terraform", "1.3.0", soon())
    poor = open_folder(folder, NoInstaller("nothing can install it: put tfenv on the PATH"))
    assert says(poor.ensure("terraform", "1.3.0", soon())) == "1.3.0"
    with pytest.raises(ConfigurationError, match=r"terraform 1\.4\.0 is not .* put tfenv on"):
        poor.ensure("terraform", "1.4.0", soon())
