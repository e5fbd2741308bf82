"""What was recorded when a package was brought into the mirror: ``VERSION/OS_ARCH.json`` beside it.

Terraform takes folders for packages in that place, and passes files over.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from driftfleet.mirror.layout import Package

_MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class PackageRecord:
    """The package's ``h1:``; and its archive's ``zh:``, where we had the archive.

    Where only terraform had it, ``vouched`` are the hashes of lock files of which, as terraform
    said, one was the archive's.
    """

    h1: str
    zh: str | None = None
    vouched: tuple[str, ...] = ()

    def fits(self, hashes: frozenset[str]) -> bool:
        """Whether a lock file's hashes allow this package, as far as that can be known.

        A lock file of archives' hashes alone says nothing of a package that came without archive.
        """
        if not hashes.isdisjoint((self.h1, self.zh or self.h1, *self.vouched)):
            return True
        return self.zh is None and not any(one.startswith("h1:") for one in hashes)


def record_path(mirror: Path, package: Package) -> Path:
    """Where the record of a package lies."""
    return mirror / f"{package.path}.json"


def read_record(mirror: Path, package: Package) -> PackageRecord | None:
    """What was recorded of a package; None where there is nothing that can be read."""
    try:
        with record_path(mirror, package).open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
        vouched = tuple(map(str, found.get("vouched", ())))
        return PackageRecord(h1=str(found["h1"]), zh=found.get("zh"), vouched=vouched)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def record_bytes(record: PackageRecord) -> bytes:
    """A record as its file holds it."""
    return json.dumps(asdict(record), indent=1).encode() + b"\n"
