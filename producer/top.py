"""What `driftfleet top` shows: an overview of the fleet as lines of a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.text import Text

from driftfleet.ledger import WorkerSeen
from producer.columns import Column, cut, fit
from producer.overview import Overview, parts_of
from producer.page import Page, show_age

_GIB = 1 << 30
_MOST_TROUBLED = 3
_MOST_ERRORS = 10
_PART_GAP = "   "
# Below it names are hardly names any more.
_LEAST_NAME = 12
_WIDE = 110


@dataclass(frozen=True)
class _Section:
    """A head, and rows with their styles; ``nothing`` stands where there are none."""

    columns: Sequence[Column]
    styles: Sequence[str]
    nothing: str


def top_lines(overview: Overview, page: Page, *, trouble: str = "", hint: str = "") -> list[Text]:
    """The view, at most as high as the page. ``trouble``: why it isn't the newest."""
    head = [*_header(overview, page)]
    if trouble:
        head.append(page.line(page.shown(trouble), "bold red"))
    head += _troubled_workers(overview, page)
    sections = [_running(overview, page), _sweeps(overview, page), _errors(overview, page)]
    foot = [Text(), page.line(hint, "dim")] if hint else []
    room = None
    if page.height is not None:
        # A blank line and a head for each.
        room = page.height - len(head) - len(foot) - 2 * len(sections)
        while len(sections) > 1 and room < 2 * len(sections):
            sections.pop()
            room += 2
    shares = _shares([max(1, len(section.styles)) for section in sections], room)
    body = [
        line
        for section, share in zip(sections, shares, strict=True)
        for line in [Text(), *_section_lines(section, share, page)]
    ]
    if page.height is None:
        return [*head, *body, *foot]
    lines = [*head, *body][: max(1, page.height - len(foot))]
    blanks = [Text()] * (page.height - len(lines) - len(foot))
    return [*lines, *blanks, *foot][: page.height]


def _header(overview: Overview, page: Page) -> Iterator[Text]:
    parts = [
        ("driftfleet", "bold"),
        (f"{datetime.fromtimestamp(overview.at, UTC):%H:%M:%S} UTC", ""),
        *_numbers(overview),
        *_tightest(overview.workers, page),
    ]
    width = page.width
    line = Text(no_wrap=True)
    for text, style in parts:
        used = cell_len(line.plain) + len(_PART_GAP) + cell_len(text)
        if line.plain and width is not None and used > width:
            yield line
            line = Text(no_wrap=True)
        fitted = text if width is None else cut(text, width, page.ellipsis)
        line.append(_PART_GAP if line.plain else "").append(fitted, style=style)
    yield line


def _numbers(overview: Overview) -> Iterator[tuple[str, str]]:
    count = len(overview.workers)
    yield (f"{count} worker{'' if count == 1 else 's'}" if count else "no worker",
           "" if count else "bold red")  # fmt: skip
    yield f"{len(overview.running)}/{overview.slots} slots busy", ""
    yield f"{overview.waiting:,} waiting", ""
    yield f"{overview.later:,} later", ""
    if overview.oldest_seconds is not None:
        yield f"oldest {show_age(overview.oldest_seconds)}", ""
    rate = overview.checks_a_minute
    yield f"{rate:,.0f} checks/min" if rate >= 10 else f"{rate:.1f} checks/min", ""


def _tightest(workers: Sequence[WorkerSeen], page: Page) -> Iterator[tuple[str, str]]:
    """The free disk and memory of the worker that has least of it."""
    if not workers:
        return
    disk = min(workers, key=lambda one: one.free_disk_bytes)
    memory = min(workers, key=lambda one: one.available_memory_bytes)
    disk_of, memory_of = (f" ({page.shown(_host(one.name))})" for one in (disk, memory))
    if disk is memory:
        disk_of = ""
    if len(workers) == 1:
        memory_of = ""
    yield (
        f"free: {_bytes(disk.free_disk_bytes)} disk{disk_of}, "
        f"{_bytes(memory.available_memory_bytes)} memory{memory_of}",
        "",
    )


def _host(worker: str) -> str:
    """``HOST`` of Celery's ``celery@HOST/PID``."""
    return worker.removeprefix("celery@").rpartition("/")[0] or worker


