"""Who else could read or write what goes to Redis: TLS, and the password."""

import contextlib
import ipaddress
import ssl

import redis
from redis.exceptions import NoPermissionError

from driftfleet.settings import Settings
from producer.doctor.findings import Finding, fail, ok, skip, warn

_VERIFY = "take ssl_cert_reqs out of broker.url, and name the CA in broker.ca_file"


def place_of(client: redis.Redis) -> str:
    """Where Redis is, as a URL without the password."""
    told = client.connection_pool.connection_kwargs
    if "path" in told:
        return f"unix://{told['path']}"
    scheme = "rediss" if _is_encrypted(client) else "redis"
    host = told.get("host", "localhost")
    shown = f"[{host}]" if ":" in host else host
    user = f"{told['username']}@" if told.get("username") else ""
    return f"{scheme}://{user}{shown}:{told.get('port', 6379)}/{told.get('db', 0)}"


def encryption_finding(settings: Settings, client: redis.Redis) -> Finding:
    """Whether somebody between us and Redis could read along, or pretend to be it."""
    if "path" in client.connection_pool.connection_kwargs:
        return ok("encryption", "none, and none is needed on a unix socket")
    if _is_encrypted(client):
        return _certificate_finding(settings)
    if is_loopback(_host(client)):
        return ok("encryption", "none, and none is needed on loopback")
    return warn(
        "encryption",
        "none: whoever is on the way to Redis can read jobs and the password, and send jobs",
        "have Redis speak TLS (tls-port), write rediss:// in broker.url, and name the CA in "
        "broker.ca_file",
    )


def _certificate_finding(settings: Settings) -> Finding:
    # Celery takes its time to import.
    from driftfleet.celery_app import build_app  # noqa: PLC0415

    try:
        options = build_app(settings).connection_for_write().ssl
    except KeyError as error:
        return fail("encryption", f"ssl_cert_reqs is {error}, which is no such thing", _VERIFY)
    # What isn't set is redis-py's to choose, and it verifies.
    told = options if isinstance(options, dict) else {}
    if told.get("ssl_cert_reqs", ssl.CERT_REQUIRED) == ssl.CERT_NONE:
        text = "TLS, but any certificate is taken: whoever is on the way can pretend to be Redis"
        return fail("encryption", text, _VERIFY)
    if told.get("ssl_check_hostname", True) is False:
        text = "TLS, but with a certificate of any host (ssl_check_hostname=false)"
        return fail("encryption", text, "take ssl_check_hostname out of broker.url")
    return ok("encryption", "TLS, and the certificate is verified")


def password_finding(client: redis.Redis, stranger: redis.Redis) -> Finding:
    """Whether Redis answers whoever asks; ``stranger`` is a second client of the same Redis."""
    told = stranger.connection_pool.connection_kwargs
    if "path" in told:
        return ok("password", "on a unix socket the file's rights say who may")
    for name in ("username", "password", "credential_provider"):
        told.pop(name, None)
    with contextlib.closing(stranger):
        try:
            stranger.ping()
        except (redis.AuthenticationError, NoPermissionError):
            return ok("password", "Redis wants one")
        except redis.RedisError as error:
            return skip("password", f"whether Redis wants one can't be seen: {error}")
    return _open_to_all(client)


def _open_to_all(client: redis.Redis) -> Finding:
    told = client.connection_pool.connection_kwargs
    if is_loopback(_host(client)):
        return ok("password", "none: everybody on this machine may send jobs")
    if told.get("ssl_certfile"):
        return warn(
            "password",
            "none: only who has a certificate may send jobs, if Redis insists on one",
            "see that Redis has `tls-auth-clients yes`",
        )
    ours = ", whatever broker.url says" if told.get("password") else ""
    return fail(
        "password",
        f"none is wanted{ours}: whoever reaches Redis can send jobs, read them and stop the fleet",
        "set one for every user, also for `default` (requirepass, or ACL SETUSER), and put it into "
        "broker.url (DRIFTFLEET_BROKER__URL)",
    )


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own and nobody else's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host(client: redis.Redis) -> str:
    return str(client.connection_pool.connection_kwargs.get("host", "localhost"))


def _is_encrypted(client: redis.Redis) -> bool:
    return issubclass(client.connection_pool.connection_class, redis.SSLConnection)
