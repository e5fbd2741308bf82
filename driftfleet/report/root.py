"""The page of a root and variant: what differs, since when, and what to do about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from driftfleet.latest import LatestRecord
from driftfleet.names import is_repository
from driftfleet.places import place_of_latest
from driftfleet.remedies import REMEDIES
from driftfleet.report.changes import grouped
from driftfleet.report.commands import check_again
from driftfleet.report.edition import Edition
from driftfleet.report.links import root_page_key
from driftfleet.report.pages import render
from driftfleet.report.timeline import strip
from driftfleet.results import Result, Timings, Verdict
from driftfleet.root_status import status_of

# As in `driftfleet.results.Timings`; the time in the queue is nobody's work.
PHASES: Mapping[str, str] = {
    "source": "fetching the source",
    "init": "init",
    "plan": "plan",
    "show": "reading the plan",
}
_SHA = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Surroundings:
    """What a root's page leads to.

    ``github_url`` is ``https://HOST``, or nothing where no server is named; ``has_sweep``: there is
    a page of the sweep of its last check, ``has_result``: its result is still in the history.
    """

    github_url: str = ""
    has_sweep: bool = False
    has_result: bool = True


@dataclass(frozen=True)
class Share:
    """A phase, how long it took, and its share of the longest."""

    name: str
    seconds: float
    share: float


def root_page(key: str, latest: LatestRecord, around: Surroundings, edition: Edition) -> str:
    """The page of the latest record under ``key``, which belongs under `page_of`."""
    result = latest.result
    status = status_of(key, latest)
    return render(
        "root.html",
        page_of(key),
        replace(edition, lasting=True),
        key=key,
        latest=latest,
        result=result,
        job=result.job,
        since=status.since,
        judged_at=status.judged_at,
        changes=grouped(result.changes),
        remedy=REMEDIES[result.error.kind] if result.error else "",
        stretches=strip(latest.runs),
        timings=shares(result.timings_seconds),
        folder_url=folder_url(result, around.github_url),
        again=check_again(result.job),
        around=around,
        is_judged=result.verdict != Verdict.ERROR,
        oldest=_oldest(latest),
    )


def page_of(key: str) -> str:
    """The key of the page of the latest record under ``key``."""
    return root_page_key(place_of_latest(key))


def shares(timings: Timings) -> tuple[Share, ...]:
    """The phases in their order, and what is in none of them."""
    spent = {name: getattr(timings, field) for field, name in PHASES.items()}
    rest = timings.total - sum(spent.values())
    if rest >= 0.05:
        spent["the rest"] = rest
    longest = max(spent.values(), default=0.0)
    return tuple(
        Share(name, seconds, seconds / longest if longest else 0.0)
        for name, seconds in spent.items()
    )


def folder_url(result: Result, github_url: str) -> str:
    """Where a browser shows the root's files at the commit; nothing for a local folder."""
    source = result.job.source
    is_known = source.kind == "github" and github_url and is_repository(source.repo)
    if not is_known or not _SHA.fullmatch(source.sha):
        return ""
    folder = "" if result.job.root == "." else f"/{quote(result.job.root)}"
    return f"{github_url}/{quote(source.repo)}/tree/{source.sha}{folder}"


def _oldest(latest: LatestRecord) -> datetime | None:
    return min((run.first for run in latest.runs), default=None)
