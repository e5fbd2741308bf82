"""Results as text for people: the sorted table, the errors in full, the summary line."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from driftfleet.model import Record
from driftfleet.results import Change, Result, Verdict

# What needs action first.
ORDER = (
    Verdict.ERROR,
    Verdict.DRIFTED_UNAPPLIED,
    Verdict.DRIFTED,
    Verdict.UNAPPLIED,
    Verdict.CLEAN,
)
COLOURS = {
    Verdict.ERROR: "red",
    Verdict.DRIFTED_UNAPPLIED: "magenta",
    Verdict.DRIFTED: "yellow",
    Verdict.UNAPPLIED: "cyan",
    Verdict.CLEAN: "green",
}
_WORDS = {"drift": "drifted", "unapplied": "unapplied", "output": "output"}
_MOST_ADDRESSES = 2
_MOST_ATTRIBUTES = 3
_LINE_CHARACTERS = 120


def harmless(text: str) -> str:
    """Text that a terminal can't take for a command: what isn't printable becomes its escape.

    Names of folders and messages of providers are other people's; ``str.isprintable`` also refuses
    what turns the direction of writing.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def harmless_lines(text: str) -> list[str]:
    """The lines of a text of several, each `harmless`."""
    return [harmless(line.replace("\t", "    ").rstrip()) for line in text.splitlines()]


def json_line(record: Record) -> str:
    """A record for scripts, without the line's end.

    ASCII only: an escape sequence in a name stays an escape where a terminal shows it, and every
    stream takes it, whatever its encoding.
    """
    return json.dumps(record.model_dump(mode="json"), separators=(",", ":"))


def by_urgency(results: Iterable[Result]) -> list[Result]:
    """What needs action first; within one verdict by source, root and variant."""
    return sorted(
        results,
        key=lambda r: (
            ORDER.index(r.verdict), r.job.source.slug, r.job.root, r.job.variant.name,
        ),
    )  # fmt: skip


def root_of(result: Result, *, with_source: bool) -> str:
    """``root``, with its variant where it isn't the default, and its source where asked for."""
    job = result.job
    root = f"{job.source.slug}: {job.root}" if with_source else job.root
    variant = "" if job.variant.name == "default" else f" [{job.variant.name}]"
    return harmless(f"{root}{variant}")


def what_of(result: Result) -> str:
    """What was found, on one line."""
    if result.error is not None:
        first = next(iter(result.error.message.strip().splitlines()), "")
        return _shorten(f"{result.error.kind}: {harmless(first)}")
    parts = [
        _counted(word, [c for c in result.changes if c.kind == kind])
        for kind, word in _WORDS.items()
    ]
    return _shorten("; ".join(part for part in parts if part))


def seconds_of(result: Result) -> str:
    """How long the check took."""
    return f"{result.timings_seconds.total:.1f}"


def several_sources(results: Sequence[Result]) -> bool:
    """Whether a root's name needs its source beside it."""
    return len({result.job.source.repo for result in results}) > 1


def plain_table(results: Sequence[Result]) -> list[str]:
    """The table with spaces between its columns, for files and pipes."""
    with_source = several_sources(results)
    rows = [("VERDICT", "ROOT", "SECONDS", "WHAT")] + [
        (r.verdict.value, root_of(r, with_source=with_source), seconds_of(r), what_of(r))
        for r in by_urgency(results)
    ]
    widths = [max(width_of(row[column]) for row in rows) for column in range(3)]
    return [
        f"{_pad(verdict, widths[0])}  {_pad(root, widths[1])}  {time:>{widths[2]}}  {what}".rstrip()
        for verdict, root, time, what in rows
    ]


def details(results: Sequence[Result]) -> list[str]:
    """Each error in full, then what is worth knowing about the others."""
    with_source = several_sources(results)
    lines: list[str] = []
    for result in by_urgency(results):
        name = root_of(result, with_source=with_source)
        if result.error is not None:
            error = result.error
            lines += ["", f"{name}: {error.kind} (in {error.phase})"]
            lines += [f"  {line}" for line in harmless_lines(error.message.strip())]
            if error.transient:
                lines.append("  This can pass by itself: scan again.")
    notes = [
        f"{root_of(r, with_source=with_source)}: {harmless(' '.join(note.split()))}"
        for r in by_urgency(results)
        for note in r.notes
    ]
    return lines + (["", "Notes:"] + [f"  {note}" for note in notes] if notes else [])


def problem_lines(problems: Sequence[str]) -> list[str]:
    """What could not be looked at; told again at the end, where it is seen."""
    lines = [f"  {line}" for problem in problems for line in harmless_lines(problem)]
    return ["", "Not looked at:", *lines] if lines else []


def summary(results: Sequence[Result], seconds: float, problems: Sequence[str] = ()) -> str:
    """``12 checked in 34 s: 1 error, 3 drifted, 8 clean; 2 could not be looked at``."""
    counts = Counter(result.verdict for result in results)
    parts = ", ".join(f"{counts[v]} {v.value}" for v in ORDER if counts[v])
    time = f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    blind = f"; {len(problems)} could not be looked at" if problems else ""
    return f"{len(results)} checked in {time}" + (f": {parts}" if parts else "") + blind


def exit_code_of(results: Iterable[Result], problems: Sequence[str] = ()) -> int:
    """0 all clean, 3 some root drifted or is unapplied, 1 some root could not be judged.

    What could not even be looked at (``problems``) could not be judged.
    """
    verdicts = {result.verdict for result in results}
    if Verdict.ERROR in verdicts or problems:
        return 1
    return 3 if verdicts - {Verdict.CLEAN} else 0


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _counted(word: str, changes: Sequence[Change]) -> str:
    if not changes:
        return ""
    shown = ", ".join(_change(change) for change in changes[:_MOST_ADDRESSES])
    more = len(changes) - _MOST_ADDRESSES
    return f"{len(changes)} {word}: {shown}" + (f" and {more} more" if more > 0 else "")


def _change(change: Change) -> str:
    names = change.attributes[:_MOST_ATTRIBUTES]
    more = ", ..." if len(change.attributes) > _MOST_ATTRIBUTES else ""
    inside = ", ".join(names) + more if names else "/".join(change.actions)
    return harmless(f"{change.address} ({inside})" if inside else change.address)


def _shorten(text: str) -> str:
    return text if len(text) <= _LINE_CHARACTERS else f"{text[: _LINE_CHARACTERS - 3]}..."


def _pad(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
