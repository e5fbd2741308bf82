"""What a person sees on stderr before there is any result to show."""

import os
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from producer.table import harmless, harmless_lines

_ERASE = "\r\x1b[K"
_MOST_NAMES = 3


class Progress:
    """Messages, and on a terminal one line below them that changes. Any thread may call it."""

    def __init__(self, stderr: TextIO, *, animate: bool) -> None:
        self._stderr = stderr
        self._animate = animate
        self._line = ""
        self._lock = threading.Lock()

    def looking(self, done: int, total: int, names: Sequence[str]) -> None:
        """So many of ``total`` were looked at; ``names`` are being looked at now."""
        shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        what = "repository" if total == 1 else "repositories"
        self.doing(f"looked at {done} of {total} {what}" + (f"; now {shown}" if shown else ""))

    def doing(self, text: str) -> None:
        """What is being done now, in a few words."""
        with self._lock:
            if self._animate:
                self._line = harmless(text)
                self._draw()

    def message(self, text: str) -> None:
        """Something that the person should know."""
        with self._lock:
            self._erase()
            encoding = self._stderr.encoding or "utf-8"
            lines = "\n".join(harmless_lines(text))
            self._stderr.write(lines.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._draw()

    def end(self) -> None:
        """Take the changing line away; again is harmless."""
        with self._lock:
            self._erase()
            self._line = ""
            self._stderr.flush()

    def _draw(self) -> None:
        if self._line:
            encoding = self._stderr.encoding or "utf-8"
            line = self._line[: max(10, _columns(self._stderr) - 1)]
            text = line.encode(encoding, "backslashreplace").decode(encoding)
            self._stderr.write(f"{_ERASE}{text}")
        self._stderr.flush()

    def _erase(self) -> None:
        if self._line:
            self._stderr.write(_ERASE)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def standard_progress(*, plain: bool = False) -> Progress:
    """The progress for this process's own stderr; ``plain`` where other messages go there."""
    return Progress(sys.stderr, animate=not plain and can_animate(sys.stderr))


def can_animate(stream: TextIO) -> bool:
    """Whether what was printed to it can be changed again."""
    if not stream.isatty():
        return False
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    return not Console(file=stream).is_dumb_terminal
