"""`driftfleet doctor`: everything that a fleet needs, checked one by one."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from driftfleet.broker_password import with_broker_password
from driftfleet.configuration import CONFIG_VARIABLE, load_settings
from driftfleet.errors import ConfigurationError, DriftfleetError
from driftfleet.repository_rule import RepositoryRule
from driftfleet.settings import Settings
from producer.cache_place import cache_folder
from producer.doctor import installs, machine
from producer.doctor.broker import check_broker
from producer.doctor.disk import disks
from producer.doctor.findings import Finding, fail, ok, skip
from producer.doctor.fleet import heartbeat, workers
from producer.doctor.plan_role import plan_role
from producer.doctor.secrets import named_secrets
from producer.doctor.store import results
from producer.targets import Targets, read_targets

_MEND_OF_TARGET = "name a folder of this machine, owner/repo, owner/repo@ref or org:NAME"


@dataclass(frozen=True)
class Doctor:
    """What to examine: the settings file (None: the usual one) and further targets."""

    config: Path | None
    targets: Sequence[str]
    environment: Mapping[str, str]


def examine(order: Doctor) -> Iterator[Finding]:
    """The findings, each as soon as it is there; what can't be checked is one, too."""
    try:
        settings = load_settings(order.config, order.environment)
    except ConfigurationError as error:
        yield fail("settings", error.message, "docs/configuration.md has every key")
        return
    yield ok("settings", _origin(order))
    targets, wrong = _targets(order, settings)
    yield from wrong
    yield machine.terraform(settings, order.environment)
    yield installs.installer(settings, order.environment)
    yield installs.installed(settings, order.environment)
    yield machine.git(order.environment)
    yield machine.mirror(settings)
    if settings.worker.isolation == "bubblewrap":
        yield machine.isolation(settings, order.environment)
    yield machine.writable_root(settings)
    yield results(settings)
    yield from disks(settings)
    yield from named_secrets(settings, order.environment)
    if (found := plan_role(settings, order.environment)) is not None:
        yield found
    yield from _broker(settings, order.environment)
    if settings.broker.url is not None:
        yield heartbeat(settings)
    for folder in targets.folders:
        yield ok("folder", str(folder))
    if settings.github.is_named:
        yield machine.cache(settings, order.environment)
    yield from _github(order, settings, targets)


def _broker(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        known = with_broker_password(settings, environment)
    except DriftfleetError:
        yield skip("broker", "its password isn't there: see the finding about broker.password")
    else:
        yield from check_broker(known, [workers])


def _targets(order: Doctor, settings: Settings) -> tuple[Targets, list[Finding]]:
    """The targets, and what is said of those that are none."""
    if not order.targets:
        return Targets(rules=settings.repositories), []
    folders: list[Path] = []
    rules: list[RepositoryRule] = []
    wrong: list[Finding] = []
    for target in order.targets:
        try:
            one = read_targets([target], settings, needs_github=False)
        except ConfigurationError as error:
            wrong.append(fail(target or "target", error.message, _MEND_OF_TARGET))
        else:
            folders += one.folders
            rules += one.rules
    try:
        if not wrong:
            return read_targets(order.targets, settings, needs_github=False), wrong
    except ConfigurationError as error:
        wrong.append(fail("targets", error.message, "name one of them"))
    return Targets(tuple(dict.fromkeys(folders)), tuple(rules)), wrong


def _github(order: Doctor, settings: Settings, targets: Targets) -> Iterator[Finding]:
    # The machine alone needs no client, which takes its time to import.
    from producer.doctor.github import check_github  # noqa: PLC0415
    from producer.telling import told  # noqa: PLC0415

    kept = cache_folder(settings, order.environment)
    with ExitStack() as stack:
        # The findings say it all.
        stack.enter_context(told(lambda _: None))
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield from check_github(settings, order.environment, targets.rules, folder)


def _origin(order: Doctor) -> str:
    if order.config is not None:
        return str(order.config)
    if named := order.environment.get(CONFIG_VARIABLE):
        return f"{named} (from {CONFIG_VARIABLE})"
    if Path("fleet.yaml").is_file():
        return "fleet.yaml"
    return "no file: defaults, and the environment"
