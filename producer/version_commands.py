"""The command of the `driftfleet` command that is about versions."""

import sys
from pathlib import Path

import click

from driftfleet.configuration import process_environment
from producer.options import (
    EXCLUDE,
    INCLUDE,
    JSON,
    TARGETS,
    explained,
    filters,
    interruptible,
    settings_from,
)


@click.command("versions")
@TARGETS
@JSON
@INCLUDE
@EXCLUDE
@click.option(
    "--install",
    is_flag=True,
    help="Install what roots need and this machine lacks, with tfenv or tenv. [installs]",
)
@click.pass_obj
@explained
def versions_command(
    config: Path | None,
    targets: tuple[str, ...],
    *,
    as_json: bool,
    install: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Show which Terraform or OpenTofu would plan each root of each TARGET, and why.

    A TARGET is a folder, owner/repo, owner/repo@ref or org:NAME, as for `driftfleet scan`; without
    one: what `repositories` in fleet.yaml lists.

    The strongest that says anything decides: terraform.pins in fleet.yaml, the root's own
    .terraform-version, .opentofu-version or .tool-versions, that of the nearest folder above,
    required_version of the root and its modules, terraform.default. What is installed is looked
    for on this machine; where that doesn't decide tfenv or tenv is asked what it could install.

    \b
    Exit codes:
      0    shown, whatever was found
      1    some repository, or what could be installed, could not be looked at; or with --install
           some root goes without its version
      2    usage or configuration, or no Terraform at all
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet versions .
      driftfleet versions payments/infra@main
      driftfleet versions --install org:payments
      driftfleet versions --json . | jq -r 'select(.installed|not) | .root + " " + .version'
    """
    settings = settings_from(config, filters(include, exclude))
    from producer.targets import read_targets  # noqa: PLC0415 - `--help` needs none of it

    read = read_targets(targets, settings)
    from producer.progress import standard_progress  # noqa: PLC0415
    from producer.versions import Versions, show_versions  # noqa: PLC0415

    order = Versions(
        targets=read,
        settings=settings,
        environment=process_environment(),
        progress=standard_progress(),
        stdout=sys.stdout,
        as_json=as_json,
        install=install,
    )
    interruptible(lambda: show_versions(order))
