"""What was said of a root over time, as a strip."""

from collections.abc import Sequence
from dataclasses import dataclass

from driftfleet.latest import Run
from driftfleet.results import Verdict

WIDTH = 1000.0
# Narrower than that nobody sees it, whatever its share of the time.
_NARROWEST = 5.0


@dataclass(frozen=True)
class Stretch:
    """A run in the strip: where it begins, of `WIDTH`, and how wide it is."""

    run: Run
    x: float
    width: float

    @property
    def verdict(self) -> Verdict:
        """What was said."""
        return self.run.verdict


def strip(runs: Sequence[Run]) -> tuple[Stretch, ...]:
    """The runs from left to right, oldest first; each lasts until the next one began.

    Widths follow the time, as far as each is wide enough to be seen.
    """
    in_order = sorted(runs, key=lambda run: run.first)
    ends = [run.first for run in in_order[1:]] + [run.last for run in in_order[-1:]]
    spans = [
        max(0.0, (end - run.first).total_seconds()) for run, end in zip(in_order, ends, strict=True)
    ]
    whole = sum(spans)
    free = WIDTH - _NARROWEST * len(in_order)
    stretches: list[Stretch] = []
    x = 0.0
    for run, span in zip(in_order, spans, strict=True):
        share = span / whole if whole else 1 / len(in_order)
        width = _NARROWEST + free * share
        stretches.append(Stretch(run, round(x, 2), round(width, 2)))
        x += width
    return tuple(stretches)
