"""`driftfleet top` on a terminal: looks again and again, until somebody ends it."""

import contextlib
import json
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live

from driftfleet.errors import BrokerUnavailable
from producer.overview import Overview, record_of
from producer.page import Page, show_age
from producer.stopping import Stopped, Stopping, stopping
from producer.top import top_lines

Look = Callable[[], Overview]

# How soon a key, or another size of the terminal, is noticed.
_POLL_SECONDS = 0.1
# Redis usually answers within milliseconds.
_SILENT_SECONDS = 2.0
_HINT = "q ends it"


@dataclass(frozen=True)
class Top:
    """``once``: only one look, in lines that stay; ``as_json``: the same as a record."""

    look: Look
    stdout: TextIO
    every_seconds: float = 1.0
    once: bool = False
    as_json: bool = False


def show_top(order: Top) -> int:
    """Show it; return the exit code.

    Raises
    ------
    BrokerUnavailable
        Redis did not answer the first look. Later that is a line of the view.
    """
    console = Console(file=order.stdout, markup=False, emoji=False, highlight=False)
    live = order.stdout.isatty() and not console.is_dumb_terminal
    try:
        with stopping() as stop:
            stop.allow()
            first = order.look()
            stop.hold()
            if order.as_json:
                order.stdout.write(json.dumps(record_of(first), separators=(",", ":")) + "\n")
                order.stdout.flush()
            elif order.once or not live:
                _print(first, console, order.stdout)
            else:
                _Screen(console, _Looking(order.look, first, order.every_seconds)).run(stop)
    except Stopped as stopped:
        return stopped.exit_code
    return 0


def _print(overview: Overview, console: Console, stdout: TextIO) -> None:
    width = console.width if stdout.isatty() else None
    page = Page(width=width, encoding=stdout.encoding or "utf-8")
    for line in top_lines(overview, page):
        if stdout.isatty():
            console.print(line, soft_wrap=True)
        else:
            stdout.write(f"{line.plain}\n")
    stdout.flush()


class _Looking:
    """Looks in a thread of its own: a Redis that hangs is not to hold up the keys."""

    def __init__(self, look: Look, first: Overview, every_seconds: float) -> None:
        self._look = look
        self._every_seconds = every_seconds
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[Overview] | None = None
        self._failure = ""
        self._began = self._known_at = time.monotonic()
        self.overview = first

    def poll(self) -> bool:
        """Whether something is new. Begins the next look when it is time for it."""
        now = time.monotonic()
        new = False
        if self._future is not None and self._future.done():
            new = True
            try:
                self.overview, self._failure = self._future.result(), ""
                self._known_at = now
            except BrokerUnavailable as error:
                self._failure = error.message
            self._future = None
        if self._future is None and now >= self._began + self._every_seconds:
            self._began = now
            self._future = self._pool.submit(self._look)
        return new or self.trouble != ""

    @property
    def trouble(self) -> str:
        """Why what is shown isn't the newest; empty where it is."""
        now = time.monotonic()
        silent = self._future is not None and now > self._began + _SILENT_SECONDS
        if not silent and not self._failure:
            return ""
        reason = self._failure or "Redis does not answer"
        return f"{reason} (what is shown is {show_age(now - self._known_at)} old)"


class _Screen:
    """The terminal's other screen, and the keys."""

    def __init__(self, console: Console, looking: _Looking) -> None:
        self._console = console
        self._looking = looking
        self._suspended = False
        self._shown: tuple[object, ...] = ()

    def run(self, stop: Stopping) -> None:
        """Until q. `Stopped` is raised once the terminal is as it was before."""
        before = signal.signal(signal.SIGTSTP, self._suspend)
        try:
            while self._run(stop):
                # Ctrl-Z: the shell has the terminal as it was, until it lets us go on.
                os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            signal.signal(signal.SIGTSTP, before)

    def _suspend(self, _signum: int, _frame: object) -> None:
        self._suspended = True

    def _run(self, stop: Stopping) -> bool:
        """Whether it is only suspended."""
        self._suspended, self._shown = False, ()
        live = Live(console=self._console, screen=True, auto_refresh=False)
        with _keys() as pressed, live:
            while not self._suspended:
                self._draw(live)
                # A signal ends it here, and nowhere else: never amid what the terminal is sent.
                stop.allow()
                key = pressed(_POLL_SECONDS)
                stop.hold()
                if key in ("q", "Q"):
                    return False
        return True

    def _draw(self, live: Live) -> None:
        size = self._console.size
        if not self._looking.poll() and self._shown == size:
            return
        self._shown = size
        page = Page(size.width, size.height, self._console.encoding)
        lines = top_lines(self._looking.overview, page, trouble=self._looking.trouble, hint=_HINT)
        live.update(Group(*lines), refresh=True)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """What waits for a key for so many seconds; empty where none came. Nothing is echoed."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(seconds: float) -> str:
        if not select.select([terminal], [], [], seconds)[0]:
            return ""
        read = os.read(terminal, 64)
        # At its end a terminal is gone, and so is whoever looks.
        return read.decode("ascii", "replace")[:1] if read else "q"

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""
