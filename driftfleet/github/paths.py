"""Which names and paths out of a repository are taken. Pure.

A commit may hold what no honest git client writes: GitHub refuses most of it at a push, but what
was there before, or came by another way, is listed and archived like anything else.
"""

from driftfleet.errors import SourceRefused

# Linux's PATH_MAX: no workspace could hold more.
LONGEST_PATH = 4096


def check_name(name: str, where: str) -> None:
    """Refuse a name that is none or means something else than a file or a folder.

    ``where`` is the folder that it stands in, for the message. Raises `SourceRefused`.
    """
    if name in ("", ".", ".."):
        reason = "is no name"
    elif "/" in name or "\0" in name:
        reason = "holds a slash or NUL"
    # As git's own fsck: Windows and macOS take all of them for the same folder.
    elif name[0] in ".gG" and name.rstrip(". ").lower() in (".git", "git~1"):
        reason = "is git's own folder"
    else:
        return
    raise SourceRefused(f"{shown(join(where, name))}: the name {shown(name)!r} {reason}")


def check_path(path: str) -> None:
    """Refuse a path that isn't relative and normalised. Raises `SourceRefused`."""
    if len(path) > LONGEST_PATH:
        raise SourceRefused(f"{shown(path)}: the path is longer than {LONGEST_PATH} characters")
    folder, _, name = path.rpartition("/")
    check_name(name, folder)
    for part in folder.split("/") if folder or path.startswith("/") else ():
        check_name(part, path)


def join(folder: str, name: str) -> str:
    """A path below ``folder``, for which ``.`` and nothing are the repository's top."""
    return name if folder in ("", ".") else f"{folder}/{name}"


def shown(path: str) -> str:
    """A path as a message shows it: on one line, printable, and never long."""
    text = path.encode(errors="backslashreplace").decode()
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= 300 else f"{text[:200]}...{text[-90:]}"
