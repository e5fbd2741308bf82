"""`driftfleet report`: the dashboard's pages."""

import sys
from pathlib import Path

import click

from producer.options import (
    JSON,
    RESULTS,
    explained,
    interruptible,
    key,
    settings_from,
    store_url,
)


@click.command("report")
@JSON
@click.option("--serve", is_flag=True, help="Then show them in a browser, on this machine alone.")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    default=8780,
    show_default=True,
    metavar="N",
    help="Where --serve listens on 127.0.0.1; 0 is any that is free.",
)
@click.option(
    "--stale",
    metavar="TIME",
    help="Roots without a verdict for longer count as stale, such as 6h or 2d. Default: 24h. "
    f"{key('report.stale_after')}",
)
@RESULTS
@click.pass_obj
@explained
def report_command(
    config: Path | None,
    *,
    as_json: bool,
    serve: bool,
    port: int,
    stale: str | None,
    results: str | None,
) -> None:
    """Make the dashboard's pages beside the results, and print where they are.

    The producer makes them after each sweep, and `driftfleet scan` at its end; this is for who
    doesn't want to wait, or runs neither. Only pages of what changed are made anew; it can be
    interrupted at any moment, and run beside another one.

    With --serve they are shown at http://127.0.0.1:PORT/ until Ctrl-C, whatever the store is: a
    bucket needs no website for that. Where we may not write to the store, the pages that are there
    are shown.

    \b
    Exit codes:
      0    made
      1    the store doesn't give or take what it should
      2    usage or configuration, such as a port that is taken
      130  stopped by Ctrl-C; 143 by TERM

    \b
    Examples:
      driftfleet report
      driftfleet report --serve
      driftfleet report --results s3://company-drift/prod --serve --port 0
    """
    settings = settings_from(
        config,
        {
            "results.store": store_url(results) if results else None,
            "report.stale_after": stale,
        },
    )
    from producer.reporting import make_report  # noqa: PLC0415 - `--help` needs none of it

    if not serve:
        interruptible(lambda: make_report(settings, sys.stdout, as_json=as_json))
        return
    from producer.report_server import serve_report  # noqa: PLC0415

    interruptible(lambda: serve_report(settings, port, sys.stdout, sys.stderr, as_json=as_json))
