"""What `driftfleet doctor` prints: a line for each thing, and below what fails how to mend it."""

import os
import shutil
import textwrap
from collections.abc import Iterable
from typing import TextIO

import click

from producer.doctor.findings import Finding
from producer.table import harmless, harmless_lines

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "bright_black"}
_LEVEL_WIDTH = 4
_WHAT_WIDTH = 12
_LEAST_WIDTH = 60
_INDENT = " " * 6


def report(findings: Iterable[Finding], *, as_json: bool, stdout: TextIO) -> int:
    """Print findings as they come; return the exit code: 1 where something fails."""
    on_terminal = stdout.isatty()
    coloured = on_terminal and "NO_COLOR" not in os.environ
    # Whole lines are for grep and logs.
    width = max(_LEAST_WIDTH, shutil.get_terminal_size().columns) if on_terminal else None
    failures = 0
    for finding in findings:
        lines = (
            [finding.model_dump_json()]
            if as_json
            else lines_of(finding, coloured=coloured, width=width)
        )
        encoding = stdout.encoding or "utf-8"
        for line in lines:
            stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stdout.flush()
        failures += finding.level == "fail"
    return 1 if failures else 0


def lines_of(finding: Finding, *, coloured: bool = False, width: int | None = None) -> list[str]:
    """``fail  token  what was found``, with more of it and the mend indented below.

    What is longer than ``width`` goes on below, between two words.
    """
    head = f"{finding.level:<{_LEVEL_WIDTH}}  {harmless(finding.what):<{_WHAT_WIDTH}}  "
    first, *more = harmless_lines(finding.finding) or [""]
    mend = [harmless(line) for line in finding.mend.splitlines()]
    lines = _fit(head, first, " " * len(head), width)
    for line in more:
        lines += _fit(_INDENT, line, _INDENT, width)
    for number, line in enumerate(mend):
        lines += _fit(f"{_INDENT}{'  ' if number else '->'} ", line, f"{_INDENT}   ", width)
    if coloured:
        level = click.style(lines[0][:_LEVEL_WIDTH], fg=_COLOURS[finding.level])
        lines[0] = level + lines[0][_LEVEL_WIDTH:]
    return lines


def _fit(head: str, text: str, indent: str, width: int | None) -> list[str]:
    if width is None or len(head) + len(text) <= width:
        return [f"{head}{text}".rstrip()]
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=indent,
        # A path, a URL or an option stays whole, so that it can be copied.
        break_long_words=False,
        break_on_hyphens=False,
    )
