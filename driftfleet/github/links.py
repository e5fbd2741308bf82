"""Where a path of a listing leads through its symbolic links. Pure.

As the kernel resolves a path, with the repository's top as the root that can't be left.
"""

from collections.abc import Callable

from driftfleet.errors import SourceRefused
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.paths import LONGEST_PATH, shown

# The kernel's own bound (path_resolution(7)).
_MOST_LINKS = 40


def resolve(path: str, listing: Listing, target_of: Callable[[Entry], str]) -> str | None:
    """The path of the file, folder or submodule that ``path`` means; None where there is none.

    ``target_of`` reads a link. Raises `SourceRefused`, naming the link, for one that is absolute,
    leads out of the repository, or never ends.
    """
    if path in listing.entries and listing.entries[path].kind != "link":
        return path
    if path in listing.folders:
        return path
    return _Walk(listing, target_of).to(path)


class _Walk:
    def __init__(self, listing: Listing, target_of: Callable[[Entry], str]) -> None:
        self._listing = listing
        self._target_of = target_of
        self._links = 0

    def to(self, path: str) -> str | None:
        # What is still to go, the next last, each part with the link that named it.
        ahead = [(part, path) for part in reversed(path.split("/"))]
        behind: list[str] = []
        while ahead:
            part, origin = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not behind:
                    raise _refused(origin, "leads out of the repository")
                behind.pop()
                continue
            here = "/".join((*behind, part))
            entry = self._listing.entries.get(here)
            if entry is not None and entry.kind == "link":
                ahead += self._parts(entry, path)
            elif here in self._listing.folders or (entry is not None and not ahead):
                behind.append(part)
            else:
                return None
        return "/".join(behind) or "."

    def _parts(self, link: Entry, path: str) -> list[tuple[str, str]]:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise _refused(path, f"leads through more than {_MOST_LINKS} links: they go in circles")
        target = self._target_of(link)
        if target.startswith("/"):
            raise _refused(link.path, f"is absolute ({shown(target)})")
        if not target or "\0" in target or len(target) > LONGEST_PATH:
            raise _refused(link.path, "has a target that is no path")
        return [(part, link.path) for part in reversed(target.split("/"))]


def _refused(path: str, reason: str) -> SourceRefused:
    return SourceRefused(f"{shown(path)}: the symbolic link {reason}")
