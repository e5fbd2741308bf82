"""The page of a sweep: what was asked, what came back, and where the time went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import AwareDatetime, Field

from driftfleet.model import Record
from driftfleet.remedies import REMEDIES
from driftfleet.report.edition import Edition
from driftfleet.report.links import SWEEPS_KEY, sweep_page_key
from driftfleet.report.pages import render
from driftfleet.report.root import PHASES, Share, shares
from driftfleet.results import ErrorKind, Verdict
from driftfleet.sweeps import Answered, SweepRecord

# A sweep may be of ten thousand roots: its page names no more of them for each reason.
MOST_NAMED = 200
_MOST_SOURCE = 200


class SweepLine(Record):
    """A sweep in one line of the list; what is counted is named in its record."""

    sweep_id: str
    source: str
    started_at: AwareDatetime
    closed_at: AwareDatetime | None = None
    asked: int
    verdicts: dict[Verdict, int] = Field(default_factory=dict)
    missing: int = 0
    superseded: int = 0
    problems: int = 0
    is_late: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is open."""
        return (self.closed_at - self.started_at).total_seconds() if self.closed_at else None


@dataclass(frozen=True)
class Named:
    """Some of the checks of a sweep; ``hidden`` is how many more there are."""

    titles: tuple[str, ...]
    hidden: int

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.titles) + self.hidden


@dataclass(frozen=True)
class Errors:
    """Checks that could not be judged for one reason; of old sweeps nobody knows it."""

    kind: ErrorKind | None
    remedy: str
    named: Named


def line_of(sweep: SweepRecord) -> SweepLine:
    """The line of a sweep."""
    source = sweep.source
    return SweepLine(
        sweep_id=sweep.sweep_id,
        source=source if len(source) <= _MOST_SOURCE else f"{source[:_MOST_SOURCE]}…",
        started_at=sweep.started_at,
        closed_at=sweep.closed_at,
        asked=len(sweep.asked),
        verdicts=dict(sorted(Counter(sweep.answered.values()).items())),
        missing=len(sweep.missing),
        superseded=len(sweep.superseded),
        problems=len(sweep.problems),
        is_late=_is_late(sweep),
    )


def sweep_page(sweep: SweepRecord, pages: Mapping[str, str], edition: Edition) -> str:
    """The page of a sweep, which belongs under `sweep_page_key`.

    ``pages`` are the keys of roots' pages by the titles of their checks, as far as there are any.
    """
    summary = sweep.summary
    return render(
        "sweep.html",
        sweep_page_key(sweep.sweep_id),
        # One that is open doesn't stay so.
        replace(edition, lasting=sweep.closed_at is not None),
        sweep=sweep,
        key=f"sweeps/{sweep.sweep_id}.json",
        line=line_of(sweep),
        pages=pages,
        errors=errors_of(sweep),
        missing=_named(sweep.missing),
        superseded=_named(sweep.superseded),
        slowest=summary.slowest if summary else (),
        timings=shares(summary.timings_seconds) if summary else (),
        waited=summary.timings_seconds.wait if summary else 0.0,
        phases=PHASES,
        shares_of=_shares_of,
    )


def sweeps_page(lines: Sequence[SweepLine], edition: Edition) -> str:
    """The list of sweeps, in the order in which it is given; it belongs under `SWEEPS_KEY`."""
    return render("sweeps.html", SWEEPS_KEY, edition, lines=lines)


def titles_on(sweep: SweepRecord) -> frozenset[str]:
    """The titles of the checks that the page of the sweep names."""
    errors = [title for one in errors_of(sweep) for title in one.named.titles]
    slowest = [one.title for one in sweep.summary.slowest] if sweep.summary else []
    rest = [*_named(sweep.missing).titles, *_named(sweep.superseded).titles]
    return frozenset([*errors, *slowest, *rest])


def errors_of(sweep: SweepRecord) -> tuple[Errors, ...]:
    """What could not be judged, by kind, the most frequent first."""
    known = sweep.summary.errors if sweep.summary else {}
    by_kind: dict[ErrorKind | None, list[str]] = {}
    for title, verdict in sweep.answered.items():
        if verdict == Verdict.ERROR:
            by_kind.setdefault(known.get(title), []).append(title)
    ordered = sorted(by_kind.items(), key=lambda item: (-len(item[1]), item[0] or ""))
    return tuple(
        Errors(kind, REMEDIES[kind] if kind else "", _named(titles)) for kind, titles in ordered
    )


def _named(titles: Sequence[str]) -> Named:
    return Named(tuple(titles[:MOST_NAMED]), max(0, len(titles) - MOST_NAMED))


def _shares_of(one: Answered, slowest: Sequence[Answered]) -> Share:
    longest = max(other.timings_seconds.total for other in slowest)
    total = one.timings_seconds.total
    return Share(one.title, total, total / longest if longest else 0.0)


def _is_late(sweep: SweepRecord) -> bool:
    """Whether its deadline closed it."""
    ended: datetime | None = sweep.closed_at
    return bool(sweep.missing and sweep.deadline and ended and ended >= sweep.deadline)