def _troubled_workers(overview: Overview, page: Page) -> Iterator[Text]:
    troubled = [one for one in overview.workers if one.waits_for]
    for one in troubled[:_MOST_TROUBLED]:
        text = f"{_host(one.name)} starts nothing: {one.waits_for}"
        yield page.line(page.shown(text), "yellow")
    if (more := len(troubled) - _MOST_TROUBLED) > 0:
        yield page.line(f"and {more} more workers", "yellow")


def _running(overview: Overview, page: Page) -> _Section:
    rows = overview.running
    variants = [page.shown(one.variant) for one in rows]
    several = any(one.variant != "default" for one in rows)
    columns = [
        Column("RUNNING", [page.shown(one.repo) for one in rows], least=_LEAST_NAME),
        Column("ROOT", [page.shown(one.root) for one in rows], least=_LEAST_NAME),
        *([Column("VARIANT", variants, least=7, rank=1)] if several else []),
        Column("PHASE", [page.shown(one.phase) for one in rows]),
        Column("SINCE", [show_age(overview.at - one.started_at) for one in rows], right=True),
        Column("WORKER", [page.shown(one.worker) for one in rows], least=6, rank=2),
    ]
    return _Section(columns, [""] * len(rows), "nothing runs")


def _sweeps(overview: Overview, page: Page) -> _Section:
    rows = overview.sweeps
    overdue = [one.deadline <= overview.at for one in rows]
    columns = [
        Column("QUEUE", [page.shown(one.repo or one.sweep_id) for one in rows], least=_LEAST_NAME),
        Column("ASKED", [f"{one.asked:,}" for one in rows], right=True),
        Column("WAITING", [f"{one.waiting:,}" for one in rows], right=True),
        Column("RUNNING", [f"{one.running:,}" for one in rows], right=True),
        Column("ANSWERED", [f"{one.answered:,}" for one in rows], right=True),
        Column(
            "DEADLINE",
            [
                "overdue" if late else f"in {show_age(one.deadline - overview.at)}"
                for one, late in zip(rows, overdue, strict=True)
            ],
            right=True,
        ),
    ]
    if page.width is None or page.width >= _WIDE:
        columns += [Column("SWEEP", [page.shown(one.sweep_id) for one in rows], least=20, rank=1)]
    return _Section(columns, ["bold red" if late else "" for late in overdue], "no open sweep")


def _errors(overview: Overview, page: Page) -> _Section:
    rows = overview.errors[:_MOST_ERRORS]
    titles = [" ".join(filter(None, _short_title(one.title))) for one in rows]
    columns = [
        Column("LAST ERRORS", list(map(page.shown, titles)), least=2 * _LEAST_NAME),
        Column("KIND", [page.shown(one.error) for one in rows]),
        Column("AGO", [show_age(overview.at - one.finished_at) for one in rows], right=True),
        Column("WORKER", [page.shown(one.worker) for one in rows], least=6, rank=2),
    ]
    known = len(overview.recent)
    nothing = f"none of the last {known} answers is an error" if known else "no answer yet"
    return _Section(columns, ["red"] * len(rows), nothing)


def _short_title(title: str) -> tuple[str, str, str]:
    repo, root, variant = parts_of(title)
    return repo, root, "" if variant == "default" else f"[{variant}]"


def _section_lines(section: _Section, share: int, page: Page) -> Iterator[Text]:
    count = len(section.styles)
    shown = count if count <= share else max(0, share - 1)
    columns = [
        Column(c.head, c.cells[:shown], right=c.right, least=c.least, rank=c.rank)
        for c in section.columns
    ]
    head, *rows = fit(columns, page.width, page.ellipsis)
    yield page.line(head, "bold cyan")
    for row, style in zip(rows, section.styles, strict=False):
        yield page.line(row, style)
    if not count:
        yield page.line(section.nothing, "dim")
    elif shown < count:
        yield page.line(f"and {count - shown:,} more", "dim")


def _shares(wanted: Sequence[int], room: int | None) -> list[int]:
    """How many lines each may take: by turns, so that none is without while another has many."""
    if room is None:
        return list(wanted)
    shares = [0] * len(wanted)
    while room > 0 and shares != list(wanted):
        for n, wants in enumerate(wanted):
            if room > 0 and shares[n] < wants:
                shares[n] += 1
                room -= 1
    return shares


def _bytes(count: int) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= _GIB else f"{count >> 20} MiB"
