"""Fleets as the dashboard sees them: of any size, always the same, and one of hostile names."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftfleet.day import DayRecord, day_of
from driftfleet.fleet_status import FleetStatus
from driftfleet.jobs import Job, Source, Variant
from driftfleet.latest import LatestRecord, follow
from driftfleet.places import latest_key, place
from driftfleet.report.assets import assets
from driftfleet.report.edition import Edition
from driftfleet.report.front import front_page
from driftfleet.report.links import INDEX_KEY
from driftfleet.results import CheckError, ErrorKind, Result, Summary, Verdict
from driftfleet.root_status import RootStatus, status_of

AT = datetime(2026, 11, 29, 14, 2, 11, tzinfo=UTC)
OPEN, LONG = "\u202e", "long-" * 60
HOSTILE = (
    "<script>boom()</script>",
    "\"><img src=x onerror=boom()>",
    "</script><script>boom()</script><!--",
    f"safe{OPEN}gnp.exe",
    LONG,
    "émoji-🚀-\u05d0\u05d1\u05d2",
    "two\nlines\u2028three",
    "{{ 7 * 7 }} ' onmouseover=boom() x='",
    "100%25 %2e%2e",
    "&lt;b&gt; &amp;",
)  # fmt: skip
_WORDS = ("network", "dns", "iam", "payments", "search", "ledger", "edge", "mail", "media", "data")
_STAGES = ("prod", "staging", "dev", "eu-west-1/prod", "us-east-1/prod")
_MESSAGES = {
    ErrorKind.CREDENTIALS: ("plan", "No valid credential sources found for AWS provider."),
    ErrorKind.TIMEOUT: ("plan", "The plan did not end within 30m and was stopped."),
    ErrorKind.PROVIDER_MISSING: ("init", "The mirror lacks hashicorp/aws 5.91.0."),
    ErrorKind.STATE_LOCKED: ("plan", "The state is locked by ci@build-7 since 09:12."),
}


def root(
    repo: str = "acme/infra",
    path: str = "envs/prod",
    variant: str = "default",
    *,
    said: Sequence[tuple[Verdict, timedelta]] = ((Verdict.CLEAN, timedelta(hours=1)),),
    summary: Summary | None = None,
    kind: ErrorKind = ErrorKind.TIMEOUT,
    message: str = "It did not end in time.",
) -> RootStatus:
    """The status of a root about which checks ``said`` verdicts, oldest first, so long ago."""
    source = Source(kind="github", repo=repo, sha="4f2c" * 10)
    job = Job(sweep_id="s1", source=source, root=path, variant=Variant(name=variant))
    latest: LatestRecord | None = None
    for verdict, ago in said:
        error = CheckError(phase="plan", kind=kind, message=message)
        latest = follow(
            latest,
            Result(
                job=job,
                verdict=verdict,
                summary=summary or Summary(),
                error=error if verdict == Verdict.ERROR else None,
                fingerprint="" if verdict in (Verdict.CLEAN, Verdict.ERROR) else "f1",
                started_at=AT - ago,
                finished_at=AT - ago,
            ),
        )
    assert latest is not None
    return status_of(latest_key(job), latest)


def example_fleet() -> FleetStatus:
    """What the example fleet comes to: 14 roots and variants of one folder."""
    found = {
        "mainframe": Verdict.ERROR,
        "legacy": Verdict.ERROR,
        "broken": Verdict.ERROR,
        "remote-state": Verdict.ERROR,
        "gateway": Verdict.DRIFTED_UNAPPLIED,
        "certificates": Verdict.DRIFTED,
        "dns": Verdict.DRIFTED,
        "hotfix": Verdict.DRIFTED,
        "billing": Verdict.UNAPPLIED,
        "catalog": Verdict.UNAPPLIED,
    }
    kinds = [ErrorKind.PROVIDER_MISSING, ErrorKind.VERSION, ErrorKind.HCL]
    kinds.append(ErrorKind.BACKEND_UNREACHABLE)
    roots = [
        root(
            "local/fleet-3f9a11c2",
            name,
            said=[(verdict, timedelta(seconds=40 + number))],
            kind=kinds[number % 4],
            message=f"{name}: what terraform said of it.",
            summary=Summary(
                drifted=int(verdict.startswith("drifted")), add=int(verdict.endswith("unapplied"))
            ),
        )
        for number, (name, verdict) in enumerate(found.items())
    ]
    clean = [("network", "default"), ("reports", "default")]
    clean += [("shop", "production"), ("shop", "staging")]
    roots += [root("local/fleet-3f9a11c2", *one) for one in clean]
    return FleetStatus(roots=tuple(sorted(roots, key=lambda one: (one.root, one.variant))))


def fleet_of(count: int, seed: int = 1) -> FleetStatus:
    """A fleet of so many roots, most of them clean, a few of them stale or never answered."""
    dice = random.Random(seed)
    roots = {one.key: one for one in (_any_root(dice, count) for _ in range(count * 2))}
    every = list(roots.values())[:count]
    never = every[: count // 300]
    gone = every[count // 300 : count // 200]
    there = every[count // 200 :]
    places = (one.key.removeprefix("latest/").removesuffix(".json") for one in never)
    return FleetStatus(
        roots=tuple(sorted(there, key=lambda one: (one.repo, one.root, one.variant))),
        gone=tuple(gone),
        never=tuple(sorted(places)),
        unreadable={"latest/acme/odd/x/default.json": "not a LatestRecord of schema 1: EOF"}
        if count > 1000
        else {},
    )


def days_of(fleet: FleetStatus, at: datetime = AT, seed: int = 1) -> list[DayRecord]:
    """Days before ``at`` that lead to what the fleet is now; two of them nobody counted."""
    dice = random.Random(seed)
    day = day_of(fleet, at, timedelta(hours=24))
    days: list[DayRecord] = []
    for back in range(1, 30):
        moved = {
            verdict: max(0, round(count * (1 + dice.uniform(-0.13, 0.16))))
            for verdict, count in day.verdicts.items()
            if verdict != Verdict.CLEAN
        }
        clean = max(0, day.roots - day.never - day.unreadable - sum(moved.values()))
        day = day.model_copy(
            update={
                "date": day.date - timedelta(days=1),
                "at": day.at - timedelta(days=1),
                "verdicts": {**moved, Verdict.CLEAN: clean},
            }
        )
        if back not in (11, 12):
            days.append(day)
    return days[::-1]


def hostile_fleet() -> FleetStatus:
    """Roots, variants' repositories, errors and broken records with every hostile name."""
    roots = [
        root(
            "acme/infra",
            name,
            said=[(Verdict.ERROR, timedelta(hours=2))],
            kind=list(ErrorKind)[number],
            message=f"{name} {name}",
        )
        for number, name in enumerate(HOSTILE)
    ]
    drifted = [(Verdict.DRIFTED, timedelta(days=3, hours=number)) for number in range(1)]
    roots += [
        root(f"local/{name[:90]}", "a/b", said=drifted) for name in HOSTILE if "/" not in name
    ]
    never = [
        place(Job(sweep_id="s1", source=Source(kind="github", repo="acme/new"), root=name))
        for name in HOSTILE
    ]
    return FleetStatus(
        roots=tuple(roots),
        gone=tuple(root("acme/gone", name) for name in HOSTILE),
        never=tuple(never),
        unreadable={f"latest/acme/{name}.json": f"not a record: {name}" for name in HOSTILE},
    )


