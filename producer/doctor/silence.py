"""What to do about a server that gives no answer of use."""

import re

# How `driftfleet.github` words a server's error, as opposed to no connection.
_ANSWERED = re.compile(r"\bit answered 5[0-9]{2}\b")
_LIMITED = re.compile(r"\brate limit\b")


def mend_of_silence(message: str) -> str:
    """The advice that fits a `GitHubUnavailable`: by what was reached, or not."""
    if _ANSWERED.search(message):
        return (
            "it is there, and in trouble, or a proxy before it is (maintenance?): try again later, "
            "or ask whoever runs it"
        )
    if _LIMITED.search(message):
        return "try again when its limit allows it"
    return (
        "see whether this machine resolves the name, reaches the port (HTTPS_PROXY, NO_PROXY) and "
        "trusts the certificate (SSL_CERT_FILE); github.url (or github.api_url) names the server"
    )
