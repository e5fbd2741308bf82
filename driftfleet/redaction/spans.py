"""Stretches of a text that are to be masked."""

import re
from collections.abc import Iterable

MASK = "***"
# What may stand between two parts of one thing: terraform wraps at 78 columns, and draws a box.
GAP = r"(?:[\s│|]|\x1b\[[0-9;]{0,16}m)"
_TRAILING = re.compile(r"[.,;:!?]+$")

_ESCAPES = ("n", "r", "t")
Span = tuple[int, int]


def masked(text: str, spans: Iterable[Span]) -> str:
    """The text with ``***`` for each span; those that touch or overlap are one."""
    parts: list[str] = []
    position = 0
    for start, end in merged(_whole(text, span) for span in spans):
        parts += (text[position:start], MASK)
        position = end
    parts.append(text[position:])
    return "".join(parts)


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order, and none touches another."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > start:
            found.append((start, end))
    return found


def _whole(text: str, span: Span) -> Span:
    """Without the half of an escape that it begins with: `\\n` stays, or JSON is none any more."""
    start, end = span
    before = start
    while before and text[before - 1] == "\\":
        before -= 1
    return (
        (start + 1, end) if (start - before) % 2 and text[start : start + 1] in _ESCAPES else span
    )


def without_stop(text: str, start: int, end: int) -> Span:
    """Without the punctuation of the sentence that it ends."""
    if end < len(text) and not text[end].isspace():
        return start, end
    match = _TRAILING.search(text, max(start, end - 3), end)
    return start, match.start() if match and match.start() > start else end
