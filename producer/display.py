"""What a person, a file or a script sees of a scan while it runs and at its end."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Protocol, TextIO

from driftfleet.ledger import Running
from driftfleet.results import Result
from producer.progress import can_animate
from producer.table import (
    COLOURS,
    by_urgency,
    details,
    harmless,
    harmless_lines,
    json_line,
    plain_table,
    problem_lines,
    root_of,
    seconds_of,
    several_sources,
    summary,
    what_of,
)

_MOST_RUNNING = 8


class Display(Protocol):
    """Shows a scan. Every method is quick; none starts a thread."""

    def begin(self, total: int, *, with_source: bool = False) -> None:
        """So many checks were asked for; ``with_source`` where they are of several sources."""

    def finished(self, result: Result) -> None:
        """A check was answered."""

    def running(self, checks: Iterable[Running]) -> None:
        """What runs now; called several times a second."""

    def message(self, text: str) -> None:
        """Something that the person should know and that is no result."""

    def end(self) -> None:
        """The scan ends, in order or not; again is harmless."""

    def conclude(
        self, results: Sequence[Result], seconds: float, where: str, problems: Sequence[str] = ()
    ) -> None:
        """All that was found; ``where`` results are kept, and what could not be looked at."""

    def dashboard(self, where: str) -> None:
        """Where the dashboard is; after `conclude`."""


def choose_display(*, as_json: bool, plain: bool, stdout: TextIO, stderr: TextIO) -> Display:
    """The display that fits: JSON lines, a progress bar on a terminal, else plain lines.

    ``plain`` wants no bar, because other messages go to the same terminal.
    """
    if as_json:
        bar = None if plain or not can_animate(stderr) else TerminalDisplay(stderr, stderr)
        return JsonDisplay(stdout, stderr, bar)
    if not plain and can_animate(stdout):
        return TerminalDisplay(stdout, stderr)
    return LineDisplay(stdout, stderr)


class LineDisplay:
    """One line for each finished check, then the table."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._total = self._done = 0
        self._with_source = False

    def begin(self, total: int, *, with_source: bool = False) -> None:
        self._total = total
        self._with_source = with_source

    def finished(self, result: Result) -> None:
        self._done += 1
        count = f"{self._done:>{len(str(self._total))}}/{self._total}"
        name = root_of(result, with_source=self._with_source)
        line = f"{count}  {result.verdict:<17}  {name}  {seconds_of(result)} s  {what_of(result)}"
        _print(self._stdout, line.rstrip())

    def running(self, checks: Iterable[Running]) -> None:
        pass

    def message(self, text: str) -> None:
        _print(self._stderr, "\n".join(harmless_lines(text)))

    def end(self) -> None:
        pass

    def conclude(
        self, results: Sequence[Result], seconds: float, where: str, problems: Sequence[str] = ()
    ) -> None:
        table = ["", *plain_table(results), *details(results)] if results else []
        for line in [*table, *problem_lines(problems), ""]:
            _print(self._stdout, line)
        _print(self._stdout, summary(results, seconds, problems))
        _print(self._stdout, f"results: {harmless(where)}")

    def dashboard(self, where: str) -> None:
        _print(self._stdout, f"dashboard: {harmless(where)}")


