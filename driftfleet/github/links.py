"""Where a path of a listing leads through its symbolic links. Pure.

As the kernel resolves a path, with the repository's top as the root that can't be left.
"""

from collections.abc import Callable
from typing import NamedTuple

from driftfleet.errors import SourceRefused
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.paths import LONGEST_PATH, join, shown

# The kernel's own bound (path_resolution(7)).
_MOST_LINKS = 40
# A step is one part of a path or of a link's target, and takes about a microsecond. The targets of
# forty links may have 80,000; those that people write have ten each.
_MOST_STEPS = 2_000
_MOST_STEPS_IN_ALL = 4_000_000


class LinksExhausted(SourceRefused):
    """All links together cost more than any repository needs; `Links.renew` allows as much anew."""


class _NeverEnds(SourceRefused):
    """A way is too long from where it began: from one of its links it may not be."""


class _Followed(NamedTuple):
    """Where a link leads, and what it took to know."""

    real: str | None
    links: int
    steps: int


class Links:
    """The links of one listing, each followed once; ``target_of`` reads one."""

    def __init__(self, listing: Listing, target_of: Callable[[Entry], str]) -> None:
        self.listing = listing
        self.target_of = target_of
        self.followed: dict[str, _Followed | SourceRefused] = {}
        self.steps_left = _MOST_STEPS_IN_ALL

    def resolve(self, path: str) -> str | None:
        """The path of the file, folder or submodule that ``path`` means; None where there is none.

        Raises
        ------
        SourceRefused
            A link is absolute, leads out of the repository, or never ends: it is named. Or what
            ``path`` means may lie where the listing has a gap.
        LinksExhausted
            The links that were followed before have cost too much.
        """
        listing = self.listing
        if path in listing.entries and listing.entries[path].kind != "link":
            return path
        if path in listing.folders:
            return path
        folder, _, name = path.rpartition("/")
        walk = _Walk(self, path)
        # Most folders are no links: the way to them needs no steps.
        near = folder != "." and folder in listing.folders
        return walk.to(folder, name, path) if near else walk.to("", path, path)

    def renew(self) -> None:
        """Allow as many steps as at first: one root's links are not to cost another one its own."""
        self.steps_left = _MOST_STEPS_IN_ALL


class _Walk:
    """One path's way. What was followed before counts as if it were followed again."""

    def __init__(self, links: Links, path: str) -> None:
        self._all = links
        self._path = path
        self._links = 0
        self._steps = 0

    def to(self, here: str, path: str, origin: str) -> str | None:
        """Go from the folder ``here`` ("" is the top); ``origin`` is where ``path`` stands."""
        listing, parts = self._all.listing, path.split("/")
        for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
            self._spend()
            if part in ("", "."):
                continue
            if part == "..":
                if not here:
                    raise _refused(origin, "leads out of the repository")
                here = here.rpartition("/")[0]
                continue
            there = join(here, part)
            entry = listing.entries.get(there)
            if entry is not None and entry.kind == "link":
                real = self._follow(entry, here)
            elif entry is None and there not in listing.folders:
                listing.refuse_gap(here or ".")
                return None
            else:
                real = there
            # Only a folder has anything in it; a submodule may, but nobody knows what.
            if real is None or (left and real not in listing.folders):
                return None
            here = "" if real == "." else real
        return here or "."

    def _follow(self, link: Entry, folder: str) -> str | None:
        known = self._all.followed.get(link.path)
        if isinstance(known, SourceRefused):
            raise SourceRefused(known.message)
        self._spend_links(known.links if known else 1)
        if known is not None:
            self._spend(known.steps, again=True)
            return known.real
        links, steps = self._links, self._steps
        try:
            real = self.to(folder, self._target(link), link.path)
        except (_NeverEnds, LinksExhausted):
            raise
        except SourceRefused as error:
            # Not the error itself: it holds the whole way.
            self._all.followed[link.path] = SourceRefused(error.message)
            raise
        found = _Followed(real, self._links - links + 1, self._steps - steps)
        self._all.followed[link.path] = found
        return real

    def _target(self, link: Entry) -> str:
        target = self._all.target_of(link)
        if target.startswith("/"):
            raise _refused(link.path, f"is absolute ({shown(target)})")
        if not target or "\0" in target or len(target) > LONGEST_PATH:
            raise _refused(link.path, "has a target that is no path")
        return target

    def _spend_links(self, count: int) -> None:
        self._links += count
        if self._links > _MOST_LINKS:
            reason = f"leads through more than {_MOST_LINKS} links: they go in circles"
            raise _NeverEnds(_refused(self._path, reason).message)

    def _spend(self, count: int = 1, *, again: bool = False) -> None:
        self._steps += count
        if self._steps > _MOST_STEPS:
            reason = f"leads through more than {_MOST_STEPS:,} folders, one after the other"
            raise _NeverEnds(_refused(self._path, reason).message)
        if again:
            return
        self._all.steps_left -= count
        if self._all.steps_left < 0:
            reason = "can't be followed: the repository's links are too many, or wind too much"
            raise LinksExhausted(_refused(self._path, reason).message)


def _refused(path: str, reason: str) -> SourceRefused:
    return SourceRefused(f"{shown(path)}: the symbolic link {reason}")
