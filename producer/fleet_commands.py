"""The commands of `driftfleet` that are about a fleet: enqueue, doctor, and its services."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from driftfleet.configuration import process_environment
from driftfleet.settings import Settings
from producer.options import (
    CONCURRENCY,
    EXCLUDE,
    INCLUDE,
    JSON,
    LOG_LEVEL,
    REPOSITORIES,
    RESULTS,
    TARGETS,
    explained,
    filters,
    interruptible,
    kept_in,
    leave,
    settings_from,
)


@click.command("enqueue")
@REPOSITORIES
@JSON
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="GLOB",
    help="Only root modules that it matches, such as 'envs/prod/**'; repeatable.",
)
@click.option("--wait", is_flag=True, help="Follow the sweeps to their end, as a scan is shown.")
@click.option(
    "--priority",
    type=click.Choice(["normal", "high"]),
    default="normal",
    show_default=True,
    help="'high' goes before all that waits.",
)
@RESULTS
@INCLUDE
@EXCLUDE
@click.pass_obj
@explained
def enqueue_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    roots: tuple[str, ...],
    wait: bool,
    priority: str,
    results: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Ask the fleet's workers to check repositories now.

    A REPO is owner/repo, owner/repo@ref or org:NAME; without one: what `repositories` in fleet.yaml
    lists. Each repository becomes one sweep at its newest commit, through the Redis in broker.url,
    and its results go to results.store. Prints a line for each: its id, and how many checks.

    With --wait the display and the exit codes are those of `driftfleet scan`; Ctrl-C then only
    stops the watching.

    \b
    Exit codes:
      0    all sent; with --wait: all clean
      3    with --wait: some root drifted or is unapplied
      1    some repository could not be looked at; with --wait: or some root not judged
      2    usage or configuration
      130  stopped by Ctrl-C: what was sent goes on

    \b
    Examples:
      driftfleet enqueue
      driftfleet enqueue payments/infra --root 'envs/prod/**' --wait
      driftfleet enqueue payments/infra --priority high --wait
      driftfleet enqueue org:payments --json | jq -r .sweep_id
    """
    settings = settings_from(
        config,
        {
            **kept_in(results),
            **filters(include, exclude),
        },
    )
    from driftfleet.broker_password import with_broker_password  # noqa: PLC0415
    from producer.targets import read_targets  # noqa: PLC0415

    read = read_targets(targets, settings, folders=False)
    from producer.display import standard_display  # noqa: PLC0415
    from producer.enqueue import Enqueue, enqueue  # noqa: PLC0415
    from producer.progress import standard_progress  # noqa: PLC0415

    environment = process_environment()
    order = Enqueue(
        targets=read,
        settings=with_broker_password(settings, environment),
        environment=environment,
        progress=standard_progress(),
        stdout=sys.stdout,
        display=standard_display(as_json=as_json, plain=False) if wait else None,
        as_json=as_json,
        roots=roots,
        urgent=priority == "high",
    )
    leave(enqueue(order))


@click.command("doctor")
@TARGETS
@JSON
@click.pass_obj
@explained
def doctor_command(config: Path | None, targets: tuple[str, ...], *, as_json: bool) -> None:
    """Check what a fleet needs, and say how to mend it.

    Settings, Terraform, folders, disks, result store, secrets, Redis, workers, GitHub and its
    token; and whether each TARGET (owner/repo, owner/repo@ref or org:NAME; without one: what
    `repositories` in fleet.yaml lists) is there and may be read. docs/doctor.md has each
    finding. What it writes to the store and to Redis, to see whether they take it, it removes.

    \b
    Exit codes:
      0    no failure (there may be warnings)
      1    some failure
      2    usage
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet doctor
      driftfleet doctor payments/infra org:network
      driftfleet doctor --json | jq 'select(.level=="fail")'
    """
    from producer.doctor.examination import Doctor, examine  # noqa: PLC0415

    order = Doctor(config=config, targets=targets, environment=process_environment())
    from producer.doctor.report import report  # noqa: PLC0415

    interruptible(lambda: report(examine(order), as_json=as_json, stdout=sys.stdout))