class JsonDisplay:
    """A result a line on stdout, as they come, and nothing else there."""

    def __init__(
        self, stdout: TextIO, stderr: TextIO, bar: "TerminalDisplay | None" = None
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._bar = bar

    def begin(self, total: int, *, with_source: bool = False) -> None:
        if self._bar:
            self._bar.begin(total, with_source=with_source)

    def finished(self, result: Result) -> None:
        _print(self._stdout, json_line(result))
        if self._bar:
            self._bar.finished(result)

    def running(self, checks: Iterable[Running]) -> None:
        if self._bar:
            self._bar.running(checks)

    def message(self, text: str) -> None:
        if self._bar:
            self._bar.message(text)
        else:
            _print(self._stderr, "\n".join(harmless_lines(text)))

    def end(self) -> None:
        if self._bar:
            self._bar.end()

    def conclude(
        self, results: Sequence[Result], seconds: float, where: str, problems: Sequence[str] = ()
    ) -> None:
        if self._bar:
            told = summary(results, seconds, problems)
            _print(self._stderr, f"{told}\nresults: {harmless(where)}")

    def dashboard(self, where: str) -> None:
        if self._bar:
            _print(self._stderr, f"dashboard: {harmless(where)}")


class TerminalDisplay:
    """A progress bar with what runs now below it, then a table in colour."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        # Nothing of ours is markup, and a root called `[red]` or `:bug:` is just that.
        self._console = Console(file=stdout, markup=False, emoji=False, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._stderr = stderr
        self._started = time.monotonic()
        self._total = self._done = 0

    def begin(self, total: int, *, with_source: bool = False) -> None:  # noqa: ARG002 - as above
        self._total = total
        self._live.start()
        self.running(())

    def finished(self, result: Result) -> None:  # noqa: ARG002 - the table comes at the end
        self._done += 1

    def running(self, checks: Iterable[Running]) -> None:
        if not self._live.is_started:
            return
        from rich.console import Group  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        bar = Table.grid(padding=(0, 1))
        spent = _clock(time.monotonic() - self._started)
        width = max(10, min(40, self._console.width - 24))
        bar.add_row(
            ProgressBar(total=max(1, self._total), completed=self._done, width=width),
            Text(f"{self._done}/{self._total}"),
            Text(spent, style="dim"),
        )
        lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in running_lines(checks)]
        self._live.update(Group(bar, *lines), refresh=True)

    def message(self, text: str) -> None:
        if self._live.is_started:
            from rich.text import Text  # noqa: PLC0415

            self._console.print(Text("\n".join(harmless_lines(text))))
        else:
            _print(self._stderr, "\n".join(harmless_lines(text)))

    def end(self) -> None:
        self._live.stop()

    def conclude(
        self, results: Sequence[Result], seconds: float, where: str, problems: Sequence[str] = ()
    ) -> None:
        from rich import box  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("verdict", no_wrap=self._console.width >= 60)
        table.add_column("root", overflow="fold")
        table.add_column("what", overflow="fold", ratio=1)
        table.add_column("s", justify="right", no_wrap=True)
        with_source = several_sources(results)
        for result in by_urgency(results):
            table.add_row(
                Text(result.verdict.value, style=COLOURS[result.verdict]),
                Text(root_of(result, with_source=with_source)),
                Text(what_of(result)),
                Text(seconds_of(result)),
            )
        if results:
            self._console.print(table)
        told = summary(results, seconds, problems)
        for line in [*details(results)[1:], *problem_lines(problems), "", told]:
            self._console.print(Text(line))
        # Whole, wherever the line ends: people copy it.
        self._console.print(Text(f"results: {harmless(where)}"), soft_wrap=True)

    def dashboard(self, where: str) -> None:
        from rich.text import Text  # noqa: PLC0415

        self._console.print(Text(f"dashboard: {harmless(where)}"), soft_wrap=True)


def running_lines(checks: Iterable[Running], now: float | None = None) -> list[str]:
    """What runs now, the longest running first: title, phase, seconds."""
    at = time.time() if now is None else now
    oldest_first = sorted(checks, key=lambda check: check.started_at)
    lines = [
        f"  {harmless(check.title.removesuffix(' default'))}  {harmless(check.phase)}  "
        f"{max(0, at - check.started_at):.0f} s"
        for check in oldest_first[:_MOST_RUNNING]
    ]
    more = len(oldest_first) - _MOST_RUNNING
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def _print(stream: TextIO, line: str) -> None:
    # A stream may be of an encoding that doesn't know every letter; a scan must not end by that.
    encoding = stream.encoding or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def standard_display(*, as_json: bool, plain: bool) -> Display:
    """The display for this process's own streams."""
    return choose_display(as_json=as_json, plain=plain, stdout=sys.stdout, stderr=sys.stderr)
