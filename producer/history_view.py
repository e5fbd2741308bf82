"""The line of verdicts of a root as a person or a script reads it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.text import Text

from driftfleet.latest import MOST_RUNS, LatestRecord, Run
from driftfleet.results import Result, Verdict
from producer.columns import Column, fit
from producer.page import Page, Printer, show_age
from producer.table import COLOURS, json_line, what_of

_SHOWN_FINGERPRINT = 8


def show_runs(
    latest: LatestRecord,
    runs: Sequence[Run],
    total: int,
    now: datetime,
    stdout: TextIO,
    *,
    as_json: bool,
) -> None:
    """What was said, newest first: one line for all checks in a row that said the same."""
    if as_json:
        for run in runs:
            stdout.write(f"{json_line(run)}\n")
        stdout.flush()
        return
    printer = Printer(stdout)
    _show_head(latest, now, printer)
    page = printer.page
    head, *rows = fit(_columns(runs, page), page.width, page.ellipsis)
    printer.line(Text(head, style="bold"))
    for run, row in zip(runs, rows, strict=True):
        printer.line(Text(row, style=COLOURS[run.verdict]))
    for line in _rest(latest, len(runs), total):
        printer.line(Text(line))
    printer.flush()


def show_checks(
    latest: LatestRecord,
    results: Iterable[Result],
    now: datetime,
    stdout: TextIO,
    *,
    as_json: bool,
) -> None:
    """Each check, newest first, as it comes from the store."""
    if as_json:
        for result in results:
            stdout.write(f"{json_line(result)}\n")
            stdout.flush()
        return
    printer = Printer(stdout)
    _show_head(latest, now, printer)
    width = max(map(len, Verdict))
    head = f"{'FINISHED':<20}  {'VERDICT':<{width}}  {'SECONDS':>7}  WHAT"
    printer.line(Text(head, style="bold"))
    for result in results:
        seconds = f"{result.timings_seconds.total:.1f}"
        line = f"{_moment(result.finished_at)}  {result.verdict.value:<{width}}  {seconds:>7}  "
        whole = f"{line}{printer.page.shown(what_of(result))}".rstrip()
        printer.line(printer.page.line(whole, COLOURS[result.verdict]))
    printer.flush()


def _show_head(latest: LatestRecord, now: datetime, printer: Printer) -> None:
    printer.line(printer.page.line(printer.page.shown(latest.result.job.title), "bold"))
    for line in _facts(latest, now):
        printer.line(printer.page.line(line))
    printer.line(Text())


def _facts(latest: LatestRecord, now: datetime) -> Iterable[str]:
    """Since when it is so, and what was before."""

    def ago(at: datetime) -> str:
        return f"{show_age((now - at).total_seconds())} ago"

    checks = f"{latest.streak:,} check{'' if latest.streak == 1 else 's'}"
    yield (
        f"{latest.result.verdict} in {checks} since {_moment(latest.first_seen)}; "
        f"checked {ago(latest.result.finished_at)}"
    )
    told = {
        "drifted since": latest.drifted_since,
        "unapplied since": latest.unapplied_since,
        "these changes since": latest.fingerprint_since,
        "last clean": latest.last_clean,
    }
    yield from (f"{what} {_moment(at)}, {ago(at)}" for what, at in told.items() if at)
    if error := latest.last_error:
        yield f"last error {_moment(error.at)}, {ago(error.at)}: {error.kind} (in {error.phase})"


def _columns(runs: Sequence[Run], page: Page) -> list[Column]:
    return [
        Column("VERDICT", [run.verdict.value for run in runs]),
        Column("FROM", [_moment(run.first) for run in runs]),
        Column("TO", [_moment(run.last) for run in runs]),
        Column("CHECKS", [f"{run.checks:,}" for run in runs], right=True),
        Column("WHAT", [page.shown(_what(run)) for run in runs], least=8, rank=1),
    ]


def _what(run: Run) -> str:
    """The kind of an error; else which set of changes: equal ones have equal letters."""
    return run.error.value if run.error else run.fingerprint[:_SHOWN_FINGERPRINT]


def _rest(latest: LatestRecord, shown: int, total: int) -> Iterable[str]:
    if more := total - shown:
        yield f"and {more:,} before (--limit)"
    elif len(latest.runs) == MOST_RUNS:
        yield "What was before is in the history: --checks"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
