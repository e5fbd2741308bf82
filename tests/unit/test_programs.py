"""Programs run to their end through the reaper: what is kept of them, and that nothing is left."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from driftfleet import programs
from driftfleet.programs import Ended, OutOfTime

PYTHON = os.path.realpath(sys.executable)
# A daemon in a session of its own, without any of the outputs, which tells its id in a file.
DAEMON = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork(): os._exit(0)\n"
    "    os.closerange(0, 3)\n"
    "    open('pid.new', 'w').write(str(os.getpid()))\n"
    "    os.rename('pid.new', 'pid')\n"
    "    time.sleep(600)\n"
    "while not os.path.exists('pid'): pass\n"
)


def run(folder: Path, code: str, seconds: float = 30, **more: object) -> Ended:
    environment = {"A": "1"}
    return programs.run(
        [PYTHON, "-I", "-S", "-c", code],
        environment,
        folder=folder,
        deadline=time.monotonic() + seconds,
        **more,  # type: ignore[arg-type]
    )


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_both_outputs_the_exit_code_the_folder_and_the_environment(tmp_path: Path) -> None:
    code = (
        "import os, sys; print(os.getcwd(), os.environ['A'], 'HOME' in os.environ)\n"
        "print('err', file=sys.stderr); sys.exit(3)"
    )
    done = run(tmp_path, code)
    assert done == Ended(3, f"{tmp_path} 1 False\n".encode(), b"err\n")


def test_of_a_long_output_the_end_is_kept(tmp_path: Path) -> None:
    done = run(tmp_path, "print('x' * 3_000_000 + 'end')", kept_bytes=100)
    assert done.stdout == b"x" * 96 + b"end\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_is_told_as_a_shell_does(tmp_path: Path, number: signal.Signals) -> None:
    assert run(tmp_path, f"import os; os.kill(os.getpid(), {number})").exit_code == 128 + number


def test_a_program_that_is_not_there_is_127(tmp_path: Path) -> None:
    done = programs.run(["/none"], {}, folder=tmp_path, deadline=time.monotonic() + 30)
    assert (done.exit_code, done.stderr) == (127, b"/none: No such file or directory\n")


def test_a_daemon_does_not_outlive_the_program(tmp_path: Path) -> None:
    assert run(tmp_path, DAEMON).exit_code == 0
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_the_deadline_ends_all_of_it_and_keeps_what_was_said(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        + DAEMON
        + "print('so far', flush=True)\n"
        + "time.sleep(600)\n"
    )
    with pytest.raises(OutOfTime) as caught:
        run(tmp_path, code, seconds=6)
    assert caught.value.stdout == b"so far\n"
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_the_death_of_the_caller_ends_all_of_it(tmp_path: Path) -> None:
    caller = os.fork()
    if caller == 0:
        run(tmp_path, DAEMON + "time.sleep(600)")
        os._exit(1)
    end = time.monotonic() + 60
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < end
        os.sched_yield()
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    daemon = int((tmp_path / "pid").read_text())
    while is_alive(daemon):
        assert time.monotonic() < end
        os.sched_yield()


def test_who_ignores_the_signal_of_the_end_does_not_hand_that_on(tmp_path: Path) -> None:
    code = "import signal; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert run(tmp_path, code).stdout == b"True\n"
        with pytest.raises(OutOfTime):
            run(tmp_path, DAEMON + "time.sleep(600)", seconds=6)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not is_alive(int((tmp_path / "pid").read_text()))
