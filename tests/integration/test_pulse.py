"""Whether a service's main loop turns, asked over an abstract socket as health checks ask."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from driftfleet.pulse import Pulse, ask

# Real services of other tests may run beside these, with names of their own.
ROLE = f"test-{os.getpid()}"
# The processor's seconds in one of the clock's without a descriptor; whether it answers after.
_FULL = """
import os, resource, sys, time
from driftfleet.pulse import Pulse, ask
assert Pulse(sys.argv[1]).start()
most = resource.getrlimit(resource.RLIMIT_NOFILE)
child = os.fork()
if not child:
    time.sleep(0.3)
    ask(sys.argv[1])  # Whom it waits for comes: accept fails from then on.
    os._exit(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
before = time.process_time()
time.sleep(1.3)
spent = time.process_time() - before
resource.setrlimit(resource.RLIMIT_NOFILE, most)
print(spent, ask(sys.argv[1]) is not None)
"""


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


def test_the_next_service_of_a_role_answers_when_the_first_has_ended() -> None:
    """As where a service manager starts the new one while the old one still ends its plans."""
    first, second = Pulse(ROLE), Pulse(ROLE)
    assert first.start()
    assert not second.start()
    try:
        first.close()
        assert ask(ROLE) is None
        child = os.fork()
        if not child:
            second.turn()  # a pool child is not the service
            os._exit(int(second.is_answering))
        assert os.waitpid(child, 0)[1] == 0
        second.turn()
        assert ask(ROLE) is not None
    finally:
        second.close()


def test_a_service_without_a_free_descriptor_is_not_kept_busy_by_it() -> None:
    done = subprocess.run([sys.executable, "-c", _FULL, ROLE], check=True, capture_output=True)
    seconds, _, answered = done.stdout.decode().partition(" ")
    assert float(seconds) < 0.2
    assert answered.strip() == "True"


def test_what_is_no_role_is_told() -> None:
    program = str(Path(sys.executable).with_name("driftfleet-health"))
    for wrong in (["scan"], ["beat", "beat"]):
        done = subprocess.run([program, *wrong], capture_output=True, text=True, check=False)
        assert (done.returncode, "Usage:" in done.stderr) == (2, True)
    told = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert "Exit codes" in told.stdout
