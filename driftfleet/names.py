"""What repositories, organisations and refs may be called."""

import re

_OWNER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_REPOSITORY = re.compile(rf"(?P<owner>{_OWNER})/(?P<name>[A-Za-z0-9_.-]{{1,100}})")
_ORGANISATION = re.compile(_OWNER)
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
_LONGEST_REF = 1024


def is_repository(name: str) -> bool:
    """Whether ``name`` can be ``owner/name``, and leads to no other path of the API."""
    match = _REPOSITORY.fullmatch(name)
    return match is not None and match["name"] not in (".", "..") and ".." not in match["owner"]


def is_organisation(name: str) -> bool:
    """Whether an organisation can be called ``name``."""
    return _ORGANISATION.fullmatch(name) is not None and ".." not in name


def is_ref(name: str) -> bool:
    """Whether a branch, tag or commit can be called ``name``.

    What git-check-ref-format forbids, as far as it could lead to another path of the API.
    """
    segments = name.split("/")
    odd = any(not segment or segment.startswith(".") for segment in segments)
    return not (
        odd or ".." in name or _CONTROL.search(name) or len(name) > _LONGEST_REF
    ) and _is_text(name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
