"""Columns of text that fit a width: what is too long is cut in its middle, for names differ at both
their ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

GAP = 2


@dataclass(frozen=True)
class Column:
    """One column: its cells below its head.

    ``least`` is how narrow it may become, where it may; of columns with a ``rank`` the highest goes
    first where there is no room for all.
    """

    head: str
    cells: Sequence[str]
    right: bool = False
    least: int | None = None
    rank: int = 0

    @property
    def width(self) -> int:
        """What it takes uncut."""
        return max(map(cell_len, (self.head, *self.cells)))


def fit(columns: Sequence[Column], width: int | None, ellipsis: str) -> list[str]:
    """The head and the rows; each at most ``width`` wide, where there is one."""
    shown, widths = _fitting(list(columns), width)
    rows = []
    for cells in zip(*((c.head, *c.cells) for c in shown), strict=True):
        padded = [
            _padded(cut(cell, room, ellipsis), room, right=column.right)
            for cell, room, column in zip(cells, widths, shown, strict=True)
        ]
        row = (" " * GAP).join(padded).rstrip()
        rows.append(row if width is None else cut(row, width, ellipsis))
    return rows


def _fitting(columns: list[Column], width: int | None) -> tuple[list[Column], list[int]]:
    """Those of the columns for which there is room, and how wide each is."""
    while True:
        widths = [column.width for column in columns]
        if width is None:
            return columns, widths
        least = [column.width if column.least is None else column.least for column in columns]
        while (over := sum(widths) + GAP * (len(widths) - 1) - width) > 0:
            # The widest gives first.
            gives = [n for n, w in enumerate(widths) if w > least[n]]
            if not gives:
                break
            widths[max(gives, key=lambda n: widths[n])] -= 1
        last = max(columns, key=lambda column: column.rank)
        if over <= 0 or last.rank == 0:
            return columns, widths
        columns = [column for column in columns if column is not last]


def cut(text: str, width: int, ellipsis: str) -> str:
    """Text of at most so many cells."""
    if cell_len(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 2:
        return _first(text, width)
    head = _first(text, room // 2)
    tail = _first(text[::-1], room - cell_len(head))[::-1]
    return f"{head}{ellipsis}{tail}"


def _first(text: str, width: int) -> str:
    taken = used = 0
    for character in text:
        used += cell_len(character)
        if used > width:
            break
        taken += 1
    return text[:taken]


def _padded(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
