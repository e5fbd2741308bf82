"""The command `driftfleet prune`: history that is too old to be kept."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from producer.options import (
    JSON,
    RESULTS,
    explained,
    interruptible,
    kept_in,
    length,
    settings_from,
)


@click.command("prune")
@JSON
@click.option(
    "--older-than",
    type=length,
    default="90d",
    show_default=True,
    metavar="TIME",
    help="What finished longer ago.",
)
@click.option("--yes/--dry-run", help="Remove it. Without --yes it is only shown.")
@RESULTS
@click.pass_obj
@explained
def prune_command(
    config: Path | None,
    *,
    as_json: bool,
    older_than: timedelta,
    yes: bool,
    results: str | None,
) -> None:
    """Show which results are too old to be kept; with --yes remove them.

    For results in a folder; in S3 a lifecycle rule does it (deploy/results-bucket). What goes are
    results of the history and closed sweeps. The newest result of each root stays, however old it
    is, and so does all that the status and the dashboard are made of. Days of the trend are kept
    for 400 days. Workers may run meanwhile.

    \b
    Exit codes:
      0    shown, or removed
      1    some sweep could not be read, and stays; or something could not be removed
      2    usage or configuration
      130  stopped by Ctrl-C: what was removed until then is gone

    \b
    Examples:
      driftfleet prune
      driftfleet prune --older-than 30d --yes
    """
    settings = settings_from(config, kept_in(results))
    from producer.progress import standard_progress  # noqa: PLC0415
    from producer.prune import PruneOrder, prune  # noqa: PLC0415

    order = PruneOrder(
        older_than=older_than,
        settings=settings,
        progress=standard_progress(),
        stdout=sys.stdout,
        yes=yes,
        as_json=as_json,
    )
    interruptible(lambda: prune(order, datetime.now(UTC)))