def write_site(
    folder: Path, fleet: FleetStatus, days: Sequence[DayRecord] = (), edition: Edition | None = None
) -> Path:
    """Write a front page and what it loads; return its path."""
    page = folder / INDEX_KEY
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(front_page(fleet, days, edition or Edition(AT)), encoding="utf-8")
    for asset in assets():
        path = folder / asset.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(asset.body)
    return page


def _any_root(dice: random.Random, count: int) -> RootStatus:
    team = dice.choice(("platform", "payments", "growth", "core"))
    service = f"{dice.choice(_WORDS)}-{dice.randrange(1 + count // 1000)}"
    path = f"{dice.choice(_WORDS)}/{dice.choice(_STAGES)}"
    if dice.random() < 0.4:
        path = f"services/{dice.choice(_WORDS)}-{dice.randrange(9)}/{path}"
    verdict = dice.choices(list(Verdict), weights=[930, 26, 22, 6, 16])[0]
    checked = timedelta(minutes=dice.randrange(5, 360))
    if dice.random() < 0.02:
        checked += timedelta(hours=dice.randrange(20, 150))
    before = checked + timedelta(hours=dice.choice([3, 8, 30, 90, 300, 900, dice.randrange(2400)]))
    said = [(Verdict.CLEAN, before + timedelta(hours=6)), (verdict, before), (verdict, checked)]
    if verdict == Verdict.CLEAN and dice.random() < 0.004:
        said[0] = (Verdict.DRIFTED, before + timedelta(hours=6))
    kind = dice.choices(list(_MESSAGES), weights=[4, 3, 2, 1])[0]
    return root(
        f"{team}/{service}",
        path,
        dice.choices(["default", "staging", "production"], weights=[8, 1, 1])[0],
        said=said,
        summary=_any_summary(dice, verdict),
        kind=kind,
        message=_MESSAGES[kind][1],
    )


def _any_summary(dice: random.Random, verdict: Verdict) -> Summary:
    drifted = dice.randrange(1, 9) if verdict.startswith("drifted") else 0
    if not verdict.endswith("unapplied"):
        return Summary(drifted=drifted)
    return Summary(
        drifted=drifted,
        add=dice.randrange(1, 6),
        change=dice.randrange(3),
        destroy=dice.randrange(2),
    )
