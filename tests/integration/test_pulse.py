"""Whether a service's main loop turns, asked over an abstract socket as health checks ask."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from driftfleet.pulse import Pulse, ask

# Real services of other tests may run beside these, with names of their own.
ROLE = f"test-{os.getpid()}"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_tells_how_long_ago_the_loop_turned() -> None:
    clock = Clock()
    pulse = Pulse(ROLE, clock)
    assert ask(ROLE) is None
    assert pulse.start()
    try:
        clock.now += 200
        assert ask(ROLE) == 200
        pulse.turn()
        assert ask(ROLE) == 0
        assert not Pulse(ROLE).start()  # there is one
    finally:
        pulse.close()
    assert ask(ROLE) is None
    again = Pulse(ROLE)
    assert again.start()  # nobody holds the name any more
    again.close()


def test_a_child_that_outlives_its_parent_does_not_answer_for_it() -> None:
    pulse = Pulse(ROLE)
    assert pulse.start()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, b"!")
        signal.pause()
    try:
        os.read(reading, 1)
        pulse.close()
        assert ask(ROLE) is None
        again = Pulse(ROLE)
        assert again.start()
        again.close()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_what_is_no_role_is_told() -> None:
    program = str(Path(sys.executable).with_name("driftfleet-health"))
    for wrong in (["scan"], ["beat", "beat"]):
        done = subprocess.run([program, *wrong], capture_output=True, text=True, check=False)
        assert (done.returncode, "Usage:" in done.stderr) == (2, True)
    told = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert "Exit codes" in told.stdout
