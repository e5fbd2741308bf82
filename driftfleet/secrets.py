"""Secrets by URL: ``env://NAME``, ``file:///PATH``, ``secretsmanager://NAME[#key]``."""

import logging
import re
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from driftfleet.errors import ConfigurationError

if TYPE_CHECKING:
    from driftfleet.settings import Settings

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE_BYTES = 64 << 10
_FORMS = "env://NAME, file:///PATH or secretsmanager://NAME#KEY"


class Secret(Protocol):
    """A secret that is read when it is needed."""

    def read(self) -> SecretStr:
        """The secret; read from where it is kept the first time, then remembered.

        Raises
        ------
        ConfigurationError
            It is not there, is empty, or may not be read.
        SecretUnavailable
            The place that keeps it did not answer.
        """

    def renew(self) -> SecretStr:
        """The secret, read again: it may have been rotated. Raises as `read`."""


def open_secret(url: str, environment: Mapping[str, str], setting: str = "a secret") -> Secret:
    """The secret at ``url``, which ``setting`` names; nothing is read yet.

    Raises
    ------
    ConfigurationError
        No place is known by that URL.
    """
    scheme, separator, place = url.partition("://")
    if scheme == "env" and _VARIABLE.fullmatch(place):
        return _Remembered(url, lambda: _from_environment(place, environment, setting))
    if scheme == "file" and place.startswith("/"):
        return _Remembered(url, lambda: _from_file(Path(place)))
    if scheme == "secretsmanager" and place.partition("#")[0]:
        # Imported where it is used: boto3 takes half a second and 20 MB.
        from driftfleet.secretsmanager import fetch  # noqa: PLC0415

        name, _, key = place.partition("#")
        return _Remembered(url, lambda: fetch(name, key, environment))
    # Not quoted beyond its scheme: it may be the secret itself.
    kind = f"'{scheme}://...'" if separator and scheme.isalpha() else "it"
    raise ConfigurationError(f"{setting}: its place must be {_FORMS}, and {kind} is none of these")


def secrets_of(settings: "Settings") -> dict[str, str]:
    """The places of all secrets that the settings name, by the key that names them."""
    app = settings.github.app
    named = {
        "github.token": settings.github.token,
        "github.app.private_key": app.private_key if app else None,
        "flower.password": settings.flower.password,
        "broker.password": settings.broker.password,
    }
    return {key: url for key, url in named.items() if url}


def require_place(value: str, what: str) -> str:
    """``value`` where it can be a secret's URL. Raises ``ValueError``, for the settings' models."""
    if "://" not in value:
        # Not quoted: somebody has most likely written the secret itself.
        raise ValueError(
            f"must be where the {what} is kept: env://NAME, file://PATH or "
            f"secretsmanager://NAME#KEY; never the {what} itself"
        )
    return value


def variable_of(url: str) -> str | None:
    """The variable in which an ``env://`` secret is kept: no plan may see it."""
    scheme, _, place = url.partition("://")
    return place if scheme == "env" and place else None


def keep_out_of_logs(library: str) -> None:
    """Let nothing that ``library`` logs reach anybody: at debug level it tells what it sends.

    All its loggers hand their records up through the one of its name, whatever their levels are.
    """
    logger = logging.getLogger(library)
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


class _Remembered:
    def __init__(self, url: str, fetch: Callable[[], str]) -> None:
        self._url = url
        self._fetch = fetch
        self._value: SecretStr | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<secret {self._url}>"

    def read(self) -> SecretStr:
        with self._lock:
            return self._value or self._read_again()

    def renew(self) -> SecretStr:
        with self._lock:
            return self._read_again()

    def _read_again(self) -> SecretStr:
        # Files and consoles end in a line break; no token and no key needs the blanks around it.
        text = self._fetch().strip()
        if not text:
            raise ConfigurationError(f"the secret {self._url} is empty")
        if self._value is None or self._value.get_secret_value() != text:
            self._value = SecretStr(text)
        return self._value


def _from_environment(name: str, environment: Mapping[str, str], setting: str) -> str:
    try:
        return environment[name]
    except KeyError:
        raise ConfigurationError(
            f"{setting} is kept in env://{name}, and the variable {name} is not set"
        ) from None


def _from_file(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(f"the secret {path} is no regular file")
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES + 1)
        if len(content) > _FILE_BYTES:
            raise ConfigurationError(f"the secret {path} is larger than {_FILE_BYTES} bytes")
        # Editors on Windows begin a file with a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Without the cause, which holds the bytes.
        failure = ConfigurationError(f"the secret {path} is no UTF-8 text")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path can be"
        failure = ConfigurationError(f"the secret {path} can't be read: {reason}")
    raise failure
