"""Objects as files under one folder."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from driftfleet.errors import StoreUnavailable


class FileObjects:
    """An `ObjectStore` in a folder; keys are paths below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, body: bytes) -> None:
        path = self._folder / key
        # Renamed into place: a reader sees the old one or the new one, never half of one.
        staged = path.with_name(f".{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(body)
            os.replace(staged, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                staged.unlink()
            raise StoreUnavailable(
                f"the result store {self._folder} did not take {key}: {error.strerror}"
            ) from error

    def get(self, key: str) -> bytes | None:
        try:
            return (self._folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f"{self._folder / key}: {error.strerror}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        base = self._folder / prefix.rpartition("/")[0]
        found = (p for p in base.rglob("*") if p.is_file() and not p.name.startswith("."))
        relative = (p.relative_to(self._folder).as_posix() for p in found)
        return iter(sorted(key for key in relative if key.startswith(prefix)))

    def describe(self, key: str) -> str:
        return str(self._folder / key)
