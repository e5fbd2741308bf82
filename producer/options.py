"""What the commands share: options, and how errors and signals become messages and exit codes."""

import functools
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from driftfleet.configuration import load_settings
from driftfleet.errors import ConfigurationError, DriftfleetError
from driftfleet.s3_settings import SCHEME as S3_SCHEME
from driftfleet.settings import Settings
from producer.output import discard
from producer.stopping import Stopped, stopping
from producer.table import harmless_lines

# 128 + SIGPIPE, as a program that doesn't catch it ends.
_BROKEN_PIPE = 141
P = ParamSpec("P")
R = TypeVar("R")


class _Explained(click.ClickException):
    """An error that a person can act on: its message, no traceback."""

    def __init__(self, error: DriftfleetError) -> None:
        # Its patterns take as long to make as most commands take to begin.
        from driftfleet.redaction.redactor import Redactor  # noqa: PLC0415

        super().__init__("\n".join(harmless_lines(Redactor()(error.message))))


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
            discard(sys.stdout)
            raise SystemExit(_BROKEN_PIPE) from None

    return call


def leave(exit_code: int) -> None:
    """End the command with ``exit_code``, when all that it said has been taken."""
    sys.stdout.flush()
    sys.stderr.flush()
    raise SystemExit(exit_code)


def interruptible(work: Callable[[], int]) -> None:
    """Do the work and end with its exit code; a signal ends it at once and in order."""
    try:
        with stopping() as stop:
            stop.allow()
            code = work()
            stop.hold()
    except Stopped as stopped:
        click.echo("stopped", err=True)
        code = stopped.exit_code
    leave(code)


def filters(include: tuple[str, ...], exclude: tuple[str, ...]) -> dict[str, Any]:
    """The settings that --include and --exclude override."""
    return {"discovery.include": include or None, "discovery.exclude": exclude or None}


def settings_from(config: Path | None, overrides: dict[str, Any]) -> Settings:
    """The settings, with what was given on the command line over them."""
    given = {key: value for key, value in overrides.items() if value is not None}
    if not given.get("results.store", S3_SCHEME).startswith(S3_SCHEME):
        # How the file's bucket is reached is of no use to a folder.
        given["results.s3"] = {}
    return load_settings(config, overrides=given)


def store_url(results: str) -> str:
    """A result store as ``results.store`` has it, from a URL or a folder's path."""
    if "://" in results:
        return results
    try:
        return f"file://{Path(results).expanduser().absolute()}"
    except RuntimeError as error:
        raise ConfigurationError(f"{results}: nobody knows the home folder it names") from error


def kept_in(results: str | None) -> dict[str, Any]:
    """The setting that --results overrides."""
    return {"results.store": store_url(results) if results else None}


def key(name: str) -> str:
    """How else an option can be set, for its help: ``section.name``."""
    section, _, setting = name.partition(".")
    variable = f"DRIFTFLEET_{section}__{setting}".upper()
    return f"[{name} in fleet.yaml; {variable}]"


def length(value: str | timedelta) -> timedelta:
    """The type of an option that is a length of time, as fleet.yaml has it."""
    from driftfleet.duration import parse_duration  # noqa: PLC0415 - `--help` needs no pydantic

    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


TARGETS = click.argument("targets", nargs=-1, metavar="[TARGET...]")
REPOSITORIES = click.argument("targets", nargs=-1, metavar="[REPO...]")
JSON = click.option("--json", "as_json", is_flag=True, help="Records for scripts, one a line.")
RESULTS = click.option(
    "--results",
    metavar="URL|DIR",
    help=f"Where results are kept. Default: drift-results. {key('results.store')}",
)
INCLUDE = click.option(
    "--include",
    multiple=True,
    metavar="GLOB",
    help=f"Folders that are roots whatever is in them; repeatable. {key('discovery.include')}",
)
EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help=f"Folders to leave out, over --include; repeatable. {key('discovery.exclude')}",
)
CONCURRENCY = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Plans at the same time. Default: one per CPU. {key('worker.concurrency')}",
)
LOG_LEVEL = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help=f"Log from this level on, to stderr. {key('logs.level')}",
)
