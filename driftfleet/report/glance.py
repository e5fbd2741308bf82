"""The fleet in one look: how many roots of each standing, and how much of it was judged lately."""

from dataclasses import dataclass

from driftfleet.day import DayRecord
from driftfleet.report.standing import STANDINGS, Standing
from driftfleet.results import Verdict

_WIDTH = 1000.0
# What is there at all can be seen.
_NARROWEST = 4.0


@dataclass(frozen=True)
class Tile:
    """``x`` and ``width`` are its part of a bar of 1000; ``before`` is yesterday's count."""

    standing: Standing
    count: int
    before: int | None
    x: float
    width: float

    @property
    def more(self) -> int | None:
        """How many more than yesterday."""
        return None if self.before is None else self.count - self.before


@dataclass(frozen=True)
class Glance:
    """What the tiles show together: roots of one moment, and their change since yesterday."""

    today: DayRecord
    tiles: tuple[Tile, ...]

    @property
    def needing(self) -> int:
        """All but the clean ones."""
        return self.today.roots - self.today.verdicts.get(Verdict.CLEAN, 0)

    @property
    def judged(self) -> int:
        """The roots with a verdict that is not stale."""
        return sum(self.today.verdicts.values()) - self.today.stale

    @property
    def coverage(self) -> int:
        """``judged`` of all in percent, rounded down: 100 is all of them."""
        return self.judged * 100 // self.today.roots if self.today.roots else 0


def glance(today: DayRecord, yesterday: DayRecord | None) -> Glance:
    """The tiles of all standings, those that need somebody first."""
    counts = [today.count(one.name) for one in STANDINGS]
    widths = _widths(counts)
    tiles = tuple(
        Tile(
            standing=standing,
            count=count,
            before=yesterday.count(standing.name) if yesterday else None,
            x=round(sum(widths[:place]), 2),
            width=round(widths[place], 2),
        )
        for place, (standing, count) in enumerate(zip(STANDINGS, counts, strict=True))
    )
    return Glance(today, tiles)


def _widths(counts: list[int]) -> list[float]:
    total = sum(counts) or 1
    raised = [max(count * _WIDTH / total, _NARROWEST) if count else 0.0 for count in counts]
    return [one * _WIDTH / (sum(raised) or 1) for one in raised]
