"""How a service shows on its own machine that its main loop turns: an abstract Unix socket.

It takes no disk, no port and no Redis, so a health check may ask every few seconds, and an outage
of Redis, in which plans go on, makes nobody unhealthy. Who asks is in the same network and process
namespace: a container, a pod, a machine. `driftfleet.health` is the program that asks.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable

# Nothing turns more seldom: beat sleeps for a minute, and waits for a Redis that is away.
SLOW_SECONDS = 180.0
ROLES = ("beat", "producer", "worker", "flower")
_ANSWER_BYTES = 64
_PAUSE_SECONDS = 0.5


class Pulse:
    """Tells whoever asks how long ago `turn` was called last; one for each service of a machine."""

    def __init__(self, role: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._role = role
        self._clock = clock
        self._turned = clock()
        self._process = os.getpid()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> bool:
        """Begin to answer. False where another service of this role does so already."""
        try:
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            return False
        try:
            listening.bind(_address(self._role))
            listening.listen(8)
        except OSError:
            listening.close()
            return False
        self._socket = listening
        # A pool child would hold the name after its parent's death.
        os.register_at_fork(after_in_child=listening.close)
        self._thread = threading.Thread(target=self._answer, args=(listening,), daemon=True)
        self._thread.start()
        return True

    @property
    def is_answering(self) -> bool:
        """Whether it has begun to."""
        return self._socket is not None

    def turn(self) -> None:
        """Say that the main loop turns; and answer, once the one that did before has ended."""
        self._turned = self._clock()
        if not self.is_answering and self._process == os.getpid():
            self.start()

    def close(self) -> None:
        """End it."""
        listening, self._socket = self._socket, None
        if listening is None or self._thread is None:
            return
        # A close alone would leave the thread waiting, and the name taken.
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        listening.close()

    def _answer(self, listening: socket.socket) -> None:
        while True:
            try:
                asking, _ = listening.accept()
            except OSError:
                if self._socket is None:
                    return
                # No descriptor is free: accept fails at once then, whether somebody asks or not.
                time.sleep(_PAUSE_SECONDS)
                continue
            # Whoever asked may have gone.
            with asking, contextlib.suppress(OSError):
                asking.sendall(f"{self._clock() - self._turned:.1f}\n".encode())


_own: list[Pulse] = []


def begin(role: str) -> None:
    """Have this process answer as that service; where one is here, once that has ended."""
    pulse = Pulse(role)
    pulse.start()
    _own[:] = [pulse]


def turn() -> None:
    """Say that this process's main loop turns; of a process that is no service, nothing."""
    for pulse in _own:
        pulse.turn()


def ask(role: str, patience_seconds: float = 3) -> float | None:
    """How many seconds ago the service's main loop turned; None where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(patience_seconds)
        try:
            asking.connect(_address(role))
            return float(asking.recv(_ANSWER_BYTES))
        except (OSError, ValueError):
            return None


def _address(role: str) -> str:
    # Containers that share a network have process namespaces of their own.
    return f"\0driftfleet/{role}/{os.stat('/proc/self/ns/pid').st_ino}"
