"""Where the records of a root and variant are in a store: keys, as docs/results.md has them."""

import hashlib
import re
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote

from driftfleet.jobs import Job

_LONGEST_SEGMENT = 200
# A key in S3 has 1,024 bytes: with a prefix, a repository, a variant and a time before and behind.
_LONGEST_ROOT = 400
_DIGEST_LETTERS = 24
_CUT = re.compile(rf".*~[0-9a-f]{{{_DIGEST_LETTERS}}}")
# Owner, repository, root, variant.
_LEAST_SEGMENTS = 4


class Named(NamedTuple):
    """A root and variant as people write them: ``owner/repo root variant``."""

    repo: str
    root: str
    variant: str

    @property
    def title(self) -> str:
        """As `driftfleet.jobs.Job.title`."""
        return f"{self.repo} {self.root} {self.variant}"


def history_start(place: str, finished_at: datetime) -> str:
    """Below every history key of the place that finished then or later, in their order."""
    finished = finished_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"results/{place}/{finished}"


def latest_key(job: Job) -> str:
    """``latest/OWNER/REPO/ROOT/VARIANT.json``."""
    return f"latest/{place(job)}.json"


def place(job: Job) -> str:
    """The part of a store key that names repository, root and variant.

    Every segment is percent-encoded so that no root's name can leave its prefix or meet another
    record; the repository's top is ``@root``, which no folder's encoded name can be.
    """
    root = "@root" if job.root == "." else _fitted(_segments(job.root), job.root, _LONGEST_ROOT)
    return f"{_segments(job.source.slug)}/{root}/{job.variant.name}"


def named(place: str) -> Named:
    """Repository, root and variant of a place. A name that is too long for a key stays cut.

    What is no place, as of an object that isn't ours, is all repository.
    """
    names = place.split("/")
    if len(names) < _LEAST_SEGMENTS:
        return Named(unquote(place), "", "")
    owner, repo, *root, variant = map(unquote, names)
    return Named(f"{owner}/{repo}", "." if names[2:-1] == ["@root"] else "/".join(root), variant)


def is_cut(place: str) -> bool:
    """Whether a name in it was too long for a key, so that what `named` tells isn't the whole."""
    return any(_CUT.fullmatch(one) for one in place.split("/"))


def place_of_latest(latest_key: str) -> str:
    """The place that a key of a latest record names."""
    return latest_key.removeprefix("latest/").removesuffix(".json")


def _segments(path: str) -> str:
    return "/".join(segment(name) for name in path.split("/"))


def segment(name: str) -> str:
    """A name of any length and letters as one part of a store key."""
    encoded = quote(name, safe="")
    # A file's name is at most 255 bytes long.
    encoded = _fitted(encoded, name, _LONGEST_SEGMENT)
    # A folder `x.json` could stand where the record of a variant `x` belongs.
    return re.sub(r"^\.+|\.(?=json$)", lambda m: "%2E" * len(m.group()), encoded)


def _fitted(encoded: str, name: str, longest: int) -> str:
    """What of it there is room for; the digest keeps long names apart."""
    if len(encoded) <= longest:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LETTERS]
    return f"{encoded[: longest - _DIGEST_LETTERS - 1]}~{digest}"
