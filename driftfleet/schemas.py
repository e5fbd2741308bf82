"""Writes the JSON Schemas of the published records, or says where written ones differ.

python -m driftfleet.schemas [--check] FOLDER
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from driftfleet.day import DayRecord
from driftfleet.jobs import Job
from driftfleet.latest import LatestRecord, Run
from driftfleet.model import Record
from driftfleet.repository_roots import RepositoryRoots
from driftfleet.results import Result
from driftfleet.root_status import RootStatus
from driftfleet.sweeps import SweepManifest, SweepRecord
from driftfleet.swept import Swept

PUBLISHED: Mapping[str, type[Record]] = {
    "job": Job,
    "result": Result,
    "latest": LatestRecord,
    "status": RootStatus,
    "run": Run,
    "roots": RepositoryRoots,
    "sweep": SweepRecord,
    "swept": Swept,
    "manifest": SweepManifest,
    "day": DayRecord,
}


def schema_of(name: str) -> str:
    """The schema of a published record as the text of its file.

    Of what is written, not of what is read: there every field has a value.
    """
    schema = PUBLISHED[name].model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def write(folder: Path) -> None:
    """Write every schema as ``NAME.schema.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PUBLISHED:
        _path(folder, name).write_text(schema_of(name), encoding="utf-8")


def differing(folder: Path) -> list[Path]:
    """The files that are missing or are not what `write` would write."""
    paths = {name: _path(folder, name) for name in PUBLISHED}
    return [path for name, path in paths.items() if _read(path) != schema_of(name)]


def main(arguments: Sequence[str]) -> int:
    """The command; 1 where ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m driftfleet.schemas", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    options = parser.parse_args(arguments)
    if options.check:
        return _report(differing(options.folder))
    write(options.folder)
    return 0


def _report(paths: Iterable[Path]) -> int:
    lines = [f"{path}: differs from the records in driftfleet/" for path in paths]
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.schema.json"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
