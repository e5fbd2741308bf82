"""What to do about a Redis that gives no answer of use."""

import re

import redis
from redis.exceptions import NoPermissionError

from driftfleet.errors import BrokerUnavailable

_NO_PASSWORD = re.compile(r"HELLO must be called|Authentication required")
_TLS = "see whether this port speaks TLS: rediss:// in broker.url is with it, redis:// without"
_REFUSALS = (
    ("read only replica", "name the primary in broker.url: this is a replica"),
    ("MISCONF", "its disk doesn't take snapshots: Redis's log says why, most often it is full"),
    ("'maxmemory'", "it is full: give it more, and see what fills it (redis-cli --bigkeys)"),
    ("NOREPLICAS", "its replicas are away (min-replicas-to-write): bring them back"),
)
_PERMISSION = (
    "let the user of broker.url read and write its keys: ACL SETUSER NAME ~* &* +@all -@dangerous"
)


def why_no_connection(error: Exception) -> str:
    """What is wrong with an option that redis-py refuses."""
    if unknown := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        name = unknown[1]
        if name.startswith("ssl_"):
            return f"'{name}' goes with rediss:// alone"
        return f"'{name}' is no option of a connection"
    if "SSL Certificate Requirements" in str(error):
        return "ssl_cert_reqs must be 'required'"
    return f"what follows its '?' is refused: {error}"


def mend_of_refusal(refusal: redis.ResponseError) -> str:
    """The advice that fits a write that Redis answered with an error."""
    if isinstance(refusal, NoPermissionError):
        return _PERMISSION
    return next((mend for word, mend in _REFUSALS if word in str(refusal)), "see Redis's log")


def reason_of(error: BrokerUnavailable) -> str:
    """Why it could not be asked anything."""
    said = str(error.__cause__)
    # redis-py's first word to a server, and older servers' answer to who gives no password.
    if isinstance(error.__cause__, redis.AuthenticationError) and _NO_PASSWORD.search(said):
        return "it wants a password, and broker.url has none"
    return error.message


def mend_of_silence(error: BrokerUnavailable) -> str:
    """The advice that fits a Redis that could not be asked anything: by what came instead."""
    cause = error.__cause__
    if isinstance(cause, redis.AuthenticationError):
        return "correct the user or password in broker.url (DRIFTFLEET_BROKER__URL)"
    if isinstance(cause, redis.BusyLoadingError):
        return "wait until it has read its data, and ask again"
    if isinstance(cause, redis.TimeoutError) or cause is None:
        return (
            "see whether it hangs (its machine stopped or out of memory, a script that runs for "
            f"ever: SCRIPT KILL), and whether a firewall is in between; or\n{_TLS}"
        )
    if "certificate verify failed" in str(cause):
        return (
            "name its CA in broker.ca_file (DRIFTFLEET_BROKER__CA_FILE), and in broker.url the "
            "host as its certificate does"
        )
    if re.search("SSL|closed|reset", str(cause)):
        return _TLS
    return (
        "see whether it runs, and whether broker.url (DRIFTFLEET_BROKER__URL) has its host and port"
    )
