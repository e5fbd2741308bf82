"""Programs run through the runner: what ends them, and that nothing outlives them."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftfleet.programs import run
from worker import runner
from worker.cost import Meter
from worker.process import Command, OutOfTime, OutputLimit, Programs, RunnerDied

PYTHON = os.path.realpath(sys.executable)
# By then a program has done what it begins with, on a busy machine too.
_READY_SECONDS = 5


@pytest.fixture
def programs() -> Iterator[Programs]:
    programs = Programs(stop_grace_seconds=0.4)
    yield programs
    programs.close()


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Command]:
    def build(
        code: str,
        *,
        seconds: float = 20,
        output_bytes: int = 1 << 20,
        file_bytes: int = 1 << 20,
        watch: Callable[[], None] = lambda: None,
        environment: dict[str, str] | None = None,
    ) -> Command:
        return Command(
            arguments=[PYTHON, "-I", "-S", "-c", code],
            environment=environment or {},
            folder=tmp_path,
            deadline=time.monotonic() + seconds,
            output_bytes=output_bytes,
            file_bytes=file_bytes,
            watch=watch,
        )

    return build


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


def test_a_program_is_answered_with_both_outputs_and_its_exit_code(programs, command):
    done = programs.run(
        command("import sys; print('out'); print('err', file=sys.stderr); sys.exit(2)")
    )
    assert (done.exit_code, done.stdout, done.stderr) == (2, b"out\n", b"err\n")
    assert done.survivors == 0


def test_output_beyond_a_pipe_arrives_whole(programs, command):
    done = programs.run(command("print('x' * 700_000)"))
    assert len(done.stdout) == 700_001


def test_one_runner_serves_many_programs(programs, command):
    parents = {programs.run(command("import os; print(os.getppid())")).stdout for _ in range(3)}
    assert len(parents) == 1


def test_a_program_gets_its_environment_and_nothing_else(programs, command):
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    done = programs.run(command(code, environment={"ONE": "1"}))
    assert b'"ONE": "1"' in done.stdout
    assert b"PATH" not in done.stdout


def test_a_program_has_no_descriptors_beyond_the_three(programs, command):
    done = programs.run(command("import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"))
    # The fourth is the listing's own.
    assert done.stdout == b"[0, 1, 2, 3]\n"


def test_a_missing_program_is_exit_127_with_its_name(programs, command, tmp_path):
    missing = Command(**{**command("").__dict__, "arguments": ["/no/such/program"]})
    done = programs.run(missing)
    assert done.exit_code == 127
    assert b"/no/such/program: No such file" in done.stderr


def test_the_deadline_ends_a_program(programs, command):
    with pytest.raises(OutOfTime):
        programs.run(command("import time; time.sleep(60)", seconds=0.3))
    assert programs.run(command("print(1)")).stdout == b"1\n"


def test_a_program_that_ignores_term_is_killed_after_the_grace(programs, command, tmp_path):
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    started = time.monotonic()
    with pytest.raises(OutOfTime):
        programs.run(command(code, seconds=_READY_SECONDS))
    assert time.monotonic() - started < 30
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_program_that_needs_two_terms_gets_them(command, tmp_path):
    code = (
        "import signal, sys, time\n"
        "count = []\n"
        "def term(*_):\n"
        "    count.append(1)\n"
        "    if len(count) == 2:\n"
        f"        open({str(tmp_path / 'twice')!r}, 'w').close(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, term)\n"
        "while True: time.sleep(60)"
    )
    # Two at one moment would be one to it: it has seconds for each, and ends with the second.
    patient = Programs(stop_grace_seconds=8)
    with contextlib.closing(patient), pytest.raises(OutOfTime):
        patient.run(command(code, seconds=_READY_SECONDS))
    assert (tmp_path / "twice").exists()


def test_too_much_output_ends_a_program(programs, command):
    with pytest.raises(OutputLimit):
        programs.run(command("while True: print('x' * 1000)", output_bytes=100_000))
    assert programs.run(command("print(1)")).stdout == b"1\n"


def test_what_the_watch_raises_ends_a_program(programs, command):
    def watch() -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        programs.run(command("import time; time.sleep(60)", watch=watch))
    assert programs.run(command("print(1)")).stdout == b"1\n"


def test_no_file_grows_past_the_limit(programs, command, tmp_path):
    programs.run(command("open('big', 'wb').write(b'x' * 3_000_000)", file_bytes=1_000_000))
    assert (tmp_path / "big").stat().st_size <= 1_000_000


def test_a_daemon_in_its_own_session_does_not_outlive_the_program(programs, command, tmp_path):
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        for fd in (0, 1, 2): os.close(fd)\n"
        "        open('pid.new', 'w').write(str(os.getpid()))\n"
        "        os.rename('pid.new', 'pid')\n"
        "        time.sleep(60)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "while not os.path.exists('pid'): pass\n"
    )
    done = programs.run(command(code))
    assert done.exit_code == 0
    assert done.survivors == 1
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_killed_program_says_by_which_signal(programs, command):
    done = programs.run(command("import os; os.kill(os.getpid(), 9)"))
    assert (done.exit_code, done.signal) == (137, 9)


def test_a_runner_killed_between_programs_is_replaced(programs, command):
    parent = int(programs.run(command("import os; print(os.getppid())")).stdout)
    os.kill(parent, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(parent))
    assert programs.run(command("print(1)")).stdout == b"1\n"


def test_the_death_of_the_pool_child_ends_its_program_and_removes_its_workspace(tmp_path):
    workspace = tmp_path / "w"
    workspace.mkdir()
    child = os.fork()
    if child == 0:
        programs = Programs(stop_grace_seconds=1)
        programs.guard(workspace)
        code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
        programs.run(
            Command(
                arguments=[PYTHON, "-I", "-S", "-c", code],
                environment={},
                folder=workspace,
                deadline=time.monotonic() + 60,
                output_bytes=1000,
                file_bytes=1000,
                watch=lambda: None,
            )
        )
        os._exit(1)
    pid_file = workspace / "pid"
    assert wait_until(lambda: pid_file.exists() and pid_file.read_text() != "")
    program = int(pid_file.read_text())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert wait_until(lambda: not is_alive(program))
    assert wait_until(lambda: not workspace.exists())


def test_a_limit_that_comes_as_a_program_ends_does_not_hit_the_next_one(programs, command):
    for _ in range(25):
        with pytest.raises(OutputLimit):
            programs.run(command("print('x' * 3000)", output_bytes=1000))
        done = programs.run(command("import time; time.sleep(0.01); print(1)"))
        assert (done.signal, done.stdout) == (None, b"1\n")


def test_a_runner_that_its_program_froze_is_ended_and_said_to_be_lost(programs, command):
    code = "import os, time; os.kill(os.getppid(), 19); time.sleep(60)"
    with pytest.raises(OutOfTime):
        programs.run(command(code, seconds=_READY_SECONDS))
    assert programs.runner_lost
    assert programs.run(command("print(1)")).stdout == b"1\n"
    assert not programs.runner_lost


BURN = "import time\nwhile time.process_time() < 0.4: pass\n"
HOLD = "held = b'x' * (60 << 20)\n"


class TestUsage:
    """What programs take is counted, whatever becomes of them."""

    def test_processor_time_of_children_counts_too(self, programs, command):
        usage = programs.measure()
        code = f"import os\nif os.fork():\n    os.wait()\nexec({BURN!r})\n"
        programs.run(command(code))
        assert 0.8 <= usage.cpu_seconds < 4

    def test_so_does_that_of_what_was_left_behind_and_killed(self, programs, command, tmp_path):
        flag = tmp_path / "burnt"
        code = (
            "import os, time\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    while True:\n"
            f"        if time.process_time() > 0.5: open({str(flag)!r}, 'w').close()\n"
            f"while not os.path.exists({str(flag)!r}): time.sleep(0.01)\n"
        )
        usage = programs.measure()
        assert programs.run(command(code)).survivors == 1
        assert 0.5 <= usage.cpu_seconds < 4

    def test_memory_is_that_of_all_at_one_moment(self, programs, command):
        usage = programs.measure()
        code = f"import os, time\nparent = os.fork()\n{HOLD}time.sleep(3)\nif parent: os.wait()"
        programs.run(command(code))
        assert 120 << 20 <= usage.memory_bytes < 200 << 20
        # One after the other they are never there together.
        usage = programs.measure()
        code = f"import os\nif os.fork():\n    os.wait()\n{HOLD}"
        programs.run(command(code))
        assert 60 << 20 <= usage.memory_bytes < 120 << 20

    def test_a_program_that_is_over_at_once_took_something(self, programs, command):
        usage = programs.measure()
        programs.run(command(HOLD))
        assert usage.memory_bytes >= 60 << 20
        assert usage.cpu_seconds > 0

    def test_programs_add_up_until_the_next_measure(self, programs, command):
        first = programs.measure()
        programs.run(command(BURN))
        programs.run(command(BURN))
        second = programs.measure()
        programs.run(command(""))
        assert first.cpu_seconds >= 0.8
        assert second.cpu_seconds < 0.4

    def test_a_program_that_was_ended_is_counted(self, programs, command):
        usage = programs.measure()
        with pytest.raises(OutOfTime):
            programs.run(command(f"{HOLD}{BURN}time.sleep(60)", seconds=6))
        assert usage.cpu_seconds >= 0.4
        assert usage.memory_bytes >= 60 << 20

    def test_what_a_killed_runner_had_seen_is_counted_and_once(self, programs, command):
        meter = Meter(usage := programs.measure())
        code = f"{HOLD}{BURN}import os\ntime.sleep(4)\nos.kill(os.getppid(), 9)\ntime.sleep(60)"
        with pytest.raises(RunnerDied):
            programs.run(command(code))
        assert usage.memory_bytes >= 60 << 20
        # The kernel's clock has ticks.
        assert 0.35 <= usage.cpu_seconds < 2
        programs.run(command(BURN))
        programs.close()
        # Both runners have been waited for, and what they ran is not counted twice.
        assert usage.cpu_seconds <= meter.read(0).cpu_seconds < usage.cpu_seconds + 0.4

    def test_what_no_runner_ran_is_counted_beside_it(self, programs, command, tmp_path):
        meter = Meter(programs.measure())
        programs.run(command(BURN))
        run([PYTHON, "-c", BURN], {}, folder=tmp_path, deadline=time.monotonic() + 20)
        assert 0.8 <= meter.read(0).cpu_seconds < 4

    def test_where_the_kernel_names_no_children_all_processes_are_looked_at(self):
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        try:
            assert child in runner._children_by_parent()[os.getpid()]
            if runner._CHILDREN_TOLD:
                assert child in runner._told_children(os.getpid())
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_pipe_that_was_handed_to_somebody_else_is_not_waited_for(
    programs: Programs, command: Callable[..., Command], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        code = (
            "import os, socket\n"
            "with socket.socket(socket.AF_UNIX) as channel:\n"
            "    channel.connect('s')\n"
            "    socket.send_fds(channel, [b'x'], [1, 2])\n"
            "    channel.recv(1)\n"
            "print('whole', flush=True)\n"
        )
        held: list[int] = []

        def take() -> None:
            channel, _ = server.accept()
            with channel:
                held.extend(socket.recv_fds(channel, 1, 2)[1])
                channel.send(b"x")

        taker = threading.Thread(target=take)
        taker.start()
        started = time.monotonic()
        done = programs.run(command(code, seconds=60))
        taker.join()
        assert time.monotonic() - started < 20
        assert (done.exit_code, done.stdout) == (0, b"whole\n")
        for descriptor in held:
            os.close(descriptor)
