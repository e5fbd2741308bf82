"""The commands of `driftfleet`. stdout is data, stderr is messages, exit codes are a contract."""

import sys
from importlib.metadata import version
from pathlib import Path

import click

from driftfleet.configuration import CONFIG_VARIABLE, process_environment
from producer.fleet_commands import (
    beat_command,
    doctor_command,
    enqueue_command,
    producer_command,
    worker_command,
)
from producer.flower_command import flower_command
from producer.mirror_commands import mirror_group
from producer.options import (
    CONCURRENCY,
    EXCLUDE,
    INCLUDE,
    JSON,
    LOG_LEVEL,
    RESULTS,
    TARGETS,
    explained,
    filters,
    interruptible,
    kept_in,
    key,
    leave,
    settings_from,
)
from producer.prune_command import prune_command
from producer.report_command import report_command
from producer.result_commands import history_command, results_command, status_command
from producer.schedule_command import schedule_command
from producer.top_command import top_command
from producer.version_commands import versions_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="The fleet's settings. Without it: fleet.yaml in the current folder, if there is one.",
)
@click.version_option(version("driftfleet"), prog_name="driftfleet")
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """Tell, for every Terraform root module, whether the real world still matches the code.

    \b
    Examples:
      driftfleet discover .               what would be checked, and why
      driftfleet versions .               which Terraform would plan it, and why
      driftfleet scan .                   check it all, on this machine
      driftfleet scan acme/infra          the same for a repository on GitHub
      driftfleet scan --json . | jq .verdict
      driftfleet doctor acme/infra        why does it not work?
    """
    context.obj = config


@main.command("scan")
@TARGETS
@JSON
@CONCURRENCY
@click.option(
    "--mirror",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"An unpacked provider mirror, to install from it alone. {key('worker.mirror')}",
)
@RESULTS
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help=f"The longest that one check may take. {key('limits.timeout_seconds')}",
)
@click.option(
    "--workspace-bytes",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help=f"The most disk that one check may fill. {key('limits.workspace_bytes')}",
)
@click.option(
    "--terraform",
    metavar="PATH",
    help=f"The terraform to plan with. Default: the one on the PATH. {key('worker.terraform')}",
)
@INCLUDE
@EXCLUDE
@LOG_LEVEL
@click.pass_obj
@explained
def scan_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    concurrency: int | None,
    mirror: Path | None,
    results: str | None,
    timeout: int | None,
    workspace_bytes: int | None,
    terraform: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    log_level: str | None,
) -> None:
    """Check every root module of each TARGET, on this machine.

    A TARGET is a folder, a repository on GitHub (owner/repo, or owner/repo@ref for a branch, tag or
    commit), or all repositories of an organisation (org:NAME). A folder that exists wins over a
    repository of the same spelling. Without a TARGET: what `repositories` in fleet.yaml lists.

    Starts a Redis and workers of its own, plans each root (never applies), shows what differs, and
    ends all that it started. Every result is kept as JSON. Nothing is cloned: of a repository only
    what its roots need is fetched, and kept for the next time.

    Repositories want github.url and github.token in fleet.yaml, or DRIFTFLEET_GITHUB__URL and
    DRIFTFLEET_GITHUB__TOKEN; the token is named by where it is kept (env://NAME, file://PATH,
    secretsmanager://NAME#KEY).

    \b
    Exit codes:
      0    all clean
      3    some root drifted or is unapplied
      1    some root could not be judged, or some repository not looked at
      2    usage or configuration
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet scan infrastructure/
      driftfleet scan --mirror /srv/providers --concurrency 4 infrastructure/ network/
      driftfleet scan --exclude 'sandbox/**' --json . | jq -r 'select(.verdict=="error").job.root'

    \b
      export DRIFTFLEET_GITHUB__URL=https://github.example.com
      export DRIFTFLEET_GITHUB__TOKEN=env://GITHUB_TOKEN
      driftfleet scan payments/infra
      driftfleet scan payments/infra@release-7 network/core
      driftfleet scan org:payments
    """
    settings = settings_from(
        config,
        {
            "worker.concurrency": concurrency,
            "worker.mirror": mirror,
            "worker.terraform": terraform,
            **kept_in(results),
            "limits.timeout_seconds": timeout,
            "limits.workspace_bytes": workspace_bytes,
            **filters(include, exclude),
            "logs.level": log_level,
        },
    )
    from producer.targets import read_targets  # noqa: PLC0415 - `--help` needs none of it

    read = read_targets(targets, settings)
    from producer.display import standard_display  # noqa: PLC0415
    from producer.progress import standard_progress  # noqa: PLC0415
    from producer.scan import Scan, scan  # noqa: PLC0415

    order = Scan(
        targets=read,
        settings=settings,
        environment=process_environment(),
        display=standard_display(as_json=as_json, plain=log_level is not None),
        progress=standard_progress(plain=log_level is not None),
        show_log=log_level is not None,
    )
    leave(scan(order))


@main.command("discover")
@TARGETS
@JSON
@click.option("--all", "everything", is_flag=True, help="Show folders that are no roots, too.")
@INCLUDE
@EXCLUDE
@click.pass_obj
@explained
def discover_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    everything: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Show what a scan of each TARGET would check, and why or why not.

    A TARGET is a folder, owner/repo, owner/repo@ref or org:NAME, as for `driftfleet scan`; without
    one: what `repositories` in fleet.yaml lists.

    A folder whose files can't be parsed is shown as a root with its errors, and is no failure here:
    a scan will answer it with a verdict `error`.

    \b
    Exit codes:
      0    shown, whatever was found
      1    some repository could not be looked at
      2    usage or configuration, or no Terraform at all
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet discover .
      driftfleet discover payments/infra@main
      driftfleet discover --all --json . | jq -r 'select(.kind=="child").path'
    """
    settings = settings_from(config, filters(include, exclude))
    from producer.targets import read_targets  # noqa: PLC0415

    read = read_targets(targets, settings)
    from producer.inventory import Inventory, discover_targets  # noqa: PLC0415
    from producer.progress import standard_progress  # noqa: PLC0415

    order = Inventory(
        targets=read,
        settings=settings,
        environment=process_environment(),
        progress=standard_progress(),
        stdout=sys.stdout,
        as_json=as_json,
        everything=everything,
    )
    interruptible(lambda: discover_targets(order))


for command in (
    versions_command, status_command, history_command, results_command, enqueue_command,
    schedule_command, top_command, report_command, prune_command, doctor_command, mirror_group,
    worker_command, producer_command, beat_command, flower_command,
):  # fmt: skip
    main.add_command(command)
