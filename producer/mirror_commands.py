"""The commands of `driftfleet mirror`: what is in the provider mirror, and how it gets there."""

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
    key,
    settings_from,
)

_MIRROR = click.option(
    "--mirror",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help=f"The mirror: the folder that workers install from. {key('worker.mirror')}",
)


@click.group("mirror")
def mirror_group() -> None:
    """The folder from which workers take their providers.

    \b
    Examples:
      driftfleet mirror sync infrastructure/ --mirror /srv/providers
      driftfleet mirror verify --mirror /srv/providers
      driftfleet mirror prune infrastructure/ --mirror /srv/providers
    """


@mirror_group.command("sync")
@TARGETS
@_MIRROR
@click.option(
    "--from",
    "origin",
    metavar="DIR|URL",
    help="A filesystem mirror, packed or unpacked, or a network mirror (https). Default: the "
    "registry that each provider's address names.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="OS_ARCH",
    help="Such as linux_arm64; repeatable. Default: this machine's.",
)
@click.option(
    "--terraform",
    metavar="PATH",
    help=f"The terraform that downloads. {key('worker.terraform')}",
)
@JSON
@INCLUDE
@EXCLUDE
@click.pass_context
@explained
def sync_command(
    context: click.Context,
    targets: tuple[str, ...],
    *,
    mirror: Path | None,
    origin: str | None,
    platforms: tuple[str, ...],
    terraform: str | None,
    as_json: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Bring the providers that the roots of each TARGET need into the mirror.

    A TARGET is as for `driftfleet scan`; without one: what `repositories` in fleet.yaml lists. Lock
    files say which versions, and what they must hash to; where a root has none, its constraints and
    those of its modules do, and the newest version is taken. Terraform itself downloads. What is
    there already is never changed, and is not downloaded again; checks may run meanwhile.

    \b
    Exit codes:
      0    the mirror has all that is needed
      1    some provider could not be brought, or what some root needs is not known
      2    usage or configuration
      130  stopped by Ctrl-C: the mirror holds whole packages only

    \b
    Examples:
      driftfleet mirror sync org:payments --mirror /srv/providers
      driftfleet mirror sync --platform linux_amd64 --platform linux_arm64 payments/infra
      driftfleet mirror sync --from https://mirror.example.com/providers/ infrastructure/
      driftfleet mirror sync --from /media/usb/providers --json . | jq 'select(.action=="failed")'
    """
    settings = settings_from(
        context.obj,
        {
            "worker.mirror": mirror,
            "worker.terraform": terraform,
            **filters(include, exclude),
        },
    )
    from producer.mirror_fleet import MirrorOrder, sync_mirror  # noqa: PLC0415

    order = MirrorOrder.of(targets, settings, process_environment(), sys.stdout, as_json=as_json)
    origin, platforms = origin or settings.mirror.origin, platforms or settings.mirror.platforms
    interruptible(lambda: sync_mirror(order, origin, platforms))


@mirror_group.command("verify")
@_MIRROR
@JSON
@click.pass_context
@explained
def verify_command(context: click.Context, *, mirror: Path | None, as_json: bool) -> None:
    """Hash every package of the mirror, and compare with what was recorded when it came.

    \b
    Exit codes:
      0    every package is as it came
      1    some package differs, or nothing was recorded of it: each is named
      2    usage or configuration
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet mirror verify --mirror /srv/providers
      driftfleet mirror verify --json | jq -r 'select(.problem!="").package'
    """
    settings = settings_from(context.obj, {"worker.mirror": mirror})
    from producer.mirror_fleet import verify_mirror  # noqa: PLC0415

    interruptible(lambda: verify_mirror(settings, sys.stdout, as_json=as_json))


@mirror_group.command("prune")
@TARGETS
@_MIRROR
@click.option("--yes", is_flag=True, help="Remove it. Without this it is only shown.")
@JSON
@INCLUDE
@EXCLUDE
@click.pass_context
@explained
def prune_command(
    context: click.Context,
    targets: tuple[str, ...],
    *,
    mirror: Path | None,
    yes: bool,
    as_json: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> None:
    """Show what of the mirror no root of any TARGET needs; with --yes remove it.

    Name all targets whose workers use the mirror: what only others need would go. Refuses where
    what some root needs is not known. Run it while no checks run: terraform, which walks through
    the mirror, fails where something vanishes.

    \b
    Exit codes:
      0    shown, or removed
      1    refused: what some root needs is not known
      2    usage or configuration
      130  stopped by Ctrl-C

    \b
    Examples:
      driftfleet mirror prune org:payments org:network --mirror /srv/providers
      driftfleet mirror prune --yes
    """
    settings = settings_from(
        context.obj,
        {
            "worker.mirror": mirror,
            **filters(include, exclude),
        },
    )
    from producer.mirror_fleet import MirrorOrder, prune_mirror  # noqa: PLC0415

    order = MirrorOrder.of(targets, settings, process_environment(), sys.stdout, as_json=as_json)
    interruptible(lambda: prune_mirror(order, yes=yes))
