"""A timetable as a person or a script reads it."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from driftfleet.duration import show_duration
from producer.standing import Standing
from producer.table import harmless, width_of
from producer.timetable import Start, Timetable

_MOST_SHOWN = 20
_WIDEST_BAR = 40
_START_HEAD = ("START", "REPOSITORY", "CHECKS", "LAST SWEPT")
_NUMBERS = frozenset({"STARTS", "CHECKS", "UNKNOWN"})
_MINUTE = timedelta(minutes=1)
Row = Sequence[str]


def show_json(table: Timetable, stdout: TextIO) -> None:
    """A line for each start, then for each repository that is not scheduled."""
    page = _Page(stdout, styled=False)
    for start in table.starts:
        page.line(_record(start.standing, start))
    for one in table.unscheduled:
        page.line(_record(one, None))
    stdout.flush()


def show_text(table: Timetable, stdout: TextIO, *, everything: bool) -> None:
    """What starts in each hour, the next starts, and what is not scheduled and why.

    ``everything`` leaves out none of them.
    """
    page = _Page(stdout, styled=stdout.isatty())
    page.line(_headline(table))
    if table.starts:
        page.line("")
        _show_hours(table, page)
        page.line("")
        _show_starts(table, page, everything=everything)
    for line in [*_notes(table), *_not_scheduled(table, everything=everything)]:
        page.line(line)
    stdout.flush()


class _Page:
    """Lines, with styles where they go to a terminal."""

    def __init__(self, stdout: TextIO, *, styled: bool) -> None:
        self._stdout = stdout
        self._encoding = stdout.encoding or "utf-8"
        self.block = "#"
        self.width = 80
        if styled:
            from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

            self._console = Console(file=stdout, markup=False, emoji=False, highlight=False)
            self.block = "\N{FULL BLOCK}" if self._encoding.lower().startswith("utf") else "#"
            self.width = self._console.width
        self._styled = styled

    def line(self, text: str) -> None:
        """Print a sentence; a terminal breaks it between words."""
        self._print((text, ""), unbroken=False)

    def columns(self, head: Row, rows: Sequence[Row], tails: Sequence[str] = ()) -> None:
        """A table, each column as wide as it needs; ``tails`` stand behind its head and rows."""
        widths = [max(map(width_of, column)) for column in zip(head, *rows, strict=True)]
        first, *others = [f"  {tail}" for tail in tails] or [""] * (len(rows) + 1)
        self._print((_padded(head, head, widths) + first, "bold"))
        for row, tail in zip(rows, others, strict=True):
            self._print((_padded(row, head, widths), ""), (tail, "cyan"))

    def _print(self, *parts: tuple[str, str], unbroken: bool = True) -> None:
        """Print each text in its style, on one line."""
        if self._styled:
            from rich.text import Text  # noqa: PLC0415

            shown = Text.assemble(*parts)
            shown.rstrip()
            self._console.print(shown, soft_wrap=unbroken)
            return
        whole = "".join(text for text, _ in parts).rstrip()
        self._stdout.write(whole.encode(self._encoding, "backslashreplace").decode(self._encoding))
        self._stdout.write("\n")


def _padded(row: Row, head: Row, widths: Sequence[int]) -> str:
    cells = []
    for text, name, width in zip(row, head, widths, strict=True):
        blanks = " " * (width - width_of(text))
        cells.append(blanks + text if name in _NUMBERS else text + blanks)
    return "  ".join(cells)


def _record(one: Standing, start: Start | None) -> str:
    swept = one.swept
    return json.dumps(
        {
            "repo": one.wanted.name,
            "ref": one.wanted.ref,
            "start": start.at.astimezone(one.schedule.zone).isoformat() if start else None,
            "overdue": start is not None and start.overdue,
            "checks": swept.checks if swept else None,
            "swept_at": swept.swept_at.isoformat() if swept and swept.swept_at else None,
            "why_not": one.why_not,
        }
    )


def _headline(table: Timetable) -> str:
    until = f"until {_moment(table.until, table)} ({table.zone.key})"
    scheduled = _counted(len(table.scheduled), "repository", "repositories")
    if not table.starts:
        return f"{scheduled} on schedule, and nothing starts {until}"
    checks = sum(start.checks or 0 for start in table.starts)
    of_them = f", at most {checks:,} checks" if checks else ""
    return f"{scheduled} on schedule: {_counted(len(table.starts), 'start')}{of_them} {until}"


def _show_hours(table: Timetable, page: _Page) -> None:
    hours = table.hours()
    some_unknown = any(hour.unknown for hour in hours)
    head = ["HOUR", "STARTS", "CHECKS", *["UNKNOWN"] * some_unknown]
    rows = [
        [
            _moment(hour.begins, table),
            f"{hour.starts:,}",
            f"{hour.checks:,}",
            *[f"{hour.unknown:,}"] * some_unknown,
        ]
        for hour in hours
    ]
    # Checks that nobody has counted yet can't be drawn.
    sizes = [hour.starts if some_unknown else hour.checks for hour in hours]
    widest = max(5, min(_WIDEST_BAR, page.width - len("  ".join(head)) - 20))
    bars = [page.block * -(-size * widest // (max(sizes) or 1)) for size in sizes]
    page.columns(head, rows, [f"({'starts' if some_unknown else 'checks'})", *bars])


def _show_starts(table: Timetable, page: _Page, *, everything: bool) -> None:
    starts = table.starts if everything else table.starts[:_MOST_SHOWN]
    if len(starts) < len(table.starts):
        page.line(f"The next {len(starts)} of {len(table.starts):,} starts (--all shows each):")
    shown: set[str] = set()
    rows = []
    for start in starts:
        # By its second start it will have been swept again.
        rows.append(_start_row(start, table, again=start.standing.name in shown))
        shown.add(start.standing.name)
    page.columns(_START_HEAD, rows)


def _start_row(start: Start, table: Timetable, *, again: bool) -> Row:
    one = start.standing
    zone = one.schedule.zone
    at = f"{start.at.astimezone(zone):%a %d %b %H:%M:%S}"
    if start.overdue:
        at = "now (overdue)" if start.at <= table.now else f"{at} (overdue)"
    elif zone.key != table.zone.key:
        at += f" {zone.key}"
    checks = "unknown" if start.checks is None else f"{start.checks:,}"
    return at, harmless(_name(one)), checks, "" if again else _last_swept(one, table)


def _last_swept(one: Standing, table: Timetable) -> str:
    swept_at = one.swept.swept_at if one.swept else None
    if swept_at is None:
        return "never"
    age = (table.now - swept_at) // _MINUTE * _MINUTE
    return f"{show_duration(age)} ago" if age > timedelta() else "now"


def _notes(table: Timetable) -> Iterator[str]:
    if overdue := sum(start.overdue for start in table.starts):
        yield ""
        yield f"{overdue:,} overdue: what was swept longest ago starts first."
    unknown = len({start.standing.name for start in table.starts if start.checks is None})
    if unknown:
        have = _counted(unknown, "repository has", "repositories have")
        yield ""
        yield f"How many checks {have} is not known before a sweep; they are not counted."


def _not_scheduled(table: Timetable, *, everything: bool) -> Iterator[str]:
    ones = table.unscheduled if everything else table.unscheduled[:_MOST_SHOWN]
    if ones:
        yield ""
        yield "Not scheduled:"
    for one in ones:
        yield f"  {harmless(_name(one))}: {one.why_not}"
    if more := len(table.unscheduled) - len(ones):
        yield f"  and {more:,} more (--all shows each)"


def _name(one: Standing) -> str:
    return f"{one.wanted.name}@{one.wanted.ref}" if one.wanted.ref else one.wanted.name


def _moment(at: datetime, table: Timetable) -> str:
    return f"{at.astimezone(table.zone):%a %d %b %H:%M}"


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
