"""Which names and paths out of a repository are taken. Pure.

A commit may hold what no honest git client writes: GitHub refuses most of it at a push, but what
was there before, or came by another way, is listed and archived like anything else.
"""

from driftfleet.errors import SourceRefused

# Linux's PATH_MAX: no workspace could hold more.
LONGEST_PATH = 4096


def why_none(name: str) -> str | None:
    """Why a name is none: nothing that git itself writes has such a one. None where it is one."""
    if name in ("", ".", ".."):
        return "is no name"
    return "holds a slash or NUL" if "/" in name or "\0" in name else None


def why_odd(name: str) -> str | None:
    """Why a name is none, or means more than a file or a folder; None for one that is taken."""
    if reason := why_none(name):
        return reason
    # As git's own fsck: Windows and macOS take all of them for the same folder.
    if name[0] in ".gG" and name.rstrip(". ").lower() in (".git", "git~1"):
        return "is git's own folder"
    # A backslash is a character like any other here (systemd's units have it), but not a trick.
    if "\\" in name and ".." in name.split("\\"):
        return "leads upwards, as Windows reads it"
    return None


def check_path(path: str) -> None:
    """Refuse a path that is too long or has a name in it that is odd. Raises `SourceRefused`."""
    if len(path) > LONGEST_PATH:
        raise SourceRefused(f"{shown(path)}: the path is longer than {LONGEST_PATH:,} characters")
    for name in path.split("/"):
        if reason := why_odd(name):
            raise SourceRefused(f"{shown(path)}: the name '{shown(name)}' {reason}")


def join(folder: str, name: str) -> str:
    """A path below ``folder``, for which ``.`` and nothing are the repository's top."""
    return name if folder in ("", ".") else f"{folder}/{name}"


def shown(path: str) -> str:
    """A path as a message shows it: on one line, printable, and never long."""
    text = path.encode(errors="backslashreplace").decode()
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= 300 else f"{text[:200]}...{text[-90:]}"
