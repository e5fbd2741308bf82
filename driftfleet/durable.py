"""What is to be there after a power cut."""

import os
from pathlib import Path


def sync_to_disk(path: Path, flags: int = 0) -> None:
    """Have the disk keep a file, or the names in a folder. ``flags`` are more for ``os.open``.

    Raises `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
