"""What `driftfleet versions` does and prints: what would plan each root, and why."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from driftfleet.errors import (
    ConfigurationError,
    InstallRefused,
    InstallUnavailable,
    VersionUndecided,
)
from driftfleet.installs.choice import open_installs
from driftfleet.installs.folder import Installs
from driftfleet.settings import Settings
from driftfleet.versions.decision import Decision, Question, Requirement, decide, named_program
from driftfleet.versions.pins import default_of, pin_for
from driftfleet.versions.version_file import PROGRAMS, Program
from producer.cache_place import with_kept_installs
from producer.discovery import Folder
from producer.found import Found
from producer.programs import ProgramsHere
from producer.survey import SurveyOrder
from producer.table import harmless, harmless_lines, width_of

_HEAD = ("ROOT", "PROGRAM", "VERSION", "WHY")


@dataclass(frozen=True)
class Versions(SurveyOrder):
    """Whose roots to look at, and whether to install what would plan them."""

    install: bool


@dataclass(frozen=True)
class Row:
    """One root. ``version`` is empty where none could be decided, and then there is an ``error``.

    ``installed`` says whether this machine has it.
    """

    root: str
    program: Program | None
    version: str
    installed: bool
    why: str
    place: str
    error: str = ""


def show_versions(order: Versions) -> int:
    """Decide for each root, show it, and return the exit code: 1 where something is not looked at.

    Raises
    ------
    ConfigurationError
        There is no Terraform in a folder, or in none of the repositories; or a setting is missing.
    """
    outlook = order.survey()
    kept = with_kept_installs(order.settings, order.environment)
    installs = open_installs(kept, order.environment)
    here = ProgramsHere(
        order.settings.worker.terraform, order.environment, installs, order.progress.message
    )
    shown = [one for one in outlook.found if one.discovery.folders]
    failed = False
    if order.install:
        every = [row for found in shown for row in rows_of(found, order.settings, here)]
        # A root whose version can't be decided goes without one, too.
        failed = _install(order, every, installs) or any(row.error for row in every)
    for found in shown:
        rows = rows_of(found, order.settings, here)
        lines = [_record(found, row) for row in rows] if order.as_json else _table(rows)
        if len(shown) > 1 and not order.as_json:
            lines = [f"{harmless(found.name)}:", *lines, ""]
        for line in lines:
            order.stdout.write(f"{line}\n")
    order.stdout.flush()
    return 1 if outlook.troubles or failed or here.is_unanswered else 0


def _install(order: Versions, rows: Sequence[Row], installs: Installs) -> bool:
    """Install what some root needs and this machine lacks; returns whether any failed."""
    lacking = {(r.program, r.version): r for r in rows if r.version and not r.installed}
    failed = False
    for (program, version), row in lacking.items():
        if program is None:
            continue
        order.progress.message(f"installing {program} {version}")
        deadline = time.monotonic() + order.settings.installs.timeout_seconds
        try:
            installs.ensure(program, version, deadline)
        except (InstallRefused, InstallUnavailable, ConfigurationError) as error:
            failed = True
            order.progress.message(
                f"{program} {version}, for {harmless(row.root)}: {error.message}"
            )
    return failed


def rows_of(found: Found, settings: Settings, here: ProgramsHere) -> list[Row]:
    """What would plan each root of a repository, in the order of the roots."""
    return [_row(question, settings, here) for question in questions_of(found, settings)]


def planning_programs(
    found: Found, settings: Settings, here: ProgramsHere
) -> list[tuple[str, Program]]:
    """Each root with what plans it; where nothing asks for a program, with what would here."""
    anything: Program = next((program for program, _ in here.found()), "terraform")
    return [
        (one.root, named_program(one) or _row(one, settings, here).program or anything)
        for one in questions_of(found, settings)
    ]


def possible_programs(found: Found, settings: Settings) -> list[tuple[str, Program]]:
    """Each root with what may plan it: with both, where nothing asks for one of them."""
    named = [(one.root, named_program(one)) for one in questions_of(found, settings)]
    return [(root, one) for root, name in named for one in ((name,) if name else PROGRAMS)]


def questions_of(found: Found, settings: Settings) -> Iterator[Question]:
    """What speaks of the version of each root of a repository, in the order of the roots."""
    folders = {folder.path: folder for folder in found.discovery.folders}
    for root in found.discovery.roots:
        yield Question(
            root=root.path,
            pin=pin_for(settings.terraform, found.source, root.path),
            files=found.discovery.version_files,
            requirements=_requirements(root, folders),
            default=default_of(settings.terraform),
        )


def _row(question: Question, settings: Settings, here: ProgramsHere) -> Row:
    try:
        prefer = settings.terraform.prefer_installed
        decision = decide(question, here, prefer_installed=prefer)
    except (VersionUndecided, InstallUnavailable) as error:
        return Row(question.root, None, "", False, "", "", error.message)
    if decision.version is None:
        return _whatever_is_here(question.root, decision, here)
    program = decision.program
    installed = program is not None and decision.version in here.installed(program)
    version = str(decision.version)
    return Row(question.root, program, version, installed, decision.why, decision.place)


def _whatever_is_here(root: str, decision: Decision, here: ProgramsHere) -> Row:
    for program, version in here.found():
        if decision.program in (None, program):
            return Row(root, program, str(version), True, decision.why, decision.place)
    error = f"{decision.why}, and there is no Terraform or OpenTofu here that tells its version"
    return Row(root, decision.program, "", False, decision.why, decision.place, error)


def _requirements(root: Folder, folders: Mapping[str, Folder]) -> tuple[Requirement, ...]:
    """Those of the root, then of the modules that it reaches inside its repository."""
    wanted = (folders.get(path) for path in (root.path, *root.within, *root.needs))
    return tuple(
        Requirement(one.constraint, f"{_prefix(folder.path)}{one.file}:{one.line}")
        for folder in wanted
        if folder is not None
        for one in folder.required
    )


def _prefix(folder: str) -> str:
    return "" if folder == "." else f"{folder}/"


def _record(found: Found, row: Row) -> str:
    source = {"source": found.source.repo, "ref": found.source.ref, "sha": found.source.sha}
    return json.dumps({**source, **vars(row)})


def _table(rows: Sequence[Row]) -> list[str]:
    """Four columns; an error has its lines below its row."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(width_of(line[column]) for line in cells) for column in range(3)]
    lines = []
    for line, row in zip(cells, (None, *rows), strict=True):
        padded = [text + " " * (w - width_of(text)) for text, w in zip(line, widths, strict=False)]
        lines.append("  ".join([*padded, line[3]]).rstrip())
        if row is not None:
            lines += [f"    {more}" for more in harmless_lines(row.error)[1:]]
    return lines


def _cells(row: Row) -> tuple[str, str, str, str]:
    if row.error:
        first = next(iter(harmless_lines(row.error)), "")
        return harmless(row.root), row.program or "-", "-", f"error: {first}"
    place = f" ({harmless(row.place)})" if row.place and row.place not in row.why else ""
    lacking = "" if row.installed else "; not installed here"
    why = f"{harmless(row.why)}{place}{lacking}"
    return harmless(row.root), row.program or "-", row.version, why
