"""Whether every package of the mirror is what was recorded when it came."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from driftfleet.mirror.hashes import fresh_package_hash
from driftfleet.mirror.layout import Package, unpacked
from driftfleet.mirror.records import read_record


@dataclass(frozen=True)
class Verified:
    """A package, what it hashes to, and what was ``recorded``; ``problem`` is "" where it fits."""

    package: Package
    h1: str | None
    recorded: str | None
    problem: str = ""


def verify(mirror: Path) -> Iterator[Verified]:
    """Hash every package anew, in order. Raises ``OSError`` where a folder can't be listed."""
    for package in unpacked(mirror):
        record = read_record(mirror, package)
        recorded = record.h1 if record else None
        try:
            h1 = fresh_package_hash(mirror / package.path)
        except OSError as error:
            problem = f"can't be read: {error.filename}: {error.strerror}"
            yield Verified(package, None, recorded, problem)
            continue
        yield Verified(package, h1, recorded, _problem(h1, recorded))


def _problem(h1: str, recorded: str | None) -> str:
    if recorded is None:
        return (
            "nothing was recorded of it: it was not brought by `driftfleet mirror sync`, or its "
            "record is gone"
        )
    if h1 != recorded:
        return f"was changed since it came: it was {recorded}, and is {h1}"
    return ""
