"""The `driftfleet` command. stdout is data, stderr is messages, exit codes are a contract."""

import functools
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from driftfleet.errors import ConfigurationError, DriftfleetError
from driftfleet.settings import CONFIG_VARIABLE, Settings, load_settings
from producer.table import harmless_lines

# 128 + SIGPIPE, as a program that doesn't catch it ends.
_BROKEN_PIPE = 141
P = ParamSpec("P")
R = TypeVar("R")
Overrides = dict[str, Any]


class _Explained(click.ClickException):
    """An error that a person can act on: its message, no traceback."""

    def __init__(self, error: DriftfleetError) -> None:
        super().__init__("\n".join(harmless_lines(error.message)))


class _Misused(_Explained):
    """The person has to change something first."""

    exit_code = 2


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Turn what we can explain into a message and an exit code, and a closed pipe into an end."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DriftfleetError as error:
            kind = _Misused if isinstance(error, ConfigurationError) else _Explained
            raise kind(error) from error
        except BrokenPipeError:
            # Whoever read our output has gone, as `head` does; nothing is left to say to anyone.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(_BROKEN_PIPE) from None

    return call


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
      driftfleet scan .                   check it all, on this machine
      driftfleet scan --json . | jq .verdict
    """
    context.obj = config


def _key(key: str) -> str:
    section, _, name = key.partition(".")
    variable = f"DRIFTFLEET_{section}__{name}".upper()
    return f"[{key} in fleet.yaml; {variable}]"


_TARGETS = click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
_JSON = click.option("--json", "as_json", is_flag=True, help="Records for scripts, one a line.")
_INCLUDE = click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help=f"Folders that are roots whatever is in them; repeatable. {_key('discovery.include')}",
)
_EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help=f"Folders to leave out, over --include; repeatable. {_key('discovery.exclude')}",
)
_CONCURRENCY = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Plans at the same time. Default: one per CPU. {_key('worker.concurrency')}",
)
_LOG_LEVEL = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help=f"Log from this level on, to stderr. {_key('logs.level')}",
)


@main.command("scan")
@_TARGETS
@_JSON
@_CONCURRENCY
@click.option(
    "--mirror",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"An unpacked provider mirror, to install from it alone. {_key('worker.mirror')}",
)
@click.option(
    "--results",
    metavar="URL|DIR",
    help=f"Where results are kept. Default: drift-results. {_key('results.store')}",
)
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help=f"The longest that one check may take. {_key('limits.timeout_seconds')}",
)
@click.option(
    "--workspace-bytes",
    type=click.IntRange(min=1),
    metavar="BYTES",
    help=f"The most disk that one check may fill. {_key('limits.workspace_bytes')}",
)
@click.option(
    "--terraform",
    metavar="PATH",
    help=f"The terraform to plan with. Default: the one on the PATH. {_key('worker.terraform')}",
)
@_INCLUDE
@_EXCLUDE
@_LOG_LEVEL
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
    """Check every root module below the folders TARGET..., on this machine.

    Starts a Redis and workers of its own, plans each root (never applies), shows what differs, and
    ends all that it started. Every result is kept as JSON.

    \b
    Exit codes:
      0    all clean
      3    some root drifted or is unapplied
      1    some root could not be judged
      2    usage or configuration
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet scan infrastructure/
      driftfleet scan --mirror /srv/providers --concurrency 4 infrastructure/ network/
      driftfleet scan --exclude 'sandbox/**' --json . | jq -r 'select(.verdict=="error").job.root'
    """
    settings = _settings(
        config,
        {
            "worker.concurrency": concurrency,
            "worker.mirror": mirror,
            "worker.terraform": terraform,
            "results.store": _store_url(results) if results else None,
            "limits.timeout_seconds": timeout,
            "limits.workspace_bytes": workspace_bytes,
            "discovery.include": include or None,
            "discovery.exclude": exclude or None,
            "logs.level": log_level,
        },
    )
    from producer.display import standard_display  # noqa: PLC0415 - `--help` needs none of it
    from producer.scan import Scan, scan  # noqa: PLC0415
    from producer.targets import target_folders  # noqa: PLC0415

    order = Scan(
        folders=target_folders(targets),
        settings=settings,
        display=standard_display(as_json=as_json, plain=log_level is not None),
        show_log=log_level is not None,
    )
    raise SystemExit(scan(order))


@main.command("discover")
@_TARGETS
@_JSON
@click.option("--all", "everything", is_flag=True, help="Show folders that are no roots, too.")
@_INCLUDE
@_EXCLUDE
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
    """Show what a scan of the folders TARGET... would check, and why or why not.

    \b
    Examples:
      driftfleet discover .
      driftfleet discover --all --json . | jq -r 'select(.kind=="child").path'
    """
    settings = _settings(
        config,
        {"discovery.include": include or None, "discovery.exclude": exclude or None},
    )
    from producer.inventory import show  # noqa: PLC0415
    from producer.targets import find, require_terraform, target_folders  # noqa: PLC0415

    found = find(target_folders(targets), settings.discovery)
    require_terraform(found)
    show(found, as_json=as_json, everything=everything, stdout=sys.stdout)


@main.command("worker")
@_CONCURRENCY
@_LOG_LEVEL
@click.pass_obj
@explained
def worker_command(config: Path | None, *, concurrency: int | None, log_level: str | None) -> None:
    """Answer jobs from the configured Redis, until told to end.

    Celery's worker with the options that this fleet needs. It wants broker.url in fleet.yaml, or
    DRIFTFLEET_BROKER__URL.

    \b
    Example:
      DRIFTFLEET_BROKER__URL=redis://:PASSWORD@redis:6379/0 driftfleet worker --concurrency 4
    """
    settings = _settings(config, {"worker.concurrency": concurrency, "logs.level": log_level})
    if settings.broker.url is None:
        raise ConfigurationError(
            "a worker needs a queue: set broker.url in fleet.yaml, or DRIFTFLEET_BROKER__URL, to "
            "the URL of Redis, such as redis://:PASSWORD@HOST:6379/0 (`driftfleet scan` needs none)"
        )
    from driftfleet.worker_command import worker_arguments  # noqa: PLC0415
    from producer.crew import worker_environment  # noqa: PLC0415

    arguments = worker_arguments(settings)
    os.execve(arguments[0], arguments, worker_environment(settings))  # noqa: S606


def _settings(config: Path | None, overrides: Overrides) -> Settings:
    given = {key: value for key, value in overrides.items() if value is not None}
    return load_settings(config, overrides=given)


def _store_url(results: str) -> str:
    if "://" in results:
        return results
    return f"file://{Path(results).expanduser().absolute()}"
