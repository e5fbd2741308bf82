"""What the commands of `driftfleet mirror` do and print."""

import errno
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from driftfleet.errors import ConfigurationError, PermanentError
from driftfleet.installs.choice import open_installs
from driftfleet.mirror.download import TerraformSource
from driftfleet.mirror.layout import platform_name, require_platforms
from driftfleet.mirror.needs import Needs
from driftfleet.mirror.prune import Unneeded, prune, unneeded
from driftfleet.mirror.room import free_bytes
from driftfleet.mirror.sources import FolderSource, Source
from driftfleet.mirror.staging import staging
from driftfleet.mirror.sync import Outcome, sync
from driftfleet.mirror.verify import verify
from driftfleet.settings import Settings
from driftfleet.versions.version_file import PROGRAMS, Program
from producer.cache_place import with_kept_installs
from producer.found import Found
from producer.mirror_needs import fleet_needs
from producer.programs import ProgramsHere
from producer.progress import Progress, standard_progress
from producer.survey import SurveyOrder
from producer.table import harmless
from producer.targets import read_targets
from producer.versions import planning_programs, possible_programs

# Begins the line about each gap.
NOT_KNOWN = "not known: "


@dataclass(frozen=True)
class MirrorOrder(SurveyOrder):
    """Whose roots the mirror serves; ``here`` are the programs that could download."""

    here: ProgramsHere

    @classmethod
    def of(
        cls,
        targets: Sequence[str],
        settings: Settings,
        environment: Mapping[str, str],
        stdout: TextIO,
        *,
        as_json: bool,
        progress: Progress | None = None,
    ) -> "MirrorOrder":
        """Raises `ConfigurationError` where a target is none."""
        read = read_targets(targets, settings)
        installs = open_installs(with_kept_installs(settings, environment), environment)
        here = ProgramsHere(settings.worker.terraform, environment, installs)
        shown = progress or standard_progress()
        return cls(read, settings, environment, shown, stdout, as_json, here)

    def needs(self, *, of_any_program: bool = False) -> Needs:
        """What the roots need; each gap is told.

        ``of_any_program``: also what another machine's programs would need.
        """

        def planning(found: Found) -> list[tuple[str, Program]]:
            if of_any_program:
                return possible_programs(found, self.settings)
            return planning_programs(found, self.settings, self.here)

        needs = fleet_needs(self.targets, self.settings, self.environment, self.progress, planning)
        for gap in needs.gaps:
            self.progress.message(f"{NOT_KNOWN}{gap}")
        return needs


def sync_mirror(order: MirrorOrder, origin: str | None, platforms: Sequence[str]) -> int:
    """Sync, show each package, and return the exit code.

    Raises
    ------
    ConfigurationError
        No mirror is named, or the source, a platform or terraform is none.
    MirrorBusy
        Another one is at work on the mirror.
    """
    mirror = mirror_of(order.settings, exists=False)
    require_platforms(platforms)
    _require_origin(origin)
    needs = order.needs()

    def tell(outcome: Outcome) -> None:
        order.stdout.write(f"{_outcome_line(outcome, as_json=order.as_json)}\n")
        order.stdout.flush()

    with _disk_told(mirror), staging(mirror) as folder:
        outcomes = sync(
            mirror,
            folder,
            needs.needs,
            platforms=tuple(dict.fromkeys(platforms)) or (platform_name(),),
            source=_source(order, origin, mirror, folder),
            tell=tell,
        )
    if not order.as_json:
        _total(order, outcomes)
    troubled = needs.gaps or any(o.action == "failed" or o.message for o in outcomes)
    return 1 if troubled else 0


def verify_mirror(settings: Settings, stdout: TextIO, *, as_json: bool) -> int:
    """Verify every package, show what differs, and return the exit code."""
    mirror = mirror_of(settings)
    bad = total = 0
    with _disk_told(mirror):
        for one in verify(mirror):
            total += 1
            bad += bool(one.problem)
            if as_json:
                facts = {"h1": one.h1, "recorded": one.recorded, "problem": one.problem}
                stdout.write(json.dumps({"package": one.package.path, **facts}) + "\n")
            elif one.problem:
                stdout.write(harmless(f"{one.package}: {one.problem}") + "\n")
    if not as_json:
        stdout.write(f"{total - bad} of {total} packages are as they came\n")
    stdout.flush()
    return 1 if bad else 0


def prune_mirror(order: MirrorOrder, *, yes: bool) -> int:
    """Show what no root needs, remove it where that is wanted, and return the exit code."""
    mirror = mirror_of(order.settings)
    with _disk_told(mirror):
        # Without --yes nothing is written, not even a lock: the mirror may be mounted read-only.
        if not yes:
            _show_unneeded(order, _unneeded(order, mirror), "would go")
            return 0
        # Locked before the roots are looked at: what a sync brings meanwhile would be gone again.
        with staging(mirror) as folder:
            found = _unneeded(order, mirror)
            _show_unneeded(order, found, "goes")
            prune(mirror, folder, [one.package for one in found])
    return 0


