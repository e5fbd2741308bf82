"""The fleet's status as a person or a script reads it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from rich.text import Text

from driftfleet.duration import show_duration
from driftfleet.fleet_status import FleetStatus
from driftfleet.places import named
from driftfleet.root_status import RootStatus
from producer.columns import Column, fit
from producer.page import Page, Printer, show_age
from producer.progress import Progress
from producer.table import COLOURS, ORDER, json_line

_LEAST_NAME = 12
_LEAST_WHAT = 16
_MOST_NAMED = 10


def show_status(
    fleet: FleetStatus,
    now: datetime,
    stdout: TextIO,
    progress: Progress,
    *,
    as_json: bool,
    stale: timedelta | None,
) -> None:
    """Print the roots and what is not known of others, which scripts get on stderr."""
    if as_json:
        for one in fleet.roots:
            stdout.write(f"{json_line(one)}\n")
        stdout.flush()
        for line in _others(fleet, Page(width=None)):
            progress.message(line)
        return
    printer = Printer(stdout)
    page = printer.page
    if fleet.roots:
        head, *rows = fit(_columns(fleet.roots, now, page, stale), page.width, page.ellipsis)
        printer.line(Text(head, style="bold"))
        for one, row in zip(fleet.roots, rows, strict=True):
            printer.line(Text(row, style=COLOURS[one.verdict]))
        printer.line(Text())
    for line in _others(fleet, page):
        printer.line(Text(line))
    printer.line(Text(_summary(fleet, stale)))
    printer.flush()


def _columns(
    roots: Sequence[RootStatus], now: datetime, page: Page, stale: timedelta | None
) -> list[Column]:
    variants = [one.variant for one in roots]
    if stale is None:
        age = Column("SINCE", [_age(one.since, now) for one in roots], right=True)
    else:
        age = Column("JUDGED", [_age(one.judged_at, now) for one in roots], right=True)
    return [
        Column("VERDICT", [one.verdict.value for one in roots]),
        Column("REPOSITORY", [page.shown(one.repo) for one in roots], least=_LEAST_NAME),
        Column("ROOT", [page.shown(one.root) for one in roots], least=_LEAST_NAME),
        *([Column("VARIANT", variants, least=7)] if set(variants) != {"default"} else []),
        age,
        Column("CHECKED", [_age(one.checked_at, now) for one in roots], right=True),
        Column("WHAT", [page.shown(what_of(one)) for one in roots], least=_LEAST_WHAT, rank=1),
    ]


def what_of(one: RootStatus) -> str:
    """What was found, on one line."""
    if one.error_kind is not None:
        first = next(iter(one.error_message.strip().splitlines()), "")
        return f"{one.error_kind}: {first}"
    counts = one.counts
    told = {
        "drifted": counts.drifted,
        "to add": counts.add,
        "to change": counts.change,
        "to destroy": counts.destroy,
        "output" if counts.outputs == 1 else "outputs": counts.outputs,
    }
    return ", ".join(f"{count} {what}" for what, count in told.items() if count)


def _age(at: datetime | None, now: datetime) -> str:
    return "never" if at is None else show_age((now - at).total_seconds())


def _others(fleet: FleetStatus, page: Page) -> Iterator[str]:
    """What there is no line of in the table."""
    never = [named(place).title for place in fleet.never]
    gone = [one.title for one in fleet.gone]
    yield from _section("never answered, though they are in the code", never, page)
    yield from _section("no longer in the code, or excluded, and not counted", gone, page)


def _section(what: str, titles: Sequence[str], page: Page) -> Iterator[str]:
    if not titles:
        return
    yield f"{len(titles):,} {what}:"
    yield from (f"  {page.shown(title)}" for title in titles[:_MOST_NAMED])
    if (more := len(titles) - _MOST_NAMED) > 0:
        yield f"  and {more:,} more"


def _summary(fleet: FleetStatus, stale: timedelta | None) -> str:
    """``12 roots: 1 error, 3 drifted, 8 clean; 2 never answered``."""
    counts = Counter(one.verdict for one in fleet.roots)
    verdicts = ", ".join(f"{counts[v]:,} {v.value}" for v in ORDER if counts[v])
    number = f"{len(fleet.roots):,} root{'' if len(fleet.roots) == 1 else 's'}"
    if stale is not None:
        number += f" not judged for more than {show_duration(stale)}"
    more = [
        f"{count:,} {what}"
        for count, what in (
            (len(fleet.never), "never answered"),
            (len(fleet.unreadable), "unreadable"),
            (len(fleet.gone), "gone"),
        )
        if count
    ]
    return "; ".join([f"{number}: {verdicts}" if verdicts else number, *more])
