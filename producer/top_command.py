"""The command `driftfleet top`: what the fleet does now."""

import sys
from pathlib import Path

import click

from driftfleet.configuration import process_environment
from producer.options import explained, leave, settings_from


@click.command("top")
@click.option(
    "--every",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option("--once", is_flag=True, help="Look once, print it and end; also without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Look once, and print one record.")
@click.pass_obj
@explained
def top_command(config: Path | None, *, every: float, once: bool, as_json: bool) -> None:
    """Show what the fleet does now: what each slot plans, the queue, rates, the last errors.

    It asks the Redis in broker.url, and only reads. The longest running check comes first, and the
    sweep with the nearest deadline. q or Ctrl-C ends it. A Redis that goes away is told in the
    view, and it goes on when it is back. docs/doctor.md says what each number is.

    \b
    Exit codes:
      0    shown, and ended with q
      1    Redis did not answer when it began
      2    usage or configuration
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet top
      driftfleet top --every 10
      driftfleet top --once
      driftfleet top --json | jq '.queue.oldest_seconds'
    """
    from driftfleet.broker_password import with_broker_password  # noqa: PLC0415

    settings = with_broker_password(settings_from(config, {}), process_environment())
    from driftfleet.ledger import RedisLedger  # noqa: PLC0415 - `--help` needs none of it
    from driftfleet.redis_client import connect  # noqa: PLC0415
    from producer.broker import Broker  # noqa: PLC0415
    from producer.enqueue import require_broker  # noqa: PLC0415
    from producer.overview import look  # noqa: PLC0415
    from producer.top_screen import Top, show_top  # noqa: PLC0415

    client = connect(require_broker(settings, "`driftfleet top`"), settings.broker.ca_file)
    ledger, broker = RedisLedger(client), Broker(client)
    order = Top(
        look=lambda: look(ledger, broker),
        stdout=sys.stdout,
        every_seconds=every,
        once=once,
        as_json=as_json,
    )
    leave(show_top(order))
