"""A releases mirror: its URL for an installer, and the credentials in it for nobody else."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from driftfleet.errors import ConfigurationError


@dataclass(frozen=True)
class Remote:
    """``url`` has neither credentials nor a slash at its end."""

    url: str
    host: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of it nobody may read."""
        return tuple(filter(None, (self.user, self.password)))

    def netrc(self) -> bytes:
        """The credentials as curl reads them (netrc(5), quoted as curl 7.84 has it)."""
        words = ("machine", self.host, "login", _quoted(self.user), "password")
        return (" ".join(words) + " " + _quoted(self.password) + "\n").encode()


def parse_remote(url: str, setting: str) -> Remote:
    """Take the URL of a releases mirror apart; ``setting`` is named where it is wrong.

    Raises
    ------
    ConfigurationError
        It is no URL of HTTP or HTTPS. It is not quoted, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    odd = " " in url or not unquote(url).isprintable()
    if odd or host is None or parts.scheme not in ("http", "https") or parts.query:
        raise ConfigurationError(
            f"{setting} must be the URL of a releases mirror: https://HOST/PATH, "
            "or https://USER:PASSWORD@HOST/PATH"
        )
    name = f"[{host}]" if ":" in host else host
    place = name if port is None else f"{name}:{port}"
    bare = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
    return Remote(bare, host, unquote(parts.username or ""), unquote(parts.password or ""))


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
