"""The table of all roots: what the script shows, and what is there without it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from markupsafe import Markup

from driftfleet.fleet_status import FleetStatus
from driftfleet.places import named, place_of_latest, segment
from driftfleet.report.edition import Edition
from driftfleet.report.links import INDEX_KEY, href, root_page_key
from driftfleet.report.news import new_keys
from driftfleet.report.standing import STANDINGS, Standing
from driftfleet.report.words import visible
from driftfleet.results import Summary
from driftfleet.root_status import RootStatus

_RANK = {one.name: rank for rank, one in enumerate(STANDINGS)}


@dataclass(frozen=True)
class Row:
    """A root and variant. One that was never answered has no times and no page."""

    standing: Standing
    repo: str
    root: str
    variant: str
    since: datetime | None = None
    checked: datetime | None = None
    summary: Summary = field(default_factory=Summary)
    error: str = ""
    is_stale: bool = False
    is_new: bool = False
    page: str = ""


def rows_of(fleet: FleetStatus, edition: Edition) -> Sequence[Row]:
    """A row for each root, what needs somebody first and has for longest."""
    new = new_keys(fleet, edition.at)
    rows = [_answered(one, edition, is_new=one.key in new) for one in fleet.roots]
    rows += [_unanswered(place) for place in fleet.never]
    return sorted(rows, key=_need)


def data(rows: Sequence[Row], edition: Edition) -> Markup:
    """The rows as JSON for a block of the page: whatever names hold, none of it ends the block."""
    repos = list(dict.fromkeys(row.repo for row in rows))
    kinds = sorted({row.error for row in rows if row.error})
    at_repo = {repo: number for number, repo in enumerate(repos)}
    told = {
        "at": _seconds(edition.at),
        "standings": [[one.name, one.word, one.sign] for one in STANDINGS],
        "repos": [[visible(repo), _folder(repo)] for repo in repos],
        "kinds": kinds,
        "rows": [_packed(row, at_repo[row.repo], kinds) for row in rows],
    }
    text = json.dumps(told, separators=(",", ":"))
    # Not even a comment or an entity can begin. Beyond ASCII `json` has escaped everything.
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - its letters are those of JSON, without any of HTML's


def _answered(root: RootStatus, edition: Edition, *, is_new: bool) -> Row:
    return Row(
        standing=Standing.of(root.verdict),
        repo=root.repo,
        root=root.root,
        variant=root.variant,
        since=root.since,
        checked=root.checked_at,
        summary=root.counts,
        error=root.error_kind or "",
        is_stale=root.is_stale(edition.at, edition.settings.stale_after),
        is_new=is_new,
        page=root_page_key(place_of_latest(root.key)),
    )


def _unanswered(place: str) -> Row:
    return Row(Standing.of("never"), *named(place))


def _need(row: Row) -> tuple[int, float, str, str, str]:
    since = row.since.timestamp() if row.since else 0.0
    return _RANK[row.standing.name], since, row.repo, row.root, row.variant


def _folder(repo: str) -> str:
    """The link to where the pages of a repository's roots are."""
    owner, _, name = repo.partition("/")
    key = root_page_key(f"{segment(owner)}/{segment(name)}/-")
    return href(INDEX_KEY, key).removesuffix("-.html")


def _packed(row: Row, repo: int, kinds: Sequence[str]) -> list[object]:
    """A list, for names of fields would be most of the page."""
    summary = row.summary
    return [
        repo,
        visible(row.root),
        visible(row.variant),
        _RANK[row.standing.name],
        _seconds(row.since),
        _seconds(row.checked),
        [summary.drifted, summary.add, summary.change, summary.destroy, summary.outputs],
        kinds.index(row.error) if row.error else -1,
        row.is_stale + 2 * row.is_new,
        href(INDEX_KEY, row.page).removeprefix(_folder(row.repo)) if row.page else "",
    ]


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None
