"""Redis' password, from where ``broker.password`` says that it is kept, into ``broker.url``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from pydantic import SecretStr

from driftfleet.secrets import open_secret

if TYPE_CHECKING:
    from driftfleet.settings import Settings


def with_broker_password(settings: "Settings", environment: Mapping[str, str]) -> "Settings":
    """Settings whose URL of Redis holds the password; the same ones where no place is named.

    Only who connects asks for it, in the process that does: what is handed to another process
    names the place and not the password. The place stays in the settings, for no plan may see a
    variable that it is kept in.

    Raises
    ------
    ConfigurationError
        It is not there, is empty, or may not be read.
    SecretUnavailable
        The place that keeps it did not answer.
    """
    broker = settings.broker
    if broker.url is None or broker.password is None:
        return settings
    if holds_password(broker.url.get_secret_value()):
        # From an earlier call: settings that are read have it in one place.
        return settings
    password = open_secret(broker.password, environment, "broker.password").read()
    url = _with(broker.url.get_secret_value(), password.get_secret_value())
    known = broker.model_copy(update={"url": SecretStr(url)})
    return settings.model_copy(update={"broker": known})


def environment_with(settings: "Settings", environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as if it held the URL of Redis: what masks its secrets masks the password.

    No plan sees a variable of ours.
    """
    url = settings.broker.url.get_secret_value() if settings.broker.url else ""
    return {**environment, "DRIFTFLEET_BROKER__URL": url}


def holds_password(url: str) -> bool:
    """Whether a URL has a password, an empty one included."""
    parts = urlsplit(url)
    return ":" in parts.netloc.rpartition("@")[0] or "password" in parse_qs(parts.query)


def _with(url: str, password: str) -> str:
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))
