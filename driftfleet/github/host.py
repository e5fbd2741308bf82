"""Which server, by the settings: its name, its API, and the hosts that give its archives."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from driftfleet.errors import ConfigurationError
from driftfleet.settings import GitHubSettings

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[a-z0-9._-]+)*)/?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Host:
    """A GitHub server.

    ``name`` is its host as people know it, with its port where that is not the usual one.
    ``archive_hosts`` are those that archives may come from, written the same way.
    """

    name: str
    api_url: str
    web_url: str
    archive_hosts: frozenset[str]

    @property
    def api_origin(self) -> str:
        """``scheme://host[:port]`` of the API."""
        parts = urlsplit(self.api_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def asked(self) -> str:
        """Whom requests go to, for people: ``name``, or the host of an API that is elsewhere."""
        own = {self.name, f"api.{self.name}"}
        netloc = urlsplit(self.api_url).netloc
        return self.name if netloc in own else netloc

    @property
    def api_path(self) -> str:
        """Where the API begins on its host: ``/api/v3``, or nothing."""
        return urlsplit(self.api_url).path


def host_of(settings: GitHubSettings) -> Host:
    """The server that the settings name.

    ``https://HOST`` has its API at ``https://HOST/api/v3``; github.com and the tenants of ghe.com
    have it on a host of its own (docs.github.com/rest, "Getting started"). ``api_url`` overrides.

    Raises
    ------
    ConfigurationError
        No server is named, or not by a plain https URL.
    """
    if not settings.url and not settings.api_url:
        raise ConfigurationError(
            "no GitHub server is named; set github.url (DRIFTFLEET_GITHUB__URL) to what a browser "
            "shows, such as https://github.example.com"
        )
    named_api = _read(settings.api_url, "github.api_url") if settings.api_url else None
    if settings.url:
        web = _read(settings.url, "github.url")
        if web.path:
            raise ConfigurationError(
                f"github.url: '{web}' must name the server only, as in {web.origin}"
            )
    else:
        assert named_api is not None
        web = named_api.without_api()
    api = named_api or web.with_api()
    return Host(
        name=web.netloc,
        api_url=str(api),
        web_url=web.origin,
        archive_hosts=frozenset({web.netloc, f"codeload.{web.netloc}", api.netloc}),
    )


def is_loopback(host: str) -> bool:
    """Whether a host's name can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class _Address:
    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def netloc(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    def __str__(self) -> str:
        return self.origin + self.path

    def with_api(self) -> "_Address":
        at: Callable[..., _Address] = partial(_Address, self.scheme, port=self.port)
        if self.host == "github.com" or self.host.endswith(".ghe.com"):
            return at(host=f"api.{self.host}", path="")
        return at(host=self.host, path="/api/v3")

    def without_api(self) -> "_Address":
        bare = self.host.removeprefix("api.")
        own = bare == "github.com" or bare.endswith(".ghe.com")
        return _Address(self.scheme, bare if own else self.host, self.port, "")


def _read(url: str, setting: str) -> _Address:
    match = _URL.fullmatch(url)
    if match is None or ".." in url or int(match["port"] or 1) not in range(1, 65536):
        # Not quoted: it may hold a password.
        raise ConfigurationError(
            f"{setting}: must be a plain URL such as https://github.example.com, without user, "
            "query or fragment"
        )
    scheme, host = match["scheme"].lower(), match["host"].lower()
    if scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{setting}: must begin with https://: over http:// anybody on the way reads the token"
        )
    port = int(match["port"]) if match["port"] else None
    return _Address(scheme, host, None if port == _DEFAULT_PORTS[scheme] else port, match["path"])
