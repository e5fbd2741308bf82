"""Where text is shown: how wide it is there, and what its encoding can show."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from rich.text import Text

from producer.columns import cut
from producer.table import harmless

if TYPE_CHECKING:
    from rich.console import Console

_NAME_CHARACTERS = 300


@dataclass(frozen=True)
class Page:
    """Where it is shown. Without a width lines are as long as they are; without a height all is
    shown. ``encoding`` is the stream's: what it doesn't know becomes its escape.
    """

    width: int | None = None
    height: int | None = None
    encoding: str = "utf-8"

    @property
    def ellipsis(self) -> str:
        """What stands for what was cut."""
        return "…" if self.encoding.lower().replace("-", "") == "utf8" else "..."

    def shown(self, name: str) -> str:
        """A name that can do nothing to the terminal."""
        text = harmless(cut(name, _NAME_CHARACTERS, self.ellipsis))
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def line(self, text: str, style: str = "") -> Text:
        """One line, cut where it is too long."""
        fitted = text if self.width is None else cut(text, self.width, self.ellipsis)
        return Text(fitted, style=style, no_wrap=True)


def show_age(seconds: float) -> str:
    """``45s``, ``12m03s``, ``3h05m``, ``2d04h``."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}m{left % 60:02}s"
    if left < 86_400:
        return f"{left // 3600}h{left % 3600 // 60:02}m"
    return f"{left // 86_400}d{left % 86_400 // 3600:02}h"


class Printer:
    """Lines on stdout: on a terminal cut to its width and with their styles, else whole."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout
        self._console = _console(stdout) if stdout.isatty() else None
        self.page = Page(
            width=self._console.width if self._console else None,
            encoding=stdout.encoding or "utf-8",
        )

    def line(self, text: Text) -> None:
        """Print it."""
        if self._console is None:
            self._stdout.write(f"{text.plain}\n")
        else:
            self._console.print(text, soft_wrap=True)

    def flush(self) -> None:
        """Let all of it be seen."""
        self._stdout.flush()


def _console(stdout: TextIO) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

    return Console(file=stdout, markup=False, emoji=False, highlight=False)
