"""The command `driftfleet schedule`: what is going to be checked when."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from driftfleet.configuration import process_environment
from producer.options import (
    JSON,
    REPOSITORIES,
    RESULTS,
    explained,
    interruptible,
    kept_in,
    settings_from,
)

_MOST_HOURS = 31 * 24


@click.command("schedule")
@REPOSITORIES
@JSON
@click.option(
    "--hours",
    type=click.IntRange(1, _MOST_HOURS),
    default=24,
    show_default=True,
    metavar="N",
    help="How far to look ahead.",
)
@click.option("--all", "everything", is_flag=True, help="Show each start, not only the next 20.")
@RESULTS
@click.pass_obj
@explained
def schedule_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    hours: int,
    everything: bool,
    results: str | None,
) -> None:
    """Show when the fleet's repositories are checked next.

    And how many checks that is an hour. A REPO is owner/repo, owner/repo@ref or org:NAME, of those
    that `repositories` in fleet.yaml lists; without one: all of them. When each is due comes from
    `schedule` in fleet.yaml and its own rule, and from when it was swept last, which is kept in
    results.store. Organisations are listed by GitHub; Redis isn't asked. Times are those of
    schedule.timezone.

    How many checks a repository has is known once it was swept. A start may have fewer: roots that
    were judged a short while ago are left out (schedule.minimum_age).

    \b
    Exit codes:
      0    shown
      1    some organisation could not be listed, or some record of a sweep not be read
      2    usage or configuration, or no schedule at all
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet schedule
      driftfleet schedule --hours 72 org:payments
      driftfleet schedule payments/infra --all
      driftfleet schedule --json | jq -r 'select(.overdue).repo'
    """
    settings = settings_from(config, kept_in(results))
    from producer.progress import standard_progress  # noqa: PLC0415 - `--help` needs none of it
    from producer.upcoming import Upcoming, show_upcoming  # noqa: PLC0415

    order = Upcoming(
        targets=targets,
        settings=settings,
        environment=process_environment(),
        progress=standard_progress(),
        stdout=sys.stdout,
        hours=hours,
        as_json=as_json,
        everything=everything,
    )
    interruptible(lambda: show_upcoming(order, datetime.now(UTC)))