def _unneeded(order: MirrorOrder, mirror: Path) -> list[Unneeded]:
    needs = order.needs(of_any_program=True)
    if needs.gaps:
        raise PermanentError(
            "nothing is removed: what some root needs is not known (see above), and might be gone"
        )
    return unneeded(mirror, needs.needs)


def mirror_of(settings: Settings, *, exists: bool = True) -> Path:
    """The mirror that is named. Raises `ConfigurationError` where none is, or there is none."""
    mirror = settings.worker.mirror
    if mirror is None:
        raise ConfigurationError("no mirror is named: use --mirror DIR, or worker.mirror")
    # Its place is looked for beside it, where a link's target is.
    mirror = mirror.expanduser().resolve()
    if mirror.exists() and not mirror.is_dir():
        raise ConfigurationError(f"the mirror {mirror} is no folder")
    if exists and not mirror.is_dir():
        raise ConfigurationError(
            f"the mirror {mirror}: no such folder; `driftfleet mirror sync` makes it"
        )
    return mirror


def _require_origin(origin: str | None) -> None:
    if origin is not None and "://" in origin and not origin.startswith("https://"):
        raise ConfigurationError(f"{origin}: terraform takes network mirrors over https:// only")


def _source(order: MirrorOrder, origin: str | None, mirror: Path, folder: Path) -> Source:
    if origin is not None and "://" not in origin:
        return FolderSource(Path(origin).expanduser().absolute())
    paths = {program: order.here.path_of(program) for program in PROGRAMS}
    programs = {one: str(path) for one, path in paths.items() if path is not None}
    # Some shims don't tell a version outside a folder that asks for one.
    if not programs and (there := shutil.which(order.settings.worker.terraform)) is not None:
        programs = {"terraform": str(Path(there).absolute())}
    if not programs:
        raise ConfigurationError(
            f"'{order.settings.worker.terraform}' is no program here: install Terraform, or name "
            "it with --terraform PATH (worker.terraform)"
        )
    url = None if origin is None else f"{origin.rstrip('/')}/"
    return TerraformSource(
        programs=programs,
        environment=order.environment,
        folder=folder,
        mirror=mirror,
        platform=platform_name(),
        url=url,
    )


def _outcome_line(outcome: Outcome, *, as_json: bool) -> str:
    package, record = outcome.package, outcome.record
    if as_json:
        return json.dumps(
            {
                "action": outcome.action,
                "address": outcome.address,
                "wanted": outcome.wanted,
                "package": package.path if package else None,
                "h1": record.h1 if record else None,
                "zh": record.zh if record else None,
                "bytes": outcome.bytes,
                "message": outcome.message,
                "roots": outcome.roots,
            }
        )
    name = str(package) if package else f"{outcome.address} {outcome.wanted}"
    why = f": {outcome.message}" if outcome.message else ""
    who = f" (for {', '.join(outcome.roots[:3])})" if outcome.action == "failed" else ""
    return harmless(f"{outcome.action:<8}  {name}{who}{why}")


def _total(order: MirrorOrder, outcomes: Sequence[Outcome]) -> None:
    added = [one for one in outcomes if one.action == "added"]
    failed = sum(one.action == "failed" for one in outcomes)
    size = sum(one.bytes for one in added)
    line = f"{len(added)} added ({size:,} bytes), {len(outcomes) - len(added) - failed} there"
    order.stdout.write(f"{line}, {failed} failed\n")
    order.stdout.flush()


def _show_unneeded(order: MirrorOrder, found: Sequence[Unneeded], verb: str) -> None:
    for one in found:
        if order.as_json:
            record = {"package": one.package.path, "bytes": one.bytes}
            order.stdout.write(json.dumps(record) + "\n")
        else:
            order.stdout.write(harmless(f"{verb}  {one.bytes:>15,} bytes  {one.package}") + "\n")
    if not order.as_json:
        total = sum(one.bytes for one in found)
        how = "" if verb == "goes" or not found else "; --yes removes them"
        order.stdout.write(f"{total:,} bytes in {len(found)} packages{how}\n")
    order.stdout.flush()


@contextmanager
def _disk_told(mirror: Path) -> Iterator[None]:
    """What the disk refuses is told in words."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        place = error.filename or mirror
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PermanentError(
                f"the disk of {mirror} is full: {place} could not be written "
                f"({free_bytes(mirror.parent):,} bytes are free now that what was half-done is "
                "removed)"
            ) from error
        raise ConfigurationError(f"{place}: {error.strerror}") from error
