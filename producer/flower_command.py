"""`driftfleet flower`: who looks at the queue in a browser."""

from pathlib import Path

import click

from driftfleet.configuration import process_environment
from producer.options import LOG_LEVEL, explained, key, leave, settings_from


@click.command("flower")
@click.option(
    "--host",
    metavar="ADDRESS",
    help=f"Where to listen. Default: 127.0.0.1. {key('flower.host')}",
)
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    metavar="N",
    help=f"Default: 5555; 0 is any that is free. {key('flower.port')}",
)
@LOG_LEVEL
@click.pass_obj
@explained
def flower_command(
    config: Path | None, *, host: str | None, port: int | None, log_level: str | None
) -> None:
    """Show the fleet's queue in a browser, until TERM: Flower, for looking only.

    It shows each check as `owner/repo root variant`, with its worker and its time, and the queues.
    It changes nothing and writes to no disk. It needs the Redis in broker.url.

    With a password (flower.password in fleet.yaml names where it is kept: env://NAME, file://PATH,
    secretsmanager://NAME#KEY) every page wants it, and /metrics, too; only /healthcheck, which says
    OK, is open. Without one it listens on this machine alone. It speaks no TLS: put a proxy in
    front of it where others look.

    \b
    Exit codes:
      1    the place that keeps the password did not answer
      2    usage or configuration, such as an open address without a password
      130  stopped by Ctrl-C; 143 by TERM

    \b
    Examples:
      driftfleet flower
      DRIFTFLEET_FLOWER__PASSWORD=env://FLOWER_PASSWORD driftfleet flower --host 0.0.0.0
    """
    settings = settings_from(
        config, {"flower.host": host, "flower.port": port, "logs.level": log_level}
    )
    from producer.flower_server import serve_flower  # noqa: PLC0415 - takes a second

    leave(serve_flower(settings, process_environment()))
