"""The commands that are about results: status, history, results."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from producer.options import (
    JSON,
    REPOSITORIES,
    RESULTS,
    explained,
    interruptible,
    kept_in,
    length,
    settings_from,
)

_VERDICTS = ("error", "drifted_unapplied", "drifted", "unapplied", "clean")


_ROOTS = click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="GLOB",
    help="Only root modules that it matches, such as 'envs/prod/**'; repeatable.",
)
_VERDICT = click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    type=click.Choice(_VERDICTS),
    help="Only those with this verdict; repeatable.",
)


@click.command("status")
@REPOSITORIES
@JSON
@_ROOTS
@_VERDICT
@click.option(
    "--stale",
    type=length,
    metavar="TIME",
    help="Only roots that were not judged for longer, such as 24h.",
)
@RESULTS
@click.pass_obj
@explained
def status_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    roots: tuple[str, ...],
    verdicts: tuple[str, ...],
    stale: timedelta | None,
    results: str | None,
) -> None:
    """Show the newest verdict of every root module, as results.store has it.

    What needs somebody comes first, and of that what has needed somebody for longest. SINCE is how
    long a root has drifted, or its changes have not been applied: an error in between doesn't begin
    it anew. CHECKED is how old the last check is. A REPO is owner/repo, owner/repo@ref, org:NAME or
    a folder that was scanned; without one: all that the store knows.

    Roots that are in the code and were never answered, and records that can't be read, are told:
    nothing is known of them, so not all is clean. Roots that are gone from the code are named and
    don't count. With --json all that is told on stderr.

    With --stale: what was not judged for longer (an error is no judgement; what never was judged
    counts from its first check on), and what was never answered.

    \b
    Exit codes:
      0    all clean; with --stale: there is none
      3    some root drifted or is unapplied
      1    some root could not be judged, or it is not known; with --stale: there is some
      2    usage or configuration, or no results there
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet status
      driftfleet status payments/infra --root 'envs/prod/**'
      driftfleet status --verdict drifted --verdict drifted_unapplied
      driftfleet status --stale 24h || echo 'somebody look'
      driftfleet status --json | jq -r 'select(.drifted_since) | [.drifted_since, .key] | @tsv'
    """
    settings = settings_from(config, kept_in(results))
    from producer.progress import standard_progress  # noqa: PLC0415 - `--help` needs none of it
    from producer.status import StatusOrder, show_fleet_status  # noqa: PLC0415

    order = StatusOrder(
        chosen=_chosen(targets, roots, verdicts),
        settings=settings,
        progress=standard_progress(),
        stdout=sys.stdout,
        stale=stale,
        as_json=as_json,
    )
    interruptible(lambda: show_fleet_status(order, datetime.now(UTC)))


@click.command("history")
@click.argument("words", nargs=-1, required=True, metavar="ROOT...")
@JSON
@click.option("--repo", metavar="REPO", help="Of this repository: owner/repo, or a folder.")
@click.option("--variant", metavar="NAME", help="Of this variant, where a root has several.")
@click.option("--checks", is_flag=True, help="Each check, not only where something changed.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show so many at most.",
)
@click.option("--since", type=length, metavar="TIME", help="Only the last 30d, 12h, ...")
@RESULTS
@click.pass_obj
@explained
def history_command(
    config: Path | None,
    words: tuple[str, ...],
    *,
    as_json: bool,
    repo: str | None,
    variant: str | None,
    checks: bool,
    limit: int,
    since: timedelta | None,
    results: str | None,
) -> None:
    """Show the line of verdicts of one root module, newest first.

    ROOT is the root's path, or how it ends; where that could be several, `owner/repo ROOT VARIANT`
    as other commands print it, with or without quotes; or a folder that was scanned.

    A line stands for all checks in a row that said the same: verdict, set of changes, kind of
    error. Sets of changes with the same letters are the same, whatever their values. The last fifty
    such lines are known. With --checks each check is shown, from the history, as long as that is
    kept.

    \b
    Exit codes:
      0    shown
      1    some record could not be read
      2    usage or configuration; no such root, or several
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet history envs/prod
      driftfleet history payments/infra envs/prod eu
      driftfleet history envs/prod --repo payments/infra --checks --since 7d
      driftfleet history envs/prod --checks --json | jq -r '[.finished_at, .verdict] | @tsv'
    """
    settings = settings_from(config, kept_in(results))
    from producer.chosen import Chosen  # noqa: PLC0415
    from producer.progress import standard_progress  # noqa: PLC0415
    from producer.root_history import HistoryOrder, show_history  # noqa: PLC0415

    order = HistoryOrder(
        words=words,
        chosen=Chosen(targets=(repo,) if repo else ()),
        variant=variant,
        settings=settings,
        progress=standard_progress(),
        stdout=sys.stdout,
        limit=limit,
        since=since,
        checks=checks,
        as_json=as_json,
    )
    interruptible(lambda: show_history(order, datetime.now(UTC)))


@click.command("results")
@REPOSITORIES
@JSON
@_ROOTS
@_VERDICT
@click.option("--latest", is_flag=True, help="The newest of each root. This is the default.")
@click.option("--since", type=length, metavar="TIME", help="All of the last 24h, 7d, ...")
@RESULTS
@click.pass_obj
@explained
def results_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    roots: tuple[str, ...],
    verdicts: tuple[str, ...],
    latest: bool,
    since: timedelta | None,
    results: str | None,
) -> None:
    """Print results for scripts: with --json whole records, one a line.

    By repository, root and variant, and of one root oldest first: the newest result of each, or
    with --since all that finished in that time. Roots that are gone from the code are among them,
    too. A REPO is as for `driftfleet status`. They are printed as they are read, and take no more
    memory where there are many. docs/results.md has the schema.

    \b
    Exit codes:
      0    printed, whatever the verdicts
      1    some record could not be read
      2    usage or configuration, or no results there
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet results --json | jq -r '.changes[] | select(.kind == "drift").address'
      driftfleet results --json --since 7d org:payments > week.jsonl
    """
    if latest and since is not None:
        raise click.UsageError("--latest and --since: say one of them, or neither for the latest")
    settings = settings_from(config, kept_in(results))
    from producer.progress import standard_progress  # noqa: PLC0415
    from producer.result_dump import DumpOrder, dump_results  # noqa: PLC0415

    order = DumpOrder(
        chosen=_chosen(targets, roots, verdicts),
        settings=settings,
        progress=standard_progress(),
        stdout=sys.stdout,
        since=since,
        as_json=as_json,
    )
    interruptible(lambda: dump_results(order, datetime.now(UTC)))


def _chosen(targets: tuple[str, ...], roots: tuple[str, ...], verdicts: tuple[str, ...]) -> Any:
    from driftfleet.results import Verdict  # noqa: PLC0415
    from producer.chosen import Chosen  # noqa: PLC0415

    return Chosen(targets, roots, tuple(map(Verdict, verdicts)))
