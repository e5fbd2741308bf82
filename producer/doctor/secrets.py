"""Checks of what `driftfleet doctor` finds of secrets: that they can be read; none is shown."""

from collections.abc import Iterator, Mapping

from driftfleet.errors import ConfigurationError, SecretUnavailable
from driftfleet.secrets import open_secret, secrets_of
from driftfleet.settings import Settings
from producer.doctor.findings import Finding, fail, ok


def named_secrets(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """One finding a secret; GitHub's are examined with GitHub, where there is one."""
    for key, url in secrets_of(settings).items():
        if not (key.startswith("github.") and settings.github.is_named):
            yield _secret(key, url, environment)


def _secret(key: str, url: str, environment: Mapping[str, str]) -> Finding:
    try:
        open_secret(url, environment, key).read()
    except ConfigurationError as error:
        return fail("secret", error.message, f"put it there, or name another place in {key}")
    except SecretUnavailable as error:
        return fail("secret", error.message, "is the place that keeps it up, and may we ask it?")
    return ok("secret", f"{url} can be read ({key})")
