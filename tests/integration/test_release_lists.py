"""What could be installed: asked once for a host, bounded, and kept where the remote is away."""

import json
import threading
import time
from pathlib import Path

import pytest

from driftfleet.errors import InstallUnavailable
from driftfleet.installs.folder import Installs
from driftfleet.installs.remote import parse_remote
from driftfleet.installs.tfenv import Tfenv
from tests.conftest import require_program
from tests.installers import Clock, Program, open_folder, soon, staged, start, waiting_threads
from tests.workers import wait_until

LISTED = "print('1.13.0\\n1.12.0-beta1\\n1.5.7')"
AWAY = "print('curl: (7) Failed to connect to mirror', file=sys.stderr); sys.exit(1)"
# What it prints is in a file beside it; without that the remote is away.
SWITCHED = (
    "text = open({0!r}).read() if os.path.exists({0!r}) else ''\n"
    "print(text or 'curl: (7) Failed to connect to mirror')\n"
    "sys.exit(not text)"
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """What the remote lists; remove it, and the remote is away."""
    path = tmp_path / "listed"
    path.write_text("1.13.0\n1.5.7\n")
    return path


@pytest.fixture
def program(tmp_path: Path, listed: Path) -> Program:
    return Program(tmp_path / "bin", listing=SWITCHED.format(str(listed)))


@pytest.fixture
def installs(tmp_path: Path, program: Program, clock: Clock) -> Installs:
    return Installs(tmp_path / "installs", program.tfenv(), clock=clock)


def told(installs: Installs) -> list[str]:
    return [str(one) for one in installs.installable("terraform", soon()).versions]


def test_a_list_is_asked_for_once_and_anew_when_it_is_old(
    installs: Installs, program: Program, clock: Clock, listed: Path
) -> None:
    assert [told(installs) for _ in range(3)] == [["1.13.0", "1.5.7"]] * 3
    again = Installs(installs.folder, program.tfenv(), clock=clock)
    clock.now += 3599
    assert told(again) == ["1.13.0", "1.5.7"]
    assert program.asked("list-remote") == 1
    listed.write_text("1.14.0\n")
    clock.now += 1
    assert told(again) == ["1.14.0"]
    assert program.asked("list-remote") == 2
    assert staged(installs.folder) == []
    # A clock that was set back makes no list young for ever.
    clock.now -= 86400
    assert told(again) == ["1.14.0"]
    assert program.asked("list-remote") == 3


def test_the_installer_runs_where_no_repository_can_have_put_a_file(
    tmp_path: Path, installs: Installs, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".terraform-version").write_text("../../evil\n")
    monkeypatch.chdir(tmp_path)
    told(installs)
    (run,) = program.starts
    assert (run["words"], run["here"]) == (["list-remote"], [])
    environment = run["environment"]
    assert isinstance(environment, dict)
    assert environment["TFENV_CONFIG_DIR"].startswith(f"{installs.folder}/.staging/")
    assert environment["TFENV_AUTO_INSTALL"] == "false"


def test_where_the_remote_is_away_the_last_list_serves_and_nobody_waits_again(
    installs: Installs, program: Program, clock: Clock, listed: Path
) -> None:
    told(installs)
    listed.unlink()
    clock.now += 2 * 3600
    found = installs.installable("terraform", soon())
    assert [str(one) for one in found.versions] == ["1.13.0", "1.5.7"]
    assert "2.0 hours old" in found.stale
    assert "Failed to connect" in found.stale
    clock.now += 59
    assert "Failed to connect" in installs.installable("terraform", soon()).stale
    assert program.asked("list-remote") == 2
    listed.write_text("1.14.0\n")
    clock.now += 1
    found = installs.installable("terraform", soon())
    assert ([str(one) for one in found.versions], found.stale) == (["1.14.0"], "")


def test_without_a_list_a_remote_that_is_away_is_an_error_that_may_pass(
    installs: Installs, program: Program, clock: Clock, listed: Path
) -> None:
    listed.unlink()
    for _ in range(3):
        with pytest.raises(InstallUnavailable, match="HTTPS_PROXY") as caught:
            told(installs)
        assert "could not list the releases of Terraform" in caught.value.message
    assert "tried again after a minute" in caught.value.message
    assert program.asked("list-remote") == 1
    listed.write_text("1.13.0\n")
    mended = installs.installable("terraform", soon(), insist=True)
    assert [str(one) for one in mended.versions] == ["1.13.0"]
    (installs.folder / ".releases" / "terraform.json").unlink()
    listed.unlink()
    with pytest.raises(InstallUnavailable):
        told(installs)
    listed.write_text("1.13.0\n")
    clock.now += 60
    assert told(installs) == ["1.13.0"]


def test_a_check_that_has_no_time_left_says_nothing_of_the_remote(
    tmp_path: Path, listed: Path
) -> None:
    program = Program(tmp_path / "slow", listing=f"time.sleep(2); {SWITCHED.format(str(listed))}")
    installs = program.installs(tmp_path / "installs")
    with pytest.raises(InstallUnavailable):
        installs.installable("terraform", time.monotonic() + 0.5)
    assert told(installs) == ["1.13.0", "1.5.7"]


def test_what_hangs_is_ended_with_the_deadline(tmp_path: Path) -> None:
    program = Program(tmp_path / "bin", listing="time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(InstallUnavailable, match="list the releases of Terraform, was not done"):
        program.installs(tmp_path / "installs").installable("terraform", began + 1)
    assert time.monotonic() - began < 60
    assert staged(tmp_path / "installs") == []


@pytest.mark.parametrize("code", [LISTED, AWAY])
def test_of_all_who_ask_at_once_one_asks_and_its_failure_is_everybodys(
    tmp_path: Path, code: str
) -> None:
    gate = tmp_path / "gate"
    gated = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n{code}"
    program = Program(tmp_path / "bin", listing=gated)
    answers: list[str] = []

    def ask() -> None:
        installs = open_folder(tmp_path / "installs", program.tfenv())
        try:
            answers.append(str(max(installs.installable("terraform", soon()).versions)))
        except InstallUnavailable as error:
            answers.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: waiting_threads() == 7, 60)
    gate.touch()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1, answers
    assert program.asked("list-remote") == 1


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("print('1.5.7\\n' * 200_000)", "no such list"),
        ("print('\\n'.join(f'1.{n}.0' for n in range(5001)))", "more than 5,000 versions"),
        ("print('<html>log in</html>')", "lists no release"),
        ("pass", "lists no release"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, code: str, wanted: str) -> None:
    installs = Program(tmp_path / "bin", listing=code).installs(tmp_path / "installs")
    with pytest.raises(InstallUnavailable, match=wanted):
        installs.installable("terraform", soon())


def test_only_versions_are_taken_from_a_list(tmp_path: Path) -> None:
    lines = (
        "Fetching all releases from https://h/", "1.5.7 (installed)", "../../1.6.0", "1.7",
        "v1.8.0", "latest", "01.9.0", "1.10.0\\x1b[2J", "-1.11.0", "1.5.7", "1.12.0-rc1",
        "1.13.0-01",
    )  # fmt: skip
    code = f"print({chr(10).join(lines)!r}); sys.stdout.buffer.write(b'\\xff\\n1.4.6\\n')"
    code = f"sys.stdout.reconfigure(line_buffering=True); {code}"
    installs = Program(tmp_path / "bin", listing=code).installs(tmp_path / "installs")
    assert told(installs) == ["1.5.7", "1.12.0-rc1", "1.4.6"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"versions": ["9.9.9"]}', '{"versions": 1}', "[" * 200_000],
)
def test_a_file_that_we_never_wrote_is_no_list(installs: Installs, text: str) -> None:
    told(installs)
    (installs.folder / ".releases" / "terraform.json").write_text(text)
    assert told(installs) == ["1.13.0", "1.5.7"]


