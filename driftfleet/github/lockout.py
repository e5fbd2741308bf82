"""A refused token is remembered for all processes of a host, so that they don't lock its account.

GitHub refuses an account for a while, even with good credentials, after some bad ones
(docs.github.com/rest, "Authenticating": "Failed login limit").
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

HELD_SECONDS = 15 * 60.0
_SALT_BYTES = 32


class Lockout:
    """Marks in ``folder``, one file a token, named by a digest that is of use to nobody else.

    A folder that can't be written costs the memory and nothing more.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._salt: bytes | None = None

    def mark(self, token: SecretStr) -> None:
        """Remember that ``token`` was refused just now."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._path(token, self._salt or self._read_salt() or self._make_salt())
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            os.close(descriptor)
            os.utime(path, (self._now(), self._now()))
            self._sweep()

    def holds(self, token: SecretStr) -> float:
        """For how many seconds nothing may be sent with ``token``; 0 where it may be."""
        salt = self._salt or self._read_salt()
        if salt is None:
            return 0.0
        try:
            marked = os.stat(self._path(token, salt), follow_symlinks=False).st_mtime
        except OSError:
            return 0.0
        age = self._now() - marked
        # A clock that was set back must not hold a token for ever.
        return max(0.0, HELD_SECONDS - age) if age > -HELD_SECONDS else 0.0

    def path(self, token: SecretStr) -> Path | None:
        """The mark's file: a person who mended the account removes it to go on at once."""
        salt = self._salt or self._read_salt()
        return None if salt is None else self._path(token, salt)

    def _path(self, token: SecretStr, salt: bytes) -> Path:
        value = token.get_secret_value().encode("utf-8", "surrogatepass")
        digest = hmac.new(salt, value, hashlib.sha256).hexdigest()
        return self._folder / f"refused-{digest[:32]}"

    def _read_salt(self) -> bytes | None:
        with contextlib.suppress(OSError):
            descriptor = os.open(self._folder / "salt", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                salt = file.read(_SALT_BYTES)
            if len(salt) == _SALT_BYTES:
                self._salt = salt
                return salt
        return None

    def _make_salt(self) -> bytes:
        staged = self._folder / f".salt-{secrets.token_hex(8)}"
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SALT_BYTES))
            # A link, and not a rename: whoever was first stays, so that all use one salt.
            with contextlib.suppress(FileExistsError):
                os.link(staged, self._folder / "salt")
        finally:
            with contextlib.suppress(OSError):
                staged.unlink()
        salt = self._read_salt()
        if salt is None:
            raise OSError("the salt can't be read")
        return salt

    def _sweep(self) -> None:
        for entry in os.scandir(self._folder):
            if entry.name.startswith("refused-"):
                with contextlib.suppress(OSError):
                    age = self._now() - entry.stat(follow_symlinks=False).st_mtime
                    if abs(age) > HELD_SECONDS:
                        os.unlink(entry.path)