@click.command("worker")
@CONCURRENCY
@LOG_LEVEL
@click.pass_obj
@explained
def worker_command(config: Path | None, *, concurrency: int | None, log_level: str | None) -> None:
    """Answer jobs from the configured Redis, until told to end.

    Celery's worker with the options that this fleet needs. It wants broker.url in fleet.yaml, or
    DRIFTFLEET_BROKER__URL. It refuses to start without what every check needs, such as a folder
    that it may write to: it would answer all jobs with errors, and faster than any other worker.

    \b
    Example:
      DRIFTFLEET_BROKER__URL=redis://:PASSWORD@redis:6379/0 driftfleet worker --concurrency 4
    """
    settings = settings_from(config, {"worker.concurrency": concurrency, "logs.level": log_level})
    from driftfleet.worker_command import worker_arguments  # noqa: PLC0415
    from producer.crew import worker_environment  # noqa: PLC0415
    from producer.enqueue import require_broker  # noqa: PLC0415
    from producer.stage import require_machine  # noqa: PLC0415

    require_broker(settings, "a worker")
    require_machine(settings, process_environment(), writes=True)
    _become("a worker", worker_arguments(settings), settings, worker_environment(settings))


@click.command("producer")
@LOG_LEVEL
@click.pass_obj
@explained
def producer_command(config: Path | None, *, log_level: str | None) -> None:
    """Do what is due for the fleet, until TERM.

    Beat sends it a tick each minute. It looks at the repositories that are due (`schedule`) and
    asks for their checks, puts back what the queue has lost, closes sweeps that nobody closed, and
    fills the provider mirror (mirror.sync_at). It needs the Redis in broker.url, results.store and
    the repositories' token; for the mirror also a terraform, and to write to worker.mirror, which
    the workers only read. Several may run.

    \b
    Examples:
      driftfleet producer
    """
    settings = settings_from(config, {"logs.level": log_level})
    from driftfleet.worker_command import producer_arguments  # noqa: PLC0415
    from producer.crew import producer_environment  # noqa: PLC0415
    from producer.targets import read_targets  # noqa: PLC0415

    if settings.repositories:
        # Told here where no GitHub is named: Celery would end in a traceback.
        read_targets((), settings, folders=False)
    environment = producer_environment(settings, config)
    _become("a producer", producer_arguments(settings), settings, environment)


@click.command("beat")
@LOG_LEVEL
@click.pass_obj
@explained
def beat_command(config: Path | None, *, log_level: str | None) -> None:
    """Send the producer a tick each minute, and a heartbeat through the workers, until TERM.

    It keeps nothing, writes to no disk, and what it didn't send nobody misses: any number may run.
    `driftfleet schedule` shows what is due when.

    \b
    Examples:
      driftfleet beat
    """
    settings = settings_from(config, {"logs.level": log_level})
    from driftfleet.worker_command import beat_arguments  # noqa: PLC0415
    from producer.crew import worker_environment  # noqa: PLC0415

    _become("beat", beat_arguments(settings), settings, worker_environment(settings))


def _become(
    what: str, arguments: list[str], settings: Settings, environment: dict[str, str]
) -> NoReturn:
    """Become one of Celery's services."""
    from driftfleet.broker_password import with_broker_password  # noqa: PLC0415
    from driftfleet.redis_client import connect  # noqa: PLC0415
    from producer.enqueue import require_broker  # noqa: PLC0415

    # What can't be a URL of Redis, or no password, is told here: Celery would end in a traceback.
    known = with_broker_password(settings, environment)
    connect(require_broker(known, what)).close()
    os.execve(arguments[0], arguments, environment)  # noqa: S606
