"""Which git is new enough for private modules."""

import re

# It can be told to obey no bare repository that merely lies where it runs (safe.bareRepository).
OLDEST_GIT = "2.38"


def is_new_enough(printed: str) -> bool:
    """Whether what ``git version`` prints is `OLDEST_GIT` or newer."""
    found = re.search(r"(\d+)\.(\d+)", printed)
    oldest = tuple(map(int, OLDEST_GIT.split(".")))
    return found is not None and (int(found[1]), int(found[2])) >= oldest
