"""The trend as bars: where each of them stands in a drawing that is 300 wide and 100 high."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from driftfleet.day import DayRecord
from driftfleet.report.standing import STANDINGS, Standing

STEP, BAR = 10, 7.5
_HEIGHT = 100.0
_NEEDING = tuple(one for one in STANDINGS if one.name != "clean")
_CLEAN = tuple(one for one in STANDINGS if one.name == "clean")


@dataclass(frozen=True)
class Block:
    """One standing's part of a bar; ``y`` counts from the top."""

    standing: Standing
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """A day. One without a record has no blocks, and is no day without roots."""

    date: datetime.date
    day: DayRecord | None
    x: float
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Panel:
    """Bars on one scale from 0 to ``top``."""

    top: int
    bars: tuple[Bar, ...]
    standings: tuple[Standing, ...]


Days = Sequence[tuple[datetime.date, DayRecord | None]]


def panels(days: Days) -> tuple[Panel, Panel]:
    """What needs somebody, and what is clean: on one scale the many would hide the few."""
    return _panel(days, _NEEDING), _panel(days, _CLEAN)


def _panel(days: Days, standings: tuple[Standing, ...]) -> Panel:
    highest = max((_total(day, standings) for _, day in days if day), default=0)
    top = _round_up(highest)
    bars = tuple(
        Bar(date, day, place * STEP + (STEP - BAR) / 2, _blocks(day, standings, top))
        for place, (date, day) in enumerate(days)
    )
    return Panel(top, bars, standings)


def _blocks(day: DayRecord | None, standings: tuple[Standing, ...], top: int) -> tuple[Block, ...]:
    if day is None:
        return ()
    blocks, floor = [], _HEIGHT
    for standing in standings:
        height = day.count(standing.name) * _HEIGHT / top
        floor -= height
        if height:
            blocks.append(Block(standing, round(floor, 3), round(height, 3)))
    return tuple(blocks)


def _total(day: DayRecord, standings: tuple[Standing, ...]) -> int:
    return sum(day.count(one.name) for one in standings)


def _round_up(highest: int) -> int:
    """The next round number of which half is a whole one, too: 2, 4, 6, 8, 10, 20, 30, 40, ..."""
    unit = 1
    while True:
        for top in (2 * unit, 3 * unit, 4 * unit, 5 * unit, 6 * unit, 8 * unit, 10 * unit):
            if highest <= top and top % 2 == 0:
                return top
        unit *= 10
