"""What `driftfleet doctor` prints: a line for each thing, and below what fails how to mend it."""

import os
from collections.abc import Iterable
from typing import TextIO

import click

from producer.doctor.findings import Finding
from producer.table import harmless, harmless_lines

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "bright_black"}
_WHAT_WIDTH = 12
_INDENT = " " * 6


def report(findings: Iterable[Finding], *, as_json: bool, stdout: TextIO) -> int:
    """Print findings as they come; return the exit code: 1 where something fails."""
    coloured = stdout.isatty() and "NO_COLOR" not in os.environ
    failures = 0
    for finding in findings:
        lines = [finding.model_dump_json()] if as_json else lines_of(finding, coloured=coloured)
        encoding = stdout.encoding or "utf-8"
        for line in lines:
            stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stdout.flush()
        failures += finding.level == "fail"
    return 1 if failures else 0


def lines_of(finding: Finding, *, coloured: bool = False) -> list[str]:
    """``fail  token  what was found``, with more of it and the mend indented below."""
    level = f"{finding.level:<4}"
    if coloured:
        level = click.style(level, fg=_COLOURS[finding.level])
    first, *more = harmless_lines(finding.finding) or [""]
    mend = [harmless(line) for line in finding.mend.splitlines()]
    return [
        f"{level}  {harmless(finding.what):<{_WHAT_WIDTH}}  {first}".rstrip(),
        *(f"{_INDENT}{line}" for line in more),
        *(f"{_INDENT}-> {line}" if not n else f"{_INDENT}   {line}" for n, line in enumerate(mend)),
    ]
