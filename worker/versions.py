"""Which versions a check ran with."""

import re
from pathlib import Path

# The lock file is written by terraform alone, in one form.
_LOCKED = re.compile(r'^provider "([^"]+)" \{\s*\n\s*version\s*=\s*"([^"]+)"', re.MULTILINE)


def locked_providers(folder: Path) -> dict[str, str]:
    """The providers of a root and their versions, from its lock file after ``init``."""
    try:
        text = (folder / ".terraform.lock.hcl").read_text("utf-8", "replace")
    except OSError:
        return {}
    return dict(_LOCKED.findall(text))