@pytest.mark.parametrize(
    ("name", "value"), [("listed_at", "1" + "0" * 400), ("failure", r'"\ud800"')]
)
def test_a_list_that_holds_what_nobody_can_count_or_print_is_none(
    installs: Installs, program: Program, name: str, value: str
) -> None:
    told(installs)
    kept = installs.folder / ".releases" / "terraform.json"
    fields = {key: json.dumps(one) for key, one in json.loads(kept.read_text()).items()}
    text = ", ".join(f'"{key}": {one}' for key, one in {**fields, name: value}.items())
    kept.write_text("{" + text + "}")
    assert told(installs) == ["1.13.0", "1.5.7"]
    assert program.asked("list-remote") == 2


def test_no_link_is_followed_to_a_list(installs: Installs, tmp_path: Path) -> None:
    told(installs)
    kept = installs.folder / ".releases" / "terraform.json"
    planted = tmp_path / "planted.json"
    planted.write_text(json.dumps({**json.loads(kept.read_text()), "versions": ["9.9.9"]}))
    kept.unlink()
    kept.symlink_to(planted)
    assert told(installs) == ["1.13.0", "1.5.7"]
    assert not kept.is_symlink()


def test_the_list_of_another_remote_is_not_ours(tmp_path: Path, program: Program) -> None:
    for url in ("https://one/", "https://me:geheim@two/", "https://two/"):
        tfenv = Tfenv(program.path, {}, remote=parse_remote(url, "installs.remote"))
        told(open_folder(tmp_path / "installs", tfenv))
    assert program.asked("list-remote") == 2
    assert "geheim" not in json.dumps(program.starts)
    assert "geheim" not in (tmp_path / "installs" / ".releases" / "terraform.json").read_text()


def test_tfenv_alone_installs_no_opentofu_and_asks_nobody_for_it(
    installs: Installs, program: Program
) -> None:
    assert installs.installable("tofu", soon()).versions == ()
    assert program.starts == []


def test_in_a_folder_that_is_read_only_nothing_can_be_installed(
    tmp_path: Path, installs: Installs, program: Program
) -> None:
    bwrap = require_program("bwrap", "apt-get install bubblewrap")
    told(installs)
    code = (
        "import sys; from pathlib import Path\n"
        "from driftfleet.installs.tfenv import Tfenv\n"
        "from tests.installers import open_folder, soon\n"
        "for folder in sys.argv[2:]:\n"
        "    found = open_folder(Path(folder), Tfenv(Path(sys.argv[1]), {}))\n"
        "    print(found.installable('terraform', soon()))\n"
    )
    world = (str(bwrap), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
    folders = (installs.folder, tmp_path / "not" / "there")
    asked = start(code, program.path, *folders, prefix=world)
    said, problems = asked.communicate()
    assert said == "Releases(versions=(), stale='')\n" * 2, problems
    assert program.asked("list-remote") == 1


def test_a_disk_that_takes_no_more_leaves_what_was_listed(installs: Installs, clock: Clock) -> None:
    told(installs)
    clock.now += 7200
    (installs.folder / ".staging").rmdir()
    (installs.folder / ".staging").write_text("")
    found = installs.installable("terraform", soon())
    assert [str(one) for one in found.versions] == ["1.13.0", "1.5.7"]
    assert found.stale
